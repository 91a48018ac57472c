"""The readings of a period for a preview: from the log as far as it reaches, before that from the history."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from streams.embedded.log_window import LogWindow, window_of
from streams.history.base import BESIDE, History
from streams.preview.course import Course
from streams.preview.job import Job, Missing, Part, TooLarge
from streams.preview.run import RUN_IN_US
from twins.arrays import F8, I8, U2, U4
from twins.records import Fact, Frame, Record, Retract, Status

__all__ = ["MOST_RECORDS", "load"]

MOST_RECORDS = 400_000
"""A log window with more records takes too long to read; the history has the same readings by the column."""
_AT_ONCE = 16
_NOT_RUN = (*BESIDE, Status.UNKNOWN_PATIENT, Status.INVALID, Status.FUTURE)
"""Statuses of stored readings that the twins of a patient's stay have never seen."""


class _Rows(NamedTuple):
    """Readings as columns; ``patient`` is the number in the job."""

    patient: U4
    signal: U2
    time: I8
    value: F8
    arrived: I8


async def load(job: Job, history: History) -> tuple[Course, list[Part], list[Missing]]:
    """The course of a job's patients, where its parts came from, and what is missing of the past.

    Raises:
        TooLarge: there are more readings than the job allows.
    """
    begin = max(0, job.start - RUN_IN_US)
    log = window_of(Path(job.log), begin, job.end) if job.log else None
    if log is not None and len(log) > MOST_RECORDS:
        log = None
    log_begin = job.end if log is None else log.begin
    rows: list[_Rows] = []
    others: list[Record] = []
    parts: list[Part] = []
    if begin < log_begin:
        rows, others = await _from_history(job, history, begin, log_begin)
        if job.start < log_begin:
            parts.append(Part(source="history", start=job.start, end=log_begin))
    if log is not None and log_begin < job.end:
        more, also = _from_log(job, log)
        rows += more
        others += also
        parts.append(Part(source="log", start=max(job.start, log_begin), end=job.end))
    course = _in_order(job, rows, others)
    missing: list[Missing] = ["answers", "earlier_limits", "alarms_off", "begin"]
    if any(part.source == "history" for part in parts):
        missing += ["arrival", "corrections"]
    return course, parts, missing


def _in_order(job: Job, rows: list[_Rows], others: list[Record]) -> Course:
    whole = _Rows(*(np.concatenate(column) for column in zip(*rows, strict=True))) if rows else _nothing()
    order = np.argsort(whole.arrived, kind="stable")
    return Course(
        [one.patient for one in job.patients], whole.patient[order], whole.signal[order], whole.time[order],
        whole.value[order], whole.arrived[order], sorted(others, key=lambda one: one.received),
    )  # fmt: skip


def _nothing() -> _Rows:
    return _Rows(
        np.empty(0, np.uint32), np.empty(0, np.uint16), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
    )


async def _from_history(job: Job, history: History, begin: int, end: int) -> tuple[list[_Rows], list[Record]]:
    """Stored readings and facts of the present stays; they arrive when they were measured."""
    turn = asyncio.Semaphore(_AT_ONCE)
    read = 0

    async def readings(number: int) -> list[_Rows]:
        nonlocal read
        patient = job.patients[number]
        async with turn:
            found = await history.all_observations(patient.patient, max(begin, patient.begin), end)
        rows = []
        for code, series in found.items():
            keep = ~np.isin(series.status, _NOT_RUN)
            time = series.time[keep]
            count = len(time)
            read += count
            _check(job, read)
            rows.append(
                _Rows(
                    np.full(count, number, np.uint32), np.full(count, code, np.uint16), time, series.value[keep], time
                )
            )
        return rows

    async def facts(number: int) -> list[Fact]:
        patient = job.patients[number]
        async with turn:
            found = await history.facts(patient.patient, max(begin, patient.begin), end)
        return [msgspec.structs.replace(one, received=one.time) for one in found]

    places = range(len(job.patients))
    rows = await asyncio.gather(*(readings(number) for number in places))
    charted = await asyncio.gather(*(facts(number) for number in places))
    return [one for some in rows for one in some], [fact for some in charted for fact in some]


def _from_log(job: Job, log: LogWindow) -> tuple[list[_Rows], list[Record]]:
    """Readings as they arrived, with facts and retractions."""
    numbers = {one.patient: number for number, one in enumerate(job.patients)}
    begins = np.array([one.begin for one in job.patients], np.int64)
    rows: list[_Rows] = []
    others: list[Record] = []
    read = 0
    for record in log.records():
        if record.received < log.begin:
            continue
        if isinstance(record, Frame):
            found = _rows_of(record, numbers, begins)
            if found is not None:
                rows.append(found)
                read += len(found.time)
                _check(job, read)
        elif isinstance(record, Fact | Retract) and record.patient in numbers:
            others.append(record)
    return rows, others


def _rows_of(frame: Frame, numbers: dict[str, int], begins: I8) -> _Rows | None:
    """The frame's readings of the job's patients, of their present stays; ``None`` if there are none."""
    of_entry = np.fromiter((numbers.get(patient, -1) for patient in frame.patients), np.int64, len(frame.patients))
    if not (of_entry >= 0).any():
        return None
    columns = frame.columns
    number = of_entry[np.minimum(columns.patient, len(of_entry) - 1)]
    keep = (number >= 0) & (columns.time >= begins[np.maximum(number, 0)])
    if not keep.any():
        return None
    arrived = np.full(int(keep.sum()), frame.received, np.int64)
    return _Rows(number[keep].astype(np.uint32), columns.signal[keep], columns.time[keep], columns.value[keep], arrived)


def _check(job: Job, read: int) -> None:
    if read > job.most_readings:
        raise TooLarge(
            f"more than {job.most_readings:,} readings in this period: choose a shorter period or fewer patients"
        )
