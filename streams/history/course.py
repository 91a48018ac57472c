"""The course of a signal in hindsight, smoothed from the stored readings."""

import asyncio
from typing import NamedTuple

import numpy as np

from streams.history.base import History
from twins.arrays import F8, I8
from twins.models.channel.course import smooth
from twins.records import Status
from twins.signals import Signal

__all__ = ["MOST_READINGS", "CourseSeries", "TooManyReadings", "course"]

MOST_READINGS = 200_000
"""Most readings of one course: two days of one a second."""

_SECOND_US = 1_000_000
_SILENCES = 60
_RUN_IN_S = (3_600, 86_400)
_BELIEVED = (Status.ACCEPTED, Status.REACQUIRED)
_NEVER_MEASURED = (Status.UNKNOWN_PATIENT, Status.FUTURE, Status.INVALID)


class CourseSeries(NamedTuple):
    """The estimated value at evenly spaced times, with all readings known now, and its standard deviation."""

    time: I8
    mean: F8
    sd: F8


class TooManyReadings(ValueError):
    """The window has more than ``MOST_READINGS`` readings."""


async def course(
    history: History, patient: str, signal: Signal, span: tuple[int, int], points: int, *, since: int = 0
) -> CourseSeries:
    """The course at the starts of at most ``points`` equal spans of [start, end) µs, the spans of ``Buckets``.

    Readings before the start are used too, so that the twin knows its patient: sixty of the signal's silences, at least
    an hour and at most a day, but none before ``since`` µs, when the stay began. The course starts with the first
    accepted reading; after the last one it is the forecast. Computed in a thread.

    Raises ``TooManyReadings``; ``ValueError`` for a signal without a channel twin.
    """
    start, end = span
    before = start - round(min(max(_SILENCES * signal.silence_s, _RUN_IN_S[0]), _RUN_IN_S[1])) * _SECOND_US
    before = max(before, since)
    page = await history.observations_page(patient, signal.code, before, end, limit=MOST_READINGS)
    if page.cursor is not None:
        raise TooManyReadings(f"more than {MOST_READINGS} readings")
    measured = ~np.isin(page.series.status, _NEVER_MEASURED)
    time, value = page.series.time[measured], page.series.value[measured]
    width = max(1, -(-(end - start) // points))
    at = np.arange(start, end, width, dtype=np.int64)
    found = await asyncio.to_thread(smooth, signal.code, time, value, at)
    believed = np.flatnonzero(np.isin(found.status, _BELIEVED))
    kept = at + width > time[believed[0]] if len(believed) else np.zeros(len(at), np.bool_)
    return CourseSeries(at[kept], found.mean[kept], found.sd[kept])
