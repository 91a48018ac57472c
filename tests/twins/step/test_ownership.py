"""Who owns a reading: no source corrects or retracts what another sent, in whatever way it is tried."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.frame import as_record
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.records import Admit, Columns, Discharge, Frame, Outcome, Record, Retract, Status, Tick
from twins.signals import BY_NAME
from twins.step.dispatch import step
from twins.step.ownership import named

S = 1_000_000
T0 = 1_767_225_600 * S
HR = BY_NAME["heart_rate"].code
UNFILTERED = next(signal.code for signal in BY_NAME.values() if not signal.filtered)
A, B, WIDE = "aaaaaaaa/monitor", "bbbbbbbb/watch", "*cccccccc/gateway"


def frame(readings: list[tuple[str, int, float]], received: int, signal: int = HR) -> Frame:
    """Readings (source, time, value) that arrived in one commit."""
    sources = sorted({source for source, _, _ in readings})
    count = len(readings)
    columns = Columns(
        ["p"], np.zeros(count, "<u4"), np.full(count, signal, "<u2"), np.array([time for _, time, _ in readings], "<i8"),
        np.array([value for _, _, value in readings]),
    )  # fmt: skip
    which = np.array([sources.index(source) for source, _, _ in readings], "<u2")
    return as_record(columns, received, sources, which if len(sources) > 1 else None)


class Channel:
    def __init__(self) -> None:
        self.bank, self.offset = Bank(), -1
        self.take(Admit(patient="p", received=T0))

    def take(self, record: Record) -> Outcome:
        self.offset += 1
        return step(self.bank, record, self.offset)

    def send(self, *readings: tuple[str, int, float], at: int = T0 + 100 * S) -> list[Status]:
        return [Status(one) for one in self.take(frame(list(readings), at)).status]

    def ring(self) -> dict[int, float]:
        return {int(time): value for time, value in self.bank.ring[self.bank.slot[0, HR]].tolist() if time}


def test_another_source_can_neither_correct_nor_retract() -> None:
    channel = Channel()
    assert channel.send((A, T0, 120.0), (A, T0 + S, 121.0)) == [Status.ACCEPTED] * 2
    assert channel.send((B, T0, 60.0)) == [Status.FOREIGN]
    assert channel.send((B, T0 + S, 60.0)) == [Status.FOREIGN]
    outcome = channel.take(
        Retract(patient="p", signal="heart_rate", time=T0, source=B, by="watch", received=T0 + 100 * S)
    )
    assert list(outcome.status) == [Status.FOREIGN]
    assert channel.bank.filed is None
    assert [(one.what, one.by) for one in outcome.revisions] == [("not_taken", "watch")]
    assert channel.ring() == {T0: 120.0, T0 + S: 121.0}
    assert channel.send((A, T0, 119.0)) == [Status.CORRECTED]
    outcome = channel.take(Retract(patient="p", signal="heart_rate", time=T0, source=A, received=T0 + 100 * S))
    assert list(outcome.status) == [Status.RETRACTED]
    assert channel.ring() == {T0 + S: 121.0}


def test_each_of_two_sources_has_its_own_readings() -> None:
    channel = Channel()
    for second in range(10):
        channel.send((A if second % 2 else B, T0 + second * S, 80.0 + second))
    assert channel.send((A, T0, 60.0), (B, T0 + S, 60.0)) == [Status.FOREIGN] * 2
    assert channel.send((B, T0, 60.0), (A, T0 + S, 60.0)) == [Status.CORRECTED] * 2


def test_within_one_commit_the_first_reading_owns_the_moment() -> None:
    for first, second in ((A, B), (B, A)):
        channel = Channel()
        assert channel.send((first, T0, 120.0), (second, T0, 60.0)) == [Status.ACCEPTED, Status.FOREIGN]
        assert channel.ring() == {T0: 120.0}


def test_an_equal_value_of_another_source_changes_nothing() -> None:
    channel = Channel()
    channel.send((A, T0, 120.0))
    assert channel.send((B, T0, 120.0)) == [Status.DUPLICATE]
    assert channel.send((B, T0, 60.0)) == [Status.FOREIGN]


def test_a_source_that_may_correct_others_owns_the_moment_afterwards() -> None:
    channel = Channel()
    channel.send((A, T0, 120.0), (A, T0 + S, 121.0))
    assert channel.send((WIDE, T0, 60.0)) == [Status.CORRECTED]
    assert channel.send((A, T0, 100.0)) == [Status.FOREIGN]
    outcome = channel.take(Retract(patient="p", signal="heart_rate", time=T0 + S, source=WIDE, received=T0 + 100 * S))
    assert list(outcome.status) == [Status.RETRACTED]
    assert channel.ring() == {T0: 60.0}


def test_a_moment_of_unknown_owner_belongs_to_another_source() -> None:
    channel = Channel()
    channel.send(*((A, T0 + second * S, 80.0) for second in range(100)), at=T0 + 100 * S)
    assert channel.send((B, T0 + 3 * S, 60.0)) == [Status.FOREIGN]
    assert channel.send((A, T0 + 3 * S, 60.0)) == [Status.LATE]
    outcome = channel.take(Retract(patient="p", signal="heart_rate", time=T0 + 3 * S, source=B, received=T0 + 100 * S))
    assert list(outcome.status) == [Status.FOREIGN]


def test_owners_do_not_pass_to_the_next_stay() -> None:
    channel = Channel()
    channel.send((A, T0, 120.0))
    channel.take(Discharge(patient="p", received=T0 + 10 * S))
    channel.take(Admit(patient="p", received=T0 + 20 * S))
    for source in (A, B):
        outcome = channel.take(Retract(patient="p", signal="heart_rate", time=T0, source=source, received=T0 + 30 * S))
        assert list(outcome.status) == [Status.FOREIGN]
    assert channel.send((B, T0 + 100 * S + 1000, 90.0), at=T0 + 101 * S) == [Status.ACCEPTED]


def test_sources_have_the_names_people_know() -> None:
    assert [named(one) for one in (A, WIDE, "kafka", "demo")] == ["monitor", "gateway", "kafka", "demo"]


READINGS = st.lists(
    st.tuples(st.sampled_from([A, B]), st.integers(0, 12), st.sampled_from([80.0, 90.0]), st.integers(0, 3)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(readings=READINGS, cut=st.integers(0, 40))
def test_the_first_source_owns_a_moment_across_checkpoints(readings, cut) -> None:
    """Against a plain model, however the readings are split into frames; the owner's last value is in force."""
    model: dict[int, tuple[str, float]] = {}
    channel, frames = Channel(), []
    for number, group in itertools.groupby(readings, key=lambda one: one[3]):
        frames.append([(source, T0 + second * S, value) for source, second, value, _ in group])
        del number
    for at, one in enumerate(frames):
        if at == cut % (len(frames) + 1):
            kept = block_of(channel.bank, 0, channel.offset)
            again = Bank()
            restore(again, msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Block))
            again.time = channel.bank.time
            channel.bank = again
        for (source, time, value), status in zip(one, channel.send(*one), strict=True):
            owner = model.get(time)
            if owner is None or owner[0] == source:
                model[time] = (source, value)
                assert status != Status.FOREIGN
            else:
                assert status == (Status.DUPLICATE if value == owner[1] else Status.FOREIGN)
    if model:
        assert channel.ring() == {time: value for time, (_, value) in model.items()}


