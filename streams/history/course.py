"""The course of a signal in hindsight, out of the readings that are kept."""

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
"""Readings one course is made of, at most; two days of one a second."""

_SECOND_US = 1_000_000
_SILENCES = 60
_RUN_IN_S = (3_600, 86_400)
_BELIEVED = (Status.ACCEPTED, Status.REACQUIRED)
_NEVER_MEASURED = (Status.UNKNOWN_PATIENT, Status.FUTURE, Status.INVALID)


class CourseSeries(NamedTuple):
    """The patient's value at evenly spaced times as now believed, and its standard deviation."""

    time: I8
    mean: F8
    sd: F8


class TooManyReadings(ValueError):
    """The stretch holds more than ``MOST_READINGS``."""


async def course(
    history: History, patient: str, signal: Signal, span: tuple[int, int], points: int, *, since: int = 0
) -> CourseSeries:
    """The course at the starts of at most ``points`` equal spans of [start, end) µs, the spans of ``Buckets``.

    Readings of before the start are taken in too (sixty of the signal's silences, but an hour at least and a day at
    most), so that the twin does not begin without knowing its patient, but none of before ``since`` µs, when its stay
    began. It starts with the first reading believed; from
    the last on it is the forecast. Worked out in a thread.

    Raises ``TooManyReadings``; ``ValueError`` for a signal no channel twin follows.
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
