"""Foreign producers cannot get anything into a partition that a door would refuse, and cannot change its time."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from streams.clock import Clock
from streams.history.nothing import NoHistory
from streams.kafka.worker.intake import AHEAD_US, Intake, arrival
from streams.kafka.worker.log_time import BrokerTime, log_time
from streams.log.frame import as_record
from streams.log.log import encode_record
from streams.settings import Settings
from streams.worker.worker import Worker
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of
from twins.records import Acknowledge, Admit, Columns, Discharge, Fact, Frame, Record, Retract, SetLimits, Tick
from twins.step.dispatch import step

NOW = Clock().now()
SECOND = 1_000_000
YEAR = 365 * 86_400 * SECOND


def moment(us: int) -> str:
    return str(np.datetime64(us, "us")) + "Z"


def said(**more: object) -> dict[str, Any]:
    return {"patient": "a", "signal": "heart_rate", "time": moment(NOW - SECOND), "value": 72} | more


def readings(patient: str = "a", at: int = NOW, value: float = 70.0, signal: int = 0) -> Columns:
    return Columns([patient], np.zeros(1, "u4"), np.full(1, signal, "u2"), np.array([at]), np.array([value]))


def taken(bank: Bank, raw: bytes, arrived: int = NOW, **settings: Any) -> tuple[list[Record], list[str]]:
    records, poison = Intake(Settings(kafka_partitions=1, **settings)).records(raw, arrived, bank)
    return records, [one.reason for one in poison]


@pytest.fixture
def bank() -> Bank:
    bank = Bank()
    step(bank, Admit(patient="a", received=NOW - 10 * SECOND), 0)
    step(bank, Admit(patient="gone", received=NOW - 9 * SECOND), 1)
    step(bank, Discharge(patient="gone", received=NOW - 8 * SECOND), 2)
    return bank


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        Tick(NOW + YEAR), Tick(2**62), as_record(readings(), NOW + YEAR), Admit(patient="b", received=NOW + YEAR),
        Fact(patient="a", kind="note", time=NOW, received=NOW + YEAR), SetLimits(signal="heart_rate", received=2**63),
        Acknowledge(patient="a", alarm="x", received=NOW + 2 * AHEAD_US),
    ],
)  # fmt: skip
def test_nothing_is_received_later_than_it_arrived(bank: Bank, record: Record) -> None:
    """One record of a clock a year ahead blocked its partition for a year."""
    (found,), poison = taken(bank, encode_record(record))
    assert not poison
    assert found.received == NOW
    step(bank, found, 3)
    assert bank.time == NOW


@pytest.mark.parametrize("received", [0, -1, -(2**63)])
def test_what_was_never_received_was_when_it_arrived(bank: Bank, received: int) -> None:
    """A device's frame, written to the log by a foreign producer: all its readings were from the future."""
    (found,), _ = taken(bank, encode_record(as_record(readings(), received)))
    assert found.received == NOW
    outcome = step(bank, found, 3)
    assert outcome.status == b"\0"


def test_doors_whose_clocks_differ_move_one_time(bank: Bank) -> None:
    """A stamp behind another door's counts as received at the log's time, so no sensor seems silent."""
    for second, apart in enumerate((30, -300, 0, -3000)):
        record = as_record(readings(at=NOW), NOW + apart * SECOND)
        (found,), _ = taken(bank, encode_record(record), NOW + second * SECOND)
        before = bank.time
        step(bank, found, 3 + second)
        assert bank.time == found.received >= before
    assert bank.time == NOW + 30 * SECOND


def test_a_late_tick_stays_late(bank: Bank) -> None:
    (found,), _ = taken(bank, encode_record(Tick(NOW - 100 * SECOND)))
    assert found.received == NOW - 100 * SECOND


def test_a_record_within_the_tolerance_is_believed(bank: Bank) -> None:
    (found,), _ = taken(bank, encode_record(Admit(patient="b", received=NOW + AHEAD_US)))
    assert found.received == NOW + AHEAD_US


def test_where_the_broker_does_not_stamp_its_sender_is_not_believed() -> None:
    class Message(msgspec.Struct):
        timestamp: float
        timestamp_type: int

    assert arrival(Message((NOW + YEAR) / 1e6, 1), 1e6, NOW) == pytest.approx(NOW + YEAR, abs=200)
    assert arrival(Message((NOW + YEAR) / 1e6, 0), 1e6, NOW) == NOW


