"""Gaps uploaded late: the past makes no sound and is reported once, the same for every order and every split."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twins.step.test_arrival import T0, Bed, S
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.records import Discharge, Retract
from twins.signals import BY_NAME
from twins.step import past

NOW = 6 * 3600


class Line(Bed):
    """A patient who has been here for six hours; only the last minutes have ticks."""

    def __init__(self):
        super().__init__()
        self.at = NOW - 60
        self.until(NOW)

    def upload(self, batches, signal="glucose", every=0.2, settle=20):
        """Each batch of (value, time) as one frame, ``every`` seconds after the last, then time to settle."""
        at = float(NOW)
        for batch in batches:
            self.send(at, *((signal, value, time) for value, time in batch))
            at += every
        self.until(at + settle)
        return self

    def episodes(self):
        """The newest change of each valid episode of the past, without what depends on the time of the report."""
        newest = {}
        for one in self.transitions:
            if one.past:
                newest[one.alarm] = one
        return {
            (name, one.condition, one.onset - T0, one.time - T0, one.value, one.onset_value, one.limit, one.presence)
            for name, one in newest.items()
            if "withdrawn" not in one.explanation
        }

    def heard(self):
        return [
            (one.condition, one.presence)
            for one in self.transitions
            if not one.past and one.condition not in {"sensor.silent", "device.unheard"}
        ]


def course(times, low=(), depth=45.0):
    return [(depth if any(a <= time <= b for a, b in low) else 120.0, time) for time in times]


GAP = course(range(NOW - 3 * 3600, NOW + 1, 300), low=[(NOW - 7200, NOW - 5400)])


@pytest.mark.parametrize("order", ["oldest first", "newest first", "shuffled", "at once", "newest batch first"])
def test_a_low_that_was_over_hours_ago_is_recorded_without_a_sound(order):
    single = [[one] for one in GAP]
    batches = {
        "oldest first": single,
        "newest first": single[::-1],
        "shuffled": [single[at] for at in np.random.default_rng(3).permutation(len(single))],
        "at once": [GAP],
        "newest batch first": [GAP[24:], GAP[12:24], GAP[:12]],
    }[order]
    line = Line().upload(batches)
    assert line.heard() == []
    assert not line.bank.alarms
    assert {one[1:] for one in line.episodes()} == {
        ("limit.critical_low", (NOW - 7200) * S, (NOW - 5400) * S, 45.0, 45.0, 54.0, "off"),
        ("limit.low", (NOW - 7200) * S, (NOW - 5400) * S, 45.0, 45.0, 70.0, "off"),
    }
    assert all(one.past and not one.standing for one in line.transitions if one.condition.startswith("limit."))


@st.composite
def uploads(draw):
    signal, every = draw(st.sampled_from([("glucose", 300), ("heart_rate", 60), ("heart_rate", 600)]))
    count = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    last = NOW - draw(st.sampled_from([0, 1200, 7200]))
    times = [last - every * back for back in range(count)][::-1]
    usual, low, high = (120.0, 45.0, 400.0) if signal == "glucose" else (80.0, 30.0, 160.0)
    # The newest quarter of an hour is normal: a value beyond a limit now would be a live alarm.
    values = [usual if time > NOW - 1000 else float(rng.choice([usual, usual, low, low - 3, high])) for time in times]
    readings = list(zip(values, times, strict=True))
    order = draw(st.permutations(range(count)))
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=6)))
    return signal, readings, order, cuts, draw(st.sampled_from([0.2, 10.0]))


@given(uploads())
@settings(max_examples=120, deadline=None)
def test_episodes_are_the_same_for_every_order_and_split(case):
    signal, readings, order, cuts, every = case
    truth = Line().upload([readings], signal).episodes()
    shuffled = [readings[at] for at in order]
    batches = [part for a, b in zip([0, *cuts], [*cuts, len(readings)], strict=True) if (part := shuffled[a:b])]
    line = Line().upload(batches, signal, every)
    assert line.episodes() == truth
    assert [one for one in line.heard() if one[0].startswith(("limit.", "predicted."))] == []
    oldest = Line().upload([[one] for one in readings], signal)
    assert oldest.episodes() == truth
    assert not any(alarm.latches for alarm in oldest.bank.alarms.values())


def test_an_upload_whose_newest_reading_is_out_of_limits_is_a_live_alarm():
    for batches in ([[one] for one in GAP], [[one] for one in GAP[::-1]], [GAP]):
        line = Line().upload([*batches[:-1], batches[-1], [(44.0, NOW + len(batches) * 0.2)]])
        assert ("limit.critical_low", "on") in line.heard()


def test_the_newest_reading_some_minutes_old_alarms_if_nothing_newer_comes():
    line = Line().upload([[(44.0, NOW - 200)]], settle=5)
    assert line.heard() == []
    line.until(NOW + 15)
    assert ("limit.critical_low", "on") in line.heard()


def test_dense_readings_of_a_gap_are_one_episode_and_few_are_stored():
    line = Line()
    times = np.arange(NOW - 4 * 3600, NOW - 3600)
    values = np.where(times % 7 == 0, 80.0, 30.0)
    values[5000] = 20.0
    for part in np.array_split(np.random.default_rng(5).permutation(len(times)), 30):
        line.send(NOW, *(("heart_rate", values[at], times[at]) for at in part))
    line.until(NOW + 20)
    (critical,) = [one for one in line.episodes() if one[1] == "limit.critical_low"]
    low = times[values < 40]
    assert critical[2:5] == (low[0] * S, low[-1] * S, 20.0)
    assert line.heard() == []
    kept = line.bank.past[0, BY_NAME["heart_rate"].code]
    assert len(kept.readings) < past.MOST
    again = line.episodes()
    line.send(NOW + 30, ("heart_rate", 30.0, NOW - 2 * 3600 + 1))
    line.until(NOW + 60)
    assert line.episodes() == again


def test_retracted_or_corrected_readings_leave_no_episode():
    line = Line().upload([[(45.0, NOW - 7200), (46.0, NOW - 6900)], [(45.0, NOW - 3600)]])
    assert len(line.episodes()) == 4
    for time in (NOW - 7200, NOW - 6900):
        line.take(Retract(patient="p", signal="glucose", time=T0 + time * S, received=T0 + (NOW + 30) * S))
    line.send(NOW + 31, ("glucose", 110.0, NOW - 3600))
    line.until(NOW + 40)
    assert line.episodes() == set()
    line.send(NOW + 50, ("glucose", 44.0, NOW - 3600))
    line.until(NOW + 60)
    assert {one[4] for one in line.episodes()} == {44.0}


def test_waiting_episodes_are_in_the_checkpoint_and_reported_at_a_discharge():
    line = Line()
    line.send(NOW, *(("glucose", value, time) for value, time in GAP))
    raw = msgspec.msgpack.encode(block_of(line.bank, 0, len(line.log) - 1))
    other = Line()
    other.bank = Bank()
    restore(other.bank, msgspec.msgpack.decode(raw, type=Block))
    other.bank.finish_catch_up()
    other.bank.time, other.log = line.bank.time, list(line.log)
    record = Discharge(patient="p", received=T0 + (NOW + 1) * S)
    assert msgspec.msgpack.encode(line.take(record)) == msgspec.msgpack.encode(other.take(record))
    assert len(line.episodes()) == len(other.episodes()) == 2
    assert not line.bank.past


def test_a_late_upload_does_not_end_the_silence_of_a_sensor():
    line = Line()
    for at in range(3):
        line.send(NOW + at, ("heart_rate", 80.0, NOW + at))
    line.until(NOW + 60)
    line.send(NOW + 60, ("heart_rate", 30.0, NOW - 3600))
    assert line.bank.phase[line.row("heart_rate"), layout.SILENT] == layout.ON


@pytest.mark.parametrize("order", [1, -1])
def test_an_episode_that_is_still_going_on_is_one_live_alarm(order):
    readings = course(range(NOW - 3600, NOW + 1, 300), low=[(NOW - 1800, NOW)])
    line = Line().upload([[one] for one in readings[::order]])
    assert ("limit.critical_low", "on") in line.heard()
    assert line.episodes() == set()
    line.upload([[(45.0, NOW - 2000)]])
    assert line.episodes() == set()
