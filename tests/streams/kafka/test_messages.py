"""What an input may be: our own record, a foreign observation, or unreadable."""

import json
import sqlite3
from pathlib import Path

import numpy as np

from streams.history import SqliteHistory
from streams.kafka.messages import inputs_of
from streams.kafka.worker.partition import Partition
from streams.kafka.worker.worker import KafkaWorker
from streams.log.frame import as_record
from streams.log.log import encode_record
from streams.settings import Settings
from twins.records import Admit, Columns, Frame, Tick
from twins.signals import BY_NAME

GOOD = {"patient": "a", "signal": "heart_rate", "time": "2026-01-01T00:00:00Z", "value": 72}


def frame() -> Frame:
    return as_record(
        Columns(["a"], np.zeros(2, "u4"), np.zeros(2, "u2"), np.arange(2, dtype="i8"), np.full(2, 70.0)), 5
    )


def test_our_own() -> None:
    assert inputs_of(encode_record(Tick(7)), 0, ()) == ([Tick(7)], [])
    assert inputs_of(encode_record(frame()), 0, ()) == ([frame()], [])


def test_a_stranger_is_admitted_by_an_observation() -> None:
    records, poison = inputs_of(json.dumps(GOOD).encode(), 9, ())
    assert not poison
    assert [type(record) for record in records] == [Admit, Frame]
    assert records[1].columns.value.tolist() == [72.0]
    assert {record.received for record in records} == {9}


def test_who_is_known_is_not_admitted_again() -> None:
    records, _ = inputs_of(json.dumps([GOOD, GOOD | {"value": 73}]).encode(), 9, {"a"})
    assert [type(record) for record in records] == [Frame]
    assert records[0].columns.value.tolist() == [72.0, 73.0]


def test_a_bad_entry_leaves_its_neighbours() -> None:
    records, poison = inputs_of(json.dumps([GOOD, GOOD | {"unit": "mV"}, 5]).encode(), 9, {"a"})
    assert len(records[0].columns) == 1
    assert [one.reason for one in poison] == ["unknown_unit", "not_an_object"]


def test_what_cannot_be_read() -> None:
    ragged = frame()
    ragged.value = ragged.value[:-8]
    for raw, reason in (
        (b"", "empty"),
        (None, "empty"),
        (b"\xff\x00", "malformed_record"),
        (b"[{", "malformed_json"),
        (b"hello", "malformed_record"),
        (encode_record(ragged), "malformed_frame"),
    ):
        records, poison = inputs_of(raw, 0, ())
        assert not records
        assert [one.reason for one in poison] == [reason]


async def test_a_strangers_first_reading_of_a_patient_is_in_the_history(tmp_path: Path) -> None:
    """It becomes two records of one offset, admission and reading: the first must not complete the offset."""
    history = SqliteHistory(tmp_path / "history.db")
    connection = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    history.create(connection)
    working = KafkaWorker(Settings(), history)
    working.worker.assign(0, [])
    raw = json.dumps(GOOD | {"patient": "new"}).encode()
    assert working._moved(Partition(0), 0, raw, 1_767_225_601_000_000) is not None
    connection.execute("BEGIN")
    history.flush(connection)
    connection.execute("COMMIT")
    found = await history.observations("new", BY_NAME["heart_rate"].code, 0, 1 << 60)
    assert found.value.tolist() == [72.0]
    history.close()
    connection.close()
