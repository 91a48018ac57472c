"""What became of a limit after each reading of a recorded channel: did a reading beyond it follow?

This is the one definition for the fit of stated chances and for their scores. It follows what the twins do online:

- An *origin* is a plausible reading that is not beyond the limit of that side. A reading beyond a limit is strictly below
  a low limit, or strictly above a high one, as for the alarms.
- ``WITHIN`` (readings come often): *came* means that a later reading, within 30 min of the origin, is beyond the limit.
- ``NEXT`` (readings are sparse): *came* means that the next reading is beyond the limit. A next reading that comes more
  than 1.5 usual steps later says nothing.

Whether an origin counts does not depend on what came. So ``WITHIN`` needs a reading within half a usual step (at least 1 s,
at most 2.5 min) of the end of the 30 min in either case. If a crossing alone were enough, the last half hour of every
recording, and all of a shorter one, would consist of crossings only.

The usual step of a channel is the median of its steps. It decides which origins can be judged, never what is stated.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8

__all__ = ["NEXT", "SIDES", "WINDOW_US", "WITHIN", "Judged", "beyond", "judged", "usual_step_us"]

WITHIN, NEXT = 0, 1
"""Kinds of a stated chance: a reading beyond the limit within 30 min; the next reading is beyond the limit."""
SIDES: tuple[str, str] = ("low", "high")
WINDOW_US = 30 * 60_000_000
_LONGEST_NEXT = 1.5
_LEAST_US, _MOST_US = 1e6, 150e6


class Judged(NamedTuple):
    """Places of the origins that can be judged, whether a reading beyond the limit came, and how much later (µs).

    ``after_us`` is 0 where none came.
    """

    origin: npt.NDArray[np.intp]
    came: npt.NDArray[np.bool_]
    after_us: I8


def judged(time: I8, value: F8, limit: float, side: int, kind: int) -> Judged:
    """Judge every origin of one channel; its readings are plausible and in order of time (µs).

    ``side`` is 0 for a low and 1 for a high limit, and ``kind`` is ``WITHIN`` or ``NEXT``. Nothing is judged without a
    limit (NaN). Of several readings at one time, the last is the origin.

    >>> minutes = np.array([0, 10, 20, 30, 40]) * 60_000_000
    >>> judged(minutes, np.array([80.0, 60.0, 80.0, 80.0, 80.0]), 70.0, 0, WITHIN).came.tolist()
    [True]
    >>> judged(minutes, np.array([80.0, 60.0, 80.0, 80.0, 80.0]), 70.0, 0, NEXT).came.tolist()
    [True, False, False]
    """
    step_us = usual_step_us(time)
    out = beyond(value, limit, side)
    last = np.append(np.diff(time) > 0, True)[: len(time)]
    origin = np.flatnonzero(~out & last & (step_us > 0.0) & np.isfinite(limit))
    after = np.searchsorted(time, time[origin], side="right")
    if kind == NEXT:
        there = after < len(time)
        origin, after = origin[there], after[there]
        near = time[after] - time[origin] <= _LONGEST_NEXT * step_us
        origin, after = origin[near], after[near]
        came = out[after]
        return Judged(origin, came, np.where(came, time[after] - time[origin], 0))
    end, near_us = time[origin] + WINDOW_US, int(np.clip(step_us / 2.0, _LEAST_US, _MOST_US))
    closing = np.searchsorted(time, end - near_us)
    covered = np.append(time, np.iinfo(np.int64).max)[closing] <= end + near_us
    origin = origin[covered]
    crossed = np.append(time[out], np.iinfo(np.int64).max)
    first = crossed[np.searchsorted(crossed, time[origin], side="right")]
    came = first <= time[origin] + WINDOW_US
    return Judged(origin, came, np.where(came, first - time[origin], 0))


def beyond(value: F8, limit: float, side: int) -> npt.NDArray[np.bool_]:
    """Which readings are beyond the limit; none without a limit (NaN)."""
    result: npt.NDArray[np.bool_] = value > limit if side else value < limit
    return result


def usual_step_us(time: I8) -> float:
    """The median of the steps between readings (µs); 0 without any."""
    steps = np.diff(time)
    return float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