@pytest.mark.parametrize("signal", [HR, UNFILTERED])
def test_frames_without_sources_are_taken_as_before(signal) -> None:
    channel = Channel()
    columns = Columns(["p"], np.zeros(1, "<u4"), np.array([signal], "<u2"), np.array([T0]), np.array([80.0]))
    first = channel.take(as_record(columns, T0))
    other = msgspec.structs.replace(columns, value=np.array([70.0]))
    assert list(first.status) in ([Status.ACCEPTED], [Status.UNFILTERED])
    assert list(channel.take(as_record(other, T0 + S)).status) in ([Status.CORRECTED], [Status.UNFILTERED])


def test_an_alarm_names_the_device_that_sent_the_newest_reading_also_after_a_restart() -> None:
    channel = Channel()
    channel.send(*((A, T0 + second * S, 80.0) for second in range(60)), at=T0 + 60 * S)
    channel.send(*((B, T0 + second * S, 20.0) for second in range(60, 100)), at=T0 + 100 * S)
    kept = block_of(channel.bank, 0, channel.offset)
    again = Bank()
    restore(again, msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Block))
    again.time = channel.bank.time
    (low,) = [alarm for key, alarm in again.alarms.items() if key[1] == "low"]
    assert low.explanation["device"] == "watch"
    outcome = step(again, Tick(received=T0 + 200 * S), channel.offset + 1)
    silent = [one for one in outcome.transitions if one.condition == "sensor.silent"]
    assert [one.explanation["device"] for one in silent] == ["watch"]
