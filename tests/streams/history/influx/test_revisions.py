"""What was done to readings, from InfluxDB: the same as from the file, however often one moment was revised."""

import asyncio

import msgspec
import numpy as np
import pytest

from streams.clock import Clock
from streams.frame import as_record
from streams.history.base import History
from streams.history.influx import InfluxHistory
from streams.worker import Worker
from tests.streams.history.conftest import File
from twins.records import Admit, Columns, Frame, Record, Retract, Revision

BEGIN = Clock().now() - 3_600_000_000
SECOND = 1_000_000
EVER = (0, 1 << 60)
MINE, OTHERS = "1/monitor", "2/watch"


def sent(number: int, moment: int, value: float, source: str = MINE) -> Frame:
    """A heart rate of a moment, in the log's record of that number."""
    columns = Columns(["a"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([moment]), np.array([value]))
    return as_record(columns, BEGIN + number * SECOND, (source,), np.zeros(1, "<u2"))


def taken_back(number: int, moment: int, source: str = MINE) -> Retract:
    return Retract(
        patient="a", signal="heart_rate", time=moment, by=source.partition("/")[2], source=source,
        received=BEGIN + number * SECOND,
    )  # fmt: skip


def played(history: History, records: list[list[Record]]) -> None:
    """Through a worker, each inner list at one offset of the log."""
    worker = Worker(history, failed=lambda *error: pytest.fail(str(error)))
    worker.assign(0, [])
    for offset, lot in enumerate(records):
        for record in lot:
            worker.take(
                0, offset, msgspec.convert(msgspec.to_builtins(record), type(record)), more=record is not lot[-1]
            )


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
    told = await history.revisions("a", "heart_rate", *EVER)
    assert [(one.time, one.what, one.value, one.by) for one in told] == [
        (first, "not_taken", None, "watch"), (first, "retracted", None, "monitor"),
        (second, "corrected", 60.0, "monitor"), (second, "not_taken", 70.0, "watch"),
        (second, "corrected", 61.0, "monitor"), (second, "retracted", None, "monitor"),
    ]  # fmt: skip
    for window in (EVER, (first, second), (second, second + 1), (0, first)):
        assert await history.revisions("a", "heart_rate", *window) == [
            one for one in told if window[0] <= one.time < window[1]
        ]
    assert await history.revisions("a", "pulse_rate", *EVER) == []
    assert await history.revisions("b", "heart_rate", *EVER) == []
    assert (await history.observations("a", 0, *EVER)).value.tolist() == []
    originals = await history.versions("a", 0, *EVER)
    assert {90.0, 120.0} <= set(originals.value.tolist())
    wanted = await file.history.revisions("a", "heart_rate", *EVER)
    assert {str(one) for one in told} >= {str(one) for one in wanted}


async def test_one_moment_revised_again_and_again(file: File, history: InfluxHistory) -> None:
    """A point is known by its tags and its time: each revision has to be a point of its own, in order."""
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
        told = await history.revisions("a", "heart_rate", *EVER)
    assert [one.value for one in told] == [10.0 * offset + place for offset in range(400) for place in range(3)]
    assert told == await file.history.revisions("a", "heart_rate", *EVER)
