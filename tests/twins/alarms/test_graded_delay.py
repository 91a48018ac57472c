"""The delay of a low or high limit: shorter for deeper values; and the time after which its alarm ends."""

import pytest

from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.records import SetLimits, Tick

HOUR = 3600


def begins_after(value, delay_s):
    """Seconds from the first respiratory rate of ``value`` to its limit's alarm, with limits of 25 and 35."""
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="respiratory_rate", delay_s=delay_s, received=T0))
    for at in range(1, 40):
        ward.take(frame(at, ("p", "respiratory_rate", value)))
        found = changes(ward, "limit.high")
        if found:
            return (found[0].time - T0) // S - 1
    return None


@pytest.mark.parametrize(("value", "seconds"), [(25.001, 30), (30, 15), (35, 10)])
def test_a_delay_passes_the_faster_the_deeper_the_value(value, seconds):
    """1 + 2 · (value - 25) / (35 - 25) seconds of the delay of 30 s pass in a second."""
    assert begins_after(value, 30.0) == seconds


def test_without_a_delay_the_first_reading_alarms():
    assert begins_after(26, 0.0) == 0


def test_a_reading_that_is_not_beyond_begins_the_delay_anew():
    ward = Ward()
    for at in range(1, 200):
        ward.take(frame(at, ("p", "respiratory_rate", 24.8 if at % 20 == 0 else 25.4)))
    assert changes(ward, "limit.high") == []


@pytest.mark.parametrize("clear_s", [0.0, 30.0])
def test_an_alarm_ends_when_its_limit_has_not_been_passed_for_the_time_set(clear_s):
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="respiratory_rate", delay_s=0.0, clear_s=clear_s, received=T0))
    for at in range(1, 120):
        ward.take(frame(at, ("p", "respiratory_rate", 25.4 if at < 20 or at == 30 else 23.9)))
    ended = [(one.time - T0) // S for one in changes(ward, "limit.high") if one.presence == "off"]
    assert ended == ([20, 31] if clear_s == 0.0 else [61])


def test_between_rare_readings_a_tick_ends_the_alarm():
    ward = Ward()
    for at, value in ((1, 20), (1 + HOUR, 27), (1 + 2 * HOUR, 20)):
        ward.take(frame(at, ("p", "respiratory_rate", value)))
        for after in (60, 119, 121):
            ward.take(Tick(T0 + (at + after) * S))
    assert [one.presence for one in changes(ward, "limit.high")] == ["on", "off"]
    assert (changes(ward, "limit.high")[-1].time - T0) // S == 1 + 2 * HOUR + 121


def test_a_fall_through_both_limits_is_one_alarm_that_begins_high():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    ward.steady(60, 90, "oxygen_saturation", 80)
    found = [one for outcome in ward.outcomes for one in outcome.transitions if one.family == "low"]
    assert [(one.event, one.priority) for one in found][:1] == [("began", "high")]
    assert all(one.event != "rose" for one in found)
