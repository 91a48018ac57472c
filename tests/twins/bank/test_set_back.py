"""A clock that was wrong by an hour and is corrected: the twins go on as if it had always been right."""

import msgspec
import numpy as np
import pytest

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, Foundation, block_of, foundation_of, restore, restore_foundation
from twins.records import Acknowledge, SetLimits, Tick
from twins.step.dispatch import step

HOUR = 3_600


def wrong_for_a_while():
    """A minute with a clock an hour ahead and readings with right times; then the clock is corrected."""
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", high=100.0, critical_high=130.0, received=T0))
    ward.steady(1, 60)
    for at in range(60, 120):
        ward.take(frame(HOUR + at, ("p", "heart_rate", 80.0, HOUR)))
        ward.take(Tick(T0 + (HOUR + at) * S))
    ward.take(Tick(T0 + 120 * S, back=HOUR * S))
    return ward


def test_what_is_measured_afterwards_is_judged_at_once():
    ward = wrong_for_a_while()
    ward.steady(121, 140, value=150.0)
    ward.take(Tick(T0 + 140 * S))
    assert "on" in ward.presences("limit.critical_high")
    assert ward.presences("sensor.silent")[-1:] in ([], ["off"])


def test_silence_is_detected_afterwards_in_time():
    ward = wrong_for_a_while()
    ward.steady(121, 130)
    for at in range(130, 180):
        ward.take(Tick(T0 + at * S))
    assert ward.presences("sensor.silent")[-1] == "on"


def test_no_time_in_the_bank_is_ahead_and_the_whole_state_is_sent():
    ward = wrong_for_a_while()
    now = T0 + 120 * S
    assert ward.outcomes[-1].complete
    assert ward.outcomes[-1].time == ward.bank.time == now
    for array, _ in ward.bank.held():
        if array.dtype.kind in "fi" and array.dtype.itemsize == 8:
            ahead = array[np.isfinite(array) & (array > now + 2 * HOUR * S) & (array < 1 << 60)]
            assert not ahead.size
    assert all(alarm.onset <= now and alarm.time <= now for alarm in ward.bank.alarms.values())


def test_an_active_alarm_can_be_acknowledged_by_its_old_id():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", critical_high=130.0, received=T0))
    ward.steady(1, 30)
    ward.steady(HOUR + 30, HOUR + 60, value=150.0)
    (alarm,) = [one for one in ward.bank.alarms.values() if one.condition == "limit.critical_high"]
    ward.take(Tick(T0 + 61 * S, back=HOUR * S))
    assert alarm.onset <= T0 + 61 * S
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + 62 * S))
    assert alarm.presence == "acknowledged"


@pytest.mark.parametrize("kept_at", [5, 60, 100, 181, 190])
def test_a_restart_from_a_checkpoint_before_or_after_gives_the_same(kept_at):
    whole = wrong_for_a_while()
    whole.steady(121, 140)
    again = Bank()
    first = Bank()
    for offset, record in enumerate(whole.log[: kept_at + 1]):
        step(first, record, offset)
    block = msgspec.msgpack.encode(block_of(first, 0, kept_at))
    restore_foundation(
        again, msgspec.msgpack.decode(msgspec.msgpack.encode(foundation_of(first, kept_at)), type=Foundation), kept_at
    )
    restore(again, msgspec.msgpack.decode(block, type=Block))
    for offset, record in enumerate(whole.log[kept_at + 1 :], kept_at + 1):
        step(again, record, offset)
    again.finish_catch_up()
    assert again.time == whole.bank.time
    assert msgspec.msgpack.encode(block_of(again, 0, 999)) == msgspec.msgpack.encode(block_of(whole.bank, 0, 999))