def test_an_observation_from_the_future_is_refused_alone(bank: Bank) -> None:
    raw = json.dumps([said(), said(time=moment(NOW + YEAR)), said(time=moment(NOW - YEAR))]).encode()
    (found,), poison = taken(bank, raw)
    assert poison == ["time_in_future"]
    assert isinstance(found, Frame)
    assert found.columns.time.tolist() == [NOW - SECOND, NOW - YEAR]
    assert found.received == NOW


def test_readings_in_a_frame_that_no_twin_takes_are_told(bank: Bank) -> None:
    good = readings()
    columns = Columns(
        ["a"], np.array([0, 9, 0, 0, 0], "u4"), np.array([0, 0, 999, 0, 0], "u2"),
        np.array([NOW, NOW, NOW, NOW + YEAR, NOW]), np.array([70.0, 70.0, 70.0, 70.0, np.nan]),
    )  # fmt: skip
    (found,), poison = taken(bank, encode_record(as_record(columns, NOW)))
    assert sorted(poison) == ["malformed_frame", "not_finite", "time_in_future", "unknown_signal"]
    assert isinstance(found, Frame)
    assert found == as_record(good, NOW)


def test_a_partition_that_was_frozen_goes_on(bank: Bank) -> None:
    """As an earlier version left it: the worker's tick sets the time back once, however often it is repeated."""
    step(bank, as_record(readings(at=NOW + YEAR, value=80.0), NOW + YEAR), 3)
    assert bank.time == NOW + YEAR
    for offset in (4, 5):
        (tick,), _ = taken(bank, encode_record(Tick(NOW, back=YEAR)), NOW)
        step(bank, tick, offset)
        assert bank.time == NOW
    for second in range(1, 20):
        moment = NOW + second * SECOND
        (found,), _ = taken(bank, encode_record(as_record(readings(at=moment, value=190.0), moment)), moment)
        outcome = step(bank, found, 5 + second)
        if any(one.condition == "limit.critical_high" for one in outcome.transitions):
            break
    else:
        pytest.fail("the partition stands still")
    (tick,), _ = taken(bank, encode_record(Tick(NOW - YEAR, back=YEAR)), NOW + 20 * SECOND)
    assert tick.back == 0


@pytest.mark.parametrize("apart_s", [-86_400, -600, -6, 0, 6, 600, 86_400])
def test_ticks_tell_the_brokers_time_whatever_the_workers_clock_says(apart_s: int) -> None:
    at = [1000.0]
    broker = BrokerTime(lambda: NOW + apart_s * SECOND, lambda: at[0])
    broker.observe(NOW)
    at[0] += 5.0
    broker.observe(NOW + 4 * SECOND)  # this one took a second to come
    assert broker.now() == NOW + 5 * SECOND
    assert log_time(broker.now(), NOW, NOW) == NOW + 5 * SECOND
    # A door 30 s ahead: time goes on, more slowly, and never back.
    assert log_time(broker.now(), NOW + 30 * SECOND, NOW) == NOW + int(34.5 * SECOND)


def test_the_broker_is_followed_when_its_clock_is_set_back() -> None:
    at = [1000.0]
    broker = BrokerTime(lambda: 0, lambda: at[0])
    broker.observe(NOW)
    for _ in range(80):
        at[0] += 1.0
        broker.observe(round(NOW - 600 * SECOND + (at[0] - 1000.0) * SECOND))
    assert broker.now() == pytest.approx(NOW - 520 * SECOND, abs=10)


# -- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "x" * 129, "tab\there", "nul\0"])
def test_a_name_that_no_door_lets_in_is_refused(bank: Bank, name: str) -> None:
    records, poison = taken(bank, json.dumps([said(patient=name), said()]).encode())
    assert [type(record) for record in records] == [Frame]
    assert poison == ["bad_patient_id"]
    records, poison = taken(bank, encode_record(Admit(patient=name, received=NOW)))
    assert not records
    assert poison == ["bad_patient_id"]


def test_strangers_come_in_only_where_the_service_admits(bank: Bank) -> None:
    raw = json.dumps([said(patient="new"), said()]).encode()
    records, poison = taken(bank, raw)
    assert [type(record) for record in records] == [Admit, Frame]
    assert not poison
    records, poison = taken(bank, raw, unknown_patients="refuse")
    assert [type(record) for record in records] == [Frame]
    assert poison == ["unknown_patient"]


