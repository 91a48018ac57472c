"""Revisions of readings from InfluxDB: the same as from the file, however often one moment was revised."""

import asyncio
import itertools

import numpy as np
import pytest

from streams.clock import Clock
from streams.history.base import History
from streams.history.influx import InfluxHistory
from streams.log.frame import as_record
from streams.log.log import decode_record, encode_record
from streams.worker.worker import Worker
from tests.streams.history.conftest import File
from twins.records import Admit, Columns, Frame, Record, Retract, Revision

BEGIN = Clock().now() - 3_600_000_000
SECOND = 1_000_000
EVER = (0, 1 << 60)
MINE, OTHERS = "1/monitor", "2/watch"
ACTS = ("send", "other", "back")


def sent(number: int, moment: int, value: float, source: str = MINE, patient: str = "a") -> Frame:
    """A heart rate of a moment, in the log's record of that number."""
    columns = Columns([patient], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([moment]), np.array([value]))
    return as_record(columns, BEGIN + number * SECOND, (source,), np.zeros(1, "<u2"))


def taken_back(number: int, moment: int, source: str = MINE, patient: str = "a") -> Retract:
    return Retract(
        patient=patient, signal="heart_rate", time=moment, by=source.partition("/")[2], source=source,
        received=BEGIN + number * SECOND,
    )  # fmt: skip


def copied(record: Record) -> Record:
    """A copy, as from the log: a worker may change its records."""
    return decode_record(encode_record(record))


def played(history: History, records: list[list[Record]]) -> None:
    """Run the records through a worker, each inner list at one offset of the log."""
    worker = Worker(history, failed=lambda *error: pytest.fail(str(error)))
    worker.assign(0, [])
    for offset, lot in enumerate(records):
        for record in lot:
            worker.take(0, offset, copied(record), more=record is not lot[-1])


async def test_corrections_retractions_and_what_was_not_taken(file: File, history: InfluxHistory) -> None:
    first, second = BEGIN + SECOND, BEGIN + 2 * SECOND
    records: list[list[Record]] = [
        [Admit(patient="a", received=BEGIN)],
        [sent(1, first, 90.0)],
        [sent(2, second, 120.0)],
        [sent(3, second, 60.0)],
        [sent(4, second, 70.0, OTHERS)],
        [taken_back(5, first, OTHERS)],
        [taken_back(6, first)],
        [sent(7, second, 61.0), taken_back(7, second)],
    ]
    for one in (file.history, history):
        played(one, records)
    file.flush()
    await history.settled()
    result = await history.revisions("a", "heart_rate", *EVER)
    assert [(one.time, one.what, one.value, one.by) for one in result] == [
        (first, "not_taken", None, "watch"), (first, "retracted", None, "monitor"),
        (second, "corrected", 60.0, "monitor"), (second, "not_taken", 70.0, "watch"),
        (second, "corrected", 61.0, "monitor"), (second, "retracted", None, "monitor"),
    ]  # fmt: skip
    for window in (EVER, (first, second), (second, second + 1), (0, first)):
        assert await history.revisions("a", "heart_rate", *window) == [
            one for one in result if window[0] <= one.time < window[1]
        ]
    assert await history.revisions("a", "pulse_rate", *EVER) == []
    assert await history.revisions("b", "heart_rate", *EVER) == []
    assert (await history.observations("a", 0, *EVER)).value.tolist() == []
    originals = await history.versions("a", 0, *EVER)
    assert {90.0, 120.0} <= set(originals.value.tolist())
    wanted = await file.history.revisions("a", "heart_rate", *EVER)
    assert {str(one) for one in result} >= {str(one) for one in wanted}


async def test_one_moment_revised_again_and_again(file: File, history: InfluxHistory) -> None:
    """A point is identified by its tags and its time: each revision must be a separate point, in order."""
    for offset in range(400):
        done = [
            Revision(
                patient="a", signal="heart_rate", time=BEGIN, what="corrected", value=float(10 * offset + place),
                by="monitor", received=BEGIN + offset,
            )
            for place in range(3)
        ]  # fmt: skip
        for one in (file.history, history):
            one.add_revisions(0, offset, done)
            one.complete(0, offset)
    file.flush()
    await history.settled()
    async with asyncio.timeout(60):
        result = await history.revisions("a", "heart_rate", *EVER)
    assert [one.value for one in result] == [10.0 * offset + place for offset in range(400) for place in range(3)]
    assert result == await file.history.revisions("a", "heart_rate", *EVER)


async def test_whatever_is_done_to_a_moment_both_stores_tell_the_same(file: File, history: InfluxHistory) -> None:
    """Every sequence of four changes, each with its own patient; each change is written before the next."""
    courses = {f"p{number}": course for number, course in enumerate(itertools.product(ACTS, repeat=3))}
    both = (file.history, history)
    workers = [Worker(one, failed=lambda *error: pytest.fail(str(error))) for one in both]
    offset = itertools.count()

    def take(record: Record) -> None:
        place = next(offset)
        for worker in workers:
            worker.take(0, place, copied(record))

    for worker in workers:
        worker.assign(0, [])
    for patient in courses:
        take(Admit(patient=patient, received=BEGIN))
    moment = BEGIN + SECOND
    for number in range(4):
        for patient, course in courses.items():
            act = ("send", *course)[number]
            if act == "back":
                take(taken_back(2 + number, moment, patient=patient))
            else:
                take(sent(2 + number, moment, 70.0 + number, OTHERS if act == "other" else MINE, patient))
        file.flush()
        await history.settled()
    for patient, course in courses.items():
        window = (patient, 0, *EVER)
        wanted, result = [(await one.observations(*window)).value.tolist() for one in both]
        assert (course, result) == (course, wanted)
        wanted, result = [await one.revisions(patient, "heart_rate", *EVER) for one in both]
        assert (course, result) == (course, wanted)
        sent_after = "back" in course and {*course[course.index("back") :]} > {"back"}
        if not sent_after:  # there the original's place is taken by what was sent after it had been taken back
            assert (course, (await history.versions(*window)).value[0]) == (course, 70.0)
