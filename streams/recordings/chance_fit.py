"""Fit the recalibration of stated chances to recorded patients, and score it on held-out ones.

By id within their file, patients at even places are for fitting, those at odd places for testing. Recordings are
streamed through the twins; raw chances are read as ``chances`` does, and judged as ``crossings`` defines. Each signal,
kind and side is fitted twice: first towards one centre for all, then towards the median of the first results of its
kind and side. What has too few readings that came true gets that median.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.recordings.chances import channels_of
from streams.recordings.crossings import judged
from streams.recordings.evaluate import Forecasts
from streams.recordings.recalibrate import fit
from streams.recordings.recording import Recording
from twins.fitting.chances import reliability
from twins.fitting.recalibration import JudgedPairs, states
from twins.models.channel.recalibration import KINDS, SIDES, Recalibration
from twins.signals import BY_NAME, SIGNALS

__all__ = ["FEWEST", "ChanceFit", "ChancesFit", "FileScore", "fit_chances", "pairs_of"]

FEWEST = 20
"""Readings that came true, of training patients, that a fit of its own needs."""
_BEGIN = Recalibration(0.7, -0.5, 1.0)

Key = tuple[str, int, int]
"""Signal, kind and side."""


class FileScore(msgspec.Struct, frozen=True, kw_only=True):
    """One file's held-out patients: chances, how many came true, and skill and calibration error before and after."""

    file: str
    chances: int
    events: int
    raw_skill: float
    raw_ece: float
    skill: float
    ece: float


class ChanceFit(msgspec.Struct, frozen=True, kw_only=True):
    """One signal, kind and side: the result, the chances and events it was fitted on, and scores on held-out patients."""

    signal: str
    kind: str
    side: str
    chances: int
    events: int
    result: Recalibration
    held_out: list[FileScore]


class ChancesFit(msgspec.Struct, frozen=True, kw_only=True):
    """All fits, and the recalibration by kind and side for signals without one."""

    fits: list[ChanceFit]
    others: dict[str, dict[str, Recalibration]]


def pairs_of(recording: Recording, tell: Callable[[int], None] = lambda _: None) -> dict[tuple[Key, int], JudgedPairs]:
    """Judged raw chances of a recording, by signal, kind and side, and by parity of the patients' places by id."""
    run = Forecasts(recording, ())
    run.stream(tell)
    place = {name: at for at, name in enumerate(sorted(recording.columns.patients))}
    found: dict[tuple[Key, int], list[Any]] = {}
    for code, channels in channels_of(run.columns).items():
        signal = SIGNALS[code]
        for channel in channels:
            number = place[channel.patient]
            raw, read = run.stated.raw[channel.places], run.stated.kind[channel.places]
            for side, limit in enumerate((signal.limits.low, signal.limits.high)):
                for kind in range(len(KINDS)):
                    origin, came, _ = judged(channel.time, channel.value, limit, side, kind)
                    counts = np.isfinite(raw[origin, side]) & (read[origin] == kind)
                    origin, came = origin[counts], came[counts]
                    if len(origin):
                        part = raw[origin, side], came, np.full(len(origin), number), channel.time[origin]
                        found.setdefault(((signal.name, kind, side), number % 2), []).append((number, part))
    return {key: _joined(recording.name, parts) for key, parts in found.items()}


def _joined(file: str, parts: list[Any]) -> JudgedPairs:
    columns = [np.concatenate(column) for column in zip(*(part for _, part in sorted(parts, key=_first)), strict=True)]
    raw, came, patient, time = columns
    return JudgedPairs(
        file, raw.astype(np.float64), came.astype(np.uint8), patient.astype(np.int64), time.astype(np.float64)
    )


def _first(part: Any) -> int:  # noqa: ANN401 - a pair whose second part is arrays
    return int(part[0])


def fit_chances(
    recordings: Sequence[Recording],
    signals: Sequence[str] = (),
    read: Callable[[str, int], None] = lambda *_: None,
    fitted: Callable[[str], None] = lambda _: None,
) -> ChancesFit:
    """Fit the chances of ``signals`` (all that are followed, if empty).

    ``read`` gets a recording's name and the number of its readings done, ``fitted`` the name of each finished signal.
    """
    halves: dict[tuple[Key, int], list[JudgedPairs]] = {}
    for recording in recordings:
        one = recording.of_signals(signals) if signals else recording
        if len(one):
            for half, pairs in pairs_of(one, lambda done, name=recording.name: read(name, done)).items():  # type: ignore[misc]
                halves.setdefault(half, []).append(pairs)
    train = {key: parts for (key, parity), parts in halves.items() if parity == 0}
    enough = {key for key, parts in train.items() if sum(int(part.came.sum()) for part in parts) >= FEWEST}
    order = sorted(enough, key=lambda one: (BY_NAME[one[0]].code, one[1], one[2]))
    first = {key: fit(train[key], key[1], _BEGIN) for key in order}
    centres = {
        (kind, side): _median([one for (_, *which), one in first.items() if which == [kind, side]])
        for kind in range(len(KINDS))
        for side in range(len(SIDES))
    }
    fits = []
    for name, kind, side in order:
        key = name, kind, side
        result = fit(train[key], kind, centres[kind, side])
        fits.append(
            ChanceFit(
                signal=name, kind=KINDS[kind], side=SIDES[side], chances=sum(len(part.raw) for part in train[key]),
                events=sum(int(part.came.sum()) for part in train[key]), result=result,
                held_out=[_score(part, result, kind) for part in halves.get((key, 1), [])],
            )
        )  # fmt: skip
        fitted(name)
    others: dict[str, dict[str, Recalibration]] = {word: {} for word in KINDS}
    for (kind, side), centre in centres.items():
        others[KINDS[kind]][SIDES[side]] = centre
    return ChancesFit(fits=fits, others=others)


def _median(found: Sequence[Recalibration]) -> Recalibration:
    if not found:
        return _BEGIN
    figures = np.median([msgspec.structs.astuple(one) for one in found], axis=0).tolist()
    return Recalibration(*figures)


def _score(pairs: JudgedPairs, result: Recalibration, kind: int) -> FileScore:
    before, after = reliability(pairs.raw, pairs.came), reliability(states(pairs, result, kind), pairs.came)
    return FileScore(
        file=pairs.file, chances=before.statements, events=before.events, raw_skill=before.skill, raw_ece=before.ece,
        skill=after.skill, ece=after.ece,
    )  # fmt: skip