def test_no_more_come_in_than_the_service_follows(bank: Bank) -> None:
    raw = json.dumps([said(patient=name) for name in ("b", "c", "d")]).encode()
    records, poison = taken(bank, raw, max_patients=3)
    assert [record.patient for record in records if isinstance(record, Admit)] == ["b", "c"]
    assert poison == ["too_many_patients"]
    records, poison = taken(bank, raw, max_new_patients_per_request=1)
    assert [record.patient for record in records if isinstance(record, Admit)] == ["b"]
    assert poison == ["too_many_new_patients"] * 2


def test_the_discharged_are_not_followed_and_nobody_comes_in_by_what_is_refused(bank: Bank) -> None:
    raw = json.dumps([said(patient="gone"), said(patient="new", time=moment(NOW + YEAR))]).encode()
    records, poison = taken(bank, raw)
    assert not records
    assert sorted(poison) == ["discharged_patient", "time_in_future"]


# -- what ------------------------------------------------------------------------------------------------------------


def test_an_entry_in_error_takes_back_and_other_statuses_are_as_at_the_door(bank: Bank) -> None:
    taken_back = {name: value for name, value in said(status="entered-in-error").items() if name != "value"}
    entries = [said(), taken_back, said(status="cancelled"), said(status="amended"), said(status="what")]
    records, poison = taken(bank, json.dumps(entries).encode())
    frame, retract = records
    assert isinstance(frame, Frame)
    assert len(frame.columns) == 2
    assert isinstance(retract, Retract)
    assert (retract.patient, retract.signal, retract.time) == ("a", "heart_rate", NOW - SECOND)
    assert poison == ["status_not_taken"] * 2
    records, poison = taken(bank, json.dumps(taken_back | {"patient": "nobody"}).encode())
    assert not records
    assert poison == ["unknown_patient"]


# -- what is damaged already -----------------------------------------------------------------------------------------


def kept(worker: Worker) -> list[bytes]:
    return [blob[3] for blob in worker.checkpoint().blobs]


def test_a_partition_that_let_in_a_patient_without_a_name_starts() -> None:
    """Every later tick raised KeyError, so no sensor of the partition was declared silent."""
    worker = Worker(NoHistory())
    worker.assign(0, [])
    for offset, name in enumerate(("a", "", "b")):
        worker.take(0, offset, Admit(patient=name, received=NOW))
        worker.take(0, 3 + offset, as_record(readings(name, NOW, 190.0), NOW))
    blobs = kept(worker)
    again = Worker(NoHistory())
    assert again.assign(0, blobs, 5) == 6
    result: list[tuple[str, str]] = []
    for minute in range(130):  # who has one reading only counts as silent after two hours
        outcome = again.take(0, 6 + minute, Tick(NOW + 60 * minute * SECOND))
        result += [(one.patient, one.condition) for one in outcome.transitions if one.presence == "on"]
    assert again.failures == 0
    assert ("a", "sensor.silent") in result
    assert {patient for patient, _ in result} == {"a", "b"}
    assert again.complete(0).profiles[0].patient == "a"
    # Another patient gets the place next.
    assert "" not in again.banks[0].index


@pytest.mark.parametrize("damage", ["cut", "flipped", "columns", "nothing"])
def test_a_checkpoint_that_cannot_be_read_comes_again_from_the_log(damage: str) -> None:
    names = [f"p{number}" for number in range(130)]
    log: list[Record] = [Admit(patient=name, received=NOW) for name in names]
    log += [
        as_record(readings(name, NOW + second * SECOND), NOW + second * SECOND) for second in range(3) for name in names
    ]
    worker = Worker(NoHistory())
    worker.assign(0, [])
    for offset, record in enumerate(log):
        worker.take(0, offset, record)
    blobs = kept(worker)
    wrong = next(number for number, blob in enumerate(blobs) if b"p70" in blob)
    block = msgspec.msgpack.decode(blobs[wrong])
    if damage == "columns":
        block["arrays"]["state"] = block["arrays"]["state"][:-8]
    blobs[wrong] = {
        "cut": blobs[wrong][:1000], "flipped": b"\xc1" + blobs[wrong][1:], "columns": msgspec.msgpack.encode(block),
        "nothing": b"",
    }[damage]  # fmt: skip
    again = Worker(NoHistory())
    begin = again.assign(0, blobs, len(log) - 1)
    assert (begin, again.damaged) == (0, 1)
    for offset, record in enumerate(log):
        again.take(0, offset, record)
    again.banks[0].finish_catch_up()
    end = len(log) - 1
    for number in range(3):
        assert block_of(again.banks[0], number, end) == block_of(worker.banks[0], number, end)
