"""Stays: the next admission of an id begins with nothing of the last, and nothing dated before it moves a twin."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.frame import as_record
from streams.registry import projected
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.records import (
    Acknowledge,
    Admit,
    Columns,
    Discharge,
    Fact,
    Move,
    Outcome,
    Record,
    Retract,
    SetLimits,
    SetProfile,
    Status,
    Tick,
)
from twins.signals import BY_NAME
from twins.step.dispatch import step
from twins.step.estimates import complete

S = 1_000_000
T0 = 1_767_225_600 * S
SPO2 = BY_NAME["oxygen_saturation"].code


class Ward:
    def __init__(self) -> None:
        self.bank, self.offset = Bank(), -1

    def take(self, record: Record) -> Outcome:
        self.offset += 1
        return step(self.bank, record, self.offset)

    def reading(self, value: float, at: int, received: int | None = None, signal: int = SPO2) -> Outcome:
        columns = Columns(["bed-3"], np.zeros(1, "<u4"), np.array([signal], "<u2"), np.array([at]), np.array([value]))
        return self.take(as_record(columns, at if received is None else received))

    def profile(self):
        return complete(self.bank, self.offset).profiles[0]


def used() -> Ward:
    """A ward whose bed-3 was used and is empty, 60 s after ``T0``."""
    ward = Ward()
    ward.take(Admit(patient="bed-3", ward="A", bed="3", label="First", spo2_scale=2, received=T0))
    ward.take(SetLimits(patient="bed-3", signal="oxygen_saturation", critical_low=75, low=80, received=T0))
    ward.take(Fact(patient="bed-3", kind="oxygen", time=T0, value=4.0, received=T0))
    ward.take(Fact(patient="bed-3", kind="consciousness", time=T0, value="V", received=T0))
    for second in range(50):
        ward.reading(70.0, T0 + second * S)
    assert ward.bank.alarms
    ended = ward.take(Discharge(patient="bed-3", received=T0 + 60 * S))
    assert {one.presence for one in ended.transitions} == {"off"}
    assert not ward.bank.alarms
    return ward


def test_the_next_stay_begins_with_nothing_of_the_last() -> None:
    ward, fresh = used(), Ward()
    record = Admit(patient="bed-3", ward="B", label="Second", received=T0 + 90 * S)
    for one in (ward, fresh):
        one.take(msgspec.structs.replace(record))
    profile = ward.profile()
    assert (profile.admitted, profile.begin, profile.active) == (T0 + 90 * S, T0 + 90 * S, True)
    assert (profile.label, profile.bed, profile.spo2_scale, profile.limits) == ("Second", "", 1, {})
    assert (profile.oxygen, profile.oxygen_time, profile.consciousness, profile.consciousness_time) == (
        None,
        0,
        None,
        0,
    )
    for second in range(91, 140):
        told = [one.reading(82.0, T0 + second * S) for one in (ward, fresh)]
        found, wanted = ([msgspec.structs.replace(each, id="") for each in outcome.transitions] for outcome in told)
        assert found == wanted, "the twin of a second stay is that of a new patient"
        assert told[0].estimates == told[1].estimates
    assert any(alarm.condition == "limit.critical_low" for alarm in ward.bank.alarms.values())


def test_readings_dated_before_the_stay_move_nothing() -> None:
    ward = used()
    ward.take(Admit(patient="bed-3", ward="B", received=T0 + 90 * S))
    untouched = block(ward.bank, 9)
    assert status(ward.reading(60.0, T0 + 89 * S, T0 + 95 * S)) == [Status.BEFORE_STAY]
    assert not ward.take(
        Fact(patient="bed-3", kind="oxygen", time=T0 + 80 * S, value=9.0, received=T0 + 95 * S)
    ).profiles
    outcome = ward.take(Retract(patient="bed-3", signal="oxygen_saturation", time=T0, received=T0 + 95 * S))
    assert status(outcome) == [Status.BEFORE_STAY]
    assert block(ward.bank, 9) == untouched
    assert status(ward.reading(97.0, T0 + 90 * S, T0 + 95 * S)) == [Status.ACCEPTED]


def test_the_first_stay_of_an_id_reaches_back() -> None:
    ward = Ward()
    ward.take(Admit(patient="bed-3", stranger=True, received=T0))
    assert status(ward.reading(97.0, T0 - 3600 * S, T0)) == [Status.ACCEPTED]


def test_admitting_an_admitted_patient_changes_nothing_and_sends_the_profile() -> None:
    ward = Ward()
    ward.take(Admit(patient="bed-3", ward="A", bed="3", label="First", spo2_scale=2, received=T0))
    before = block(ward.bank, 9)
    for again in (
        Admit(patient="bed-3", ward="B", bed="1", label="other", received=T0 + S),
        Admit(patient="bed-3", ward="unassigned", stranger=True, received=T0 + S),
    ):
        outcome = ward.take(again)
        assert [(one.ward, one.label, one.admission) for one in outcome.profiles] == [("A", "First", 0)]
        assert block(ward.bank, 9) == before


def test_a_reading_does_not_readmit_a_discharged_patient() -> None:
    ward = used()
    outcome = ward.take(Admit(patient="bed-3", ward="unassigned", stranger=True, received=T0 + 70 * S))
    assert [one.active for one in outcome.profiles] == [False]
    assert status(ward.reading(60.0, T0 + 71 * S)) == [Status.UNKNOWN_PATIENT]


@pytest.mark.parametrize(
    "command",
    [
        SetLimits(patient="bed-3", signal="oxygen_saturation", critical_low=40.0),
        SetProfile(patient="bed-3", spo2_scale=2),
        Move(patient="bed-3", ward="C"),
        Discharge(patient="bed-3"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_meant_for_another_stay_changes_nothing(command) -> None:
    ward = used()
    first = ward.bank.profile(0).admitted
    for record in (command, msgspec.structs.replace(command, stay=first)):
        assert ward.take(msgspec.structs.replace(record, received=T0 + 80 * S)).empty  # nobody is admitted
    ward.take(Admit(patient="bed-3", ward="B", received=T0 + 90 * S))
    before = block(ward.bank, 9)
    assert ward.take(msgspec.structs.replace(command, stay=first, received=T0 + 91 * S)).empty
    assert block(ward.bank, 9) == before
    meant = msgspec.structs.replace(command, stay=ward.bank.profile(0).admitted, received=T0 + 92 * S)
    assert ward.take(meant).profiles
    assert block(ward.bank, 9) != before


def test_stays_within_one_microsecond_are_distinguished() -> None:
    ward, seen = Ward(), []
    for _ in range(4):
        seen += ward.take(Admit(patient="bed-3", received=T0)).stays
        ward.take(Discharge(patient="bed-3", received=T0))
    assert len({one.admitted // 1000 for one in seen}) == 4
    assert [one.begin for one in seen] == [0, *[one.admitted for one in seen[1:]]]


def test_a_fact_sent_again_is_not_charted_again() -> None:
    ward = Ward()
    ward.take(Admit(patient="bed-3", received=T0))
    first = Fact(patient="bed-3", kind="oxygen", id="x", time=T0 + S, value=2.0, received=T0 + S)
    ward.take(first)
    ward.take(Fact(patient="bed-3", kind="oxygen", id="y", time=T0 + 2 * S, value=0.0, received=T0 + 2 * S))
    again = ward.take(msgspec.structs.replace(first, time=T0 + 3 * S, received=T0 + 3 * S))
    assert (again.empty, status(again), ward.profile().oxygen) == (True, [Status.DUPLICATE], 0.0)


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "stranger", "discharge", "low", "old", "oxygen", "limits", "move", "tick", "retract"]),
        st.integers(1, 20_000),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def log_of(picked: list[tuple[str, int]]) -> list[Record]:
    """Records in log order, the second number being the milliseconds since the one before."""
    now, records = T0, list[Record]()
    for kind, pause in picked:
        now += pause * 1000
        columns = Columns(
            ["p"], np.zeros(1, "<u4"), np.array([SPO2], "<u2"),
            np.array([now - (15 * S if kind == "old" else 0)]), np.array([70.0 + pause % 3]),
        )  # fmt: skip
        made: dict[str, Record] = {
            "admit": Admit(patient="p", ward="A", received=now),
            "stranger": Admit(patient="p", ward="u", stranger=True, received=now),
            "discharge": Discharge(patient="p", received=now),
            "low": as_record(columns, now),
            "old": as_record(columns, now),
            "oxygen": Fact(patient="p", kind="oxygen", time=now - 10 * S, value=2.0, received=now),
            "limits": SetLimits(patient="p", signal="oxygen_saturation", low=60.0, received=now),
            "move": Move(patient="p", bed=str(pause), received=now),
            "tick": Tick(now),
            "retract": Retract(patient="p", signal="oxygen_saturation", time=now - pause * 1000, received=now),
        }
        records.append(made[kind])
    return records


@settings(max_examples=60, deadline=None)
@given(picked=RECORDS, cut=st.integers(0, 40))
def test_stays_survive_a_checkpoint_with_the_same_future(picked, cut) -> None:
    records = log_of(picked)
    whole, before = Bank(), Bank()
    wanted = [step(whole, one, at) for at, one in enumerate(records)]
    cut = min(cut, len(records))
    for at, one in enumerate(records[:cut]):
        step(before, one, at)
    after = Bank()
    if before.patients:
        restore(after, msgspec.msgpack.decode(msgspec.msgpack.encode(block_of(before, 0, cut - 1)), type=Block))
    after.time = before.time
    found = [step(after, one, at) for at, one in enumerate(records) if at >= cut]
    assert [msgspec.msgpack.encode(one) for one in found] == [msgspec.msgpack.encode(one) for one in wanted[cut:]]


@settings(max_examples=60, deadline=None)
@given(picked=RECORDS)
def test_nothing_of_a_stay_is_in_the_next(picked) -> None:
    """After any past, a stay is bit for bit that of a new id, except for when it may begin."""
    records, bank, fresh = log_of(picked), Bank(), Bank()
    for at, one in enumerate(records):
        step(bank, one, at)
    now, at = bank.time + S, len(records)
    step(bank, Discharge(patient="p", received=now), at)
    for one in (bank, fresh):
        step(one, Admit(patient="p", ward="B", received=now + S), at + 1)
    fresh.begin[0] = bank.begin[0]
    fresh.profile(0).begin = bank.profile(0).begin
    assert block(bank, 9) == block(fresh, 9)


@settings(max_examples=100, deadline=None)
@given(picked=RECORDS)
def test_the_registry_predicts_what_the_log_decides(picked) -> None:
    bank, known = Bank(), None
    for at, one in enumerate(log_of(picked)):
        foreseen = projected(one, known) if isinstance(one, Admit | Move | Discharge) else None
        outcome = step(bank, one, at)
        if outcome.profiles:
            decided = outcome.profiles[-1]
            if foreseen is not None:
                for name in ("active", "ward", "bed", "label", "admitted", "begin", "discharged"):
                    assert getattr(foreseen, name) == getattr(decided, name), name
            known = decided
        else:
            assert foreseen is None


def test_an_older_checkpoint_shows_nothing_from_before_its_admission() -> None:
    ward = used()
    ward.take(Admit(patient="bed-3", ward="B", received=T0 + 90 * S))
    kept = block_of(ward.bank, 0, ward.offset)
    del kept.arrays["begin"]
    kept.profiles[0].begin, kept.profiles[0].admission = -1, -1
    again = Bank()
    restore(again, msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Block))
    assert again.begin[0] == again.profile(0).begin == T0 + 90 * S


def test_an_alarm_of_the_stay_before_cannot_be_acknowledged_any_more() -> None:
    ward = Ward()
    ward.take(Admit(patient="bed-3", ward="A", received=T0))
    for second in range(30):
        ward.reading(70.0, T0 + second * S)
    (alarm, *_) = ward.bank.alarms.values()
    ward.take(Discharge(patient="bed-3", received=T0 + 40 * S))
    ward.take(Admit(patient="bed-3", ward="B", received=T0 + 50 * S))
    assert ward.take(Acknowledge(patient="bed-3", alarm=alarm.id, by="x", received=T0 + 51 * S)).empty


def status(outcome: Outcome) -> list[int]:
    return list(outcome.status)


def block(bank: Bank, offset: int) -> bytes:
    return msgspec.msgpack.encode(block_of(bank, 0, offset))
