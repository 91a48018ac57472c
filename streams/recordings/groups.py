"""Coverage where it matters: by band of level, after steps, and for the patients whose own coverage is least and most.

A pooled coverage hides these: readings near the usual level are many, and they are the easy ones.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8

__all__ = ["AFTER_US", "FEWEST", "STEP", "Group", "Pooled", "after_steps", "groups"]

STEP = 4.0
"""A step is a reading this many spreads or more off the forecast at the shortest horizon …"""
AFTER_US = 30 * 60_000_000
"""… and forecasts made in this time after it, itself included, are after a step."""
FEWEST = 300
"""A group with fewer pairs is left out."""
_FEWEST_OWN = 20
_FEWEST_PATIENTS = 10
Flags = npt.NDArray[np.bool_]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """How many readings of a group lie within the 80 % band, below it, and above it, as shares.

    ``group`` is ``level``, ``after_step``, ``lowest_tenth`` or ``highest_tenth``; ``begin`` and ``end`` are the edges of a
    level, null where it has none.
    """

    group: str
    pairs: int
    coverage: float
    below: float
    above: float
    begin: float | None = None
    end: float | None = None


class Pooled(NamedTuple):
    """Pairs of all patients at one horizon.

    For each: the reading at which the forecast was made, whether the target is below or above the 80 % band, whether the
    forecast was made after a step, and the patient's number.
    """

    origin: F8
    below: Flags
    above: Flags
    after_step: Flags
    patient: I8


def groups(pooled: Pooled, edges: Sequence[float], *, fewest: int = FEWEST) -> list[Group]:
    """The groups with ``fewest`` pairs or more; ``edges`` divide levels, and a level contains its lower edge.

    The tenths are of the patients with at least 20 pairs, if there are ten such patients.
    """
    return [
        _group(pooled, *chosen) for chosen in _chosen(pooled, edges) if np.count_nonzero(chosen[1]) >= max(fewest, 1)
    ]


def _group(pooled: Pooled, name: str, here: Flags, begin: float | None, end: float | None) -> Group:
    below, above = float(np.mean(pooled.below[here])), float(np.mean(pooled.above[here]))
    return Group(
        group=name,
        pairs=int(np.count_nonzero(here)),
        coverage=1.0 - below - above,
        below=below,
        above=above,
        begin=begin,
        end=end,
    )


def _chosen(pooled: Pooled, edges: Sequence[float]) -> Iterator[tuple[str, Flags, float | None, float | None]]:
    ends = [None, *edges, None]
    for begin, end in pairwise(ends) if edges else ():
        here = np.ones(len(pooled.origin), np.bool_)
        if begin is not None:
            here &= pooled.origin >= begin
        if end is not None:
            here &= pooled.origin < end
        yield "level", here, begin, end
    yield "after_step", pooled.after_step, None, None
    for name, patients in zip(("lowest_tenth", "highest_tenth"), _tenths(pooled), strict=True):
        yield name, np.isin(pooled.patient, patients), None, None


def _tenths(pooled: Pooled) -> tuple[I8, I8]:
    """The tenth of the patients whose own coverage is lowest, and the tenth whose coverage is highest."""
    if not len(pooled.patient):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = np.bincount(pooled.patient)
    within = np.bincount(pooled.patient, ~(pooled.below | pooled.above))
    patients = np.flatnonzero(pairs >= _FEWEST_OWN)
    if len(patients) < _FEWEST_PATIENTS:
        return patients[:0], patients[:0]
    ranked = patients[np.argsort(within[patients] / pairs[patients], kind="stable")]
    tenth = max(round(len(ranked) / 10), 1)
    return ranked[:tenth], ranked[-tenth:]


def after_steps(time: I8, stepped: I8) -> Flags:
    """For each reading of one channel, whether a step came at most ``AFTER_US`` before; ``stepped`` are times of steps.

    >>> after_steps(np.array([0, 10, 30, 50]) * 60_000_000, np.array([10]) * 60_000_000).tolist()
    [False, True, True, False]
    """
    steps = np.sort(stepped)
    newest = np.searchsorted(steps, time, side="right") - 1
    result: Flags = (newest >= 0) & (time - np.append(steps, 0)[newest] < AFTER_US)
    return result
