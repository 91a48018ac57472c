"""Readings as records of a log again: frames of a few seconds, with ticks between them."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np

from streams.log.frame import as_record
from twins.arrays import F8, I8, U2, U4
from twins.records import Columns, Record, Tick

__all__ = ["COARSE_US", "FINE_US", "Course", "records_of", "step_of"]

FINE_US, COARSE_US = 1_000_000, 10_000_000
"""Readings that arrive within a step are one frame, followed by a tick."""
MOST_FINE = 20_000
"""With more steps of 1 s than that, a step is 10 s.

Limits are judged by the time of each reading, so this changes no alarm that lasts; one of a single reading may differ.
"""
_MINUTE_US = 60_000_000
_SOON_US, _LATER_US = 2 * _MINUTE_US, 180 * _MINUTE_US


class Course(msgspec.Struct):
    """Readings in the order of arrival; ``arrived`` (µs) never decreases. ``others`` are facts and retractions in order."""

    patients: list[str]
    patient: U4
    signal: U2
    time: I8
    value: F8
    arrived: I8
    others: list[Record]

    def __len__(self) -> int:
        return len(self.time)


def step_of(course: Course) -> int:
    """The step (µs) in which a course is run."""
    fine = int(np.count_nonzero(np.diff(course.arrived // FINE_US))) + 1
    return FINE_US if fine <= MOST_FINE else COARSE_US


def records_of(course: Course, end: int) -> Iterator[Record]:
    """The records up to ``end`` (µs): a step's readings in one frame, then a tick at their newest arrival.

    Where nothing arrives, ticks come every 10 s for two minutes, every minute for three hours, then every 20 minutes:
    silence and delays are judged by the times in them, and nothing that ticks decide comes closer together.
    """
    others = iter([*course.others, None])
    other = next(others)
    bucket = course.arrived // step_of(course)
    cuts = [0, *(np.flatnonzero(np.diff(bucket)) + 1).tolist(), len(course)] if len(course) else [0]
    before = 0
    for first, last in pairwise(cuts):
        now = int(course.arrived[last - 1])
        while other is not None and other.received <= now:
            yield other
            other = next(others)
        if before:
            yield from (Tick(at) for at in _moments(before, int(course.arrived[first])))
        yield as_record(
            Columns(
                course.patients, course.patient[first:last], course.signal[first:last], course.time[first:last],
                course.value[first:last],
            ),
            now,
        )  # fmt: skip
        yield Tick(now)
        before = now
    while other is not None:
        yield other
        other = next(others)
    if before:
        yield from (Tick(at) for at in _moments(before, end))
        yield Tick(end)


def _moments(before: int, now: int) -> Iterator[int]:
    """Times of ticks between two frames, without those of the frames themselves."""
    at = before
    while True:
        since = at - before
        at += 10_000_000 if since < _SOON_US else _MINUTE_US if since < _LATER_US else 20 * _MINUTE_US
        if at >= now:
            return
        yield at
