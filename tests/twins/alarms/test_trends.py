"""Rates of change and signal quality, and the devices of a patient: batteries, and nothing ever received."""

import math

import pytest

from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.records import Admit, AlarmPolicy, Discharge, SetAlarmPolicy, SetLimits, Tick


def slope(ward, begin, end, value, per_s, signal="heart_rate"):
    """One reading a second that changes by ``per_s``; returns the last value."""
    for at in range(begin, end):
        value += per_s
        ward.take(frame(at, ("p", signal, round(value))))
        ward.take(Tick(T0 + at * S))
    return value


def events(ward, condition):
    return [(one.event, (one.time - T0) // S) for one in changes(ward, condition)]


def test_no_rate_of_change_alarms_unless_somebody_has_set_a_limit():
    ward = Ward()
    slope(ward, 1, 120, 80.0, 0.0)
    slope(ward, 120, 180, 80.0, 0.5)
    assert changes(ward, "rate.rising") == []


def test_a_fast_rise_alarms_with_its_rate_and_ends_when_it_slows_down():
    ward = Ward()
    ward.take(
        SetLimits(
            patient="p",
            signal="heart_rate",
            high=200.0,
            critical_high=220.0,
            rising_per_min=15.0,
            by="ada",
            received=T0,
        )
    )
    slope(ward, 1, 120, 60.0, 0.0)
    top = slope(ward, 120, 200, 60.0, 0.5)  # 30 /min in a minute
    (began,) = changes(ward, "rate.rising")
    assert 125 < (began.time - T0) // S < 190
    rate = began.explanation["rate"]
    assert 15.0 < rate["per_min"] < 35.0
    assert (rate["limit_per_min"], rate["side"], rate["origin"], rate["set_by"]) == (15.0, "rising", "patient", "ada")
    slope(ward, 200, 330, top, 0.0)
    assert [event for event, _ in events(ward, "rate.rising")] == ["began", "ended"]
    assert changes(ward, "rate.falling") == []


def test_a_slower_rise_than_the_limit_is_none():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", high=200.0, rising_per_min=15.0, received=T0))
    slope(ward, 1, 120, 60.0, 0.0)
    slope(ward, 120, 360, 60.0, 0.1)  # 6 /min in a minute
    assert changes(ward, "rate.rising") == []


def test_a_rate_whose_limit_is_taken_away_ends():
    ward = Ward()
    ward.take(SetLimits(ward="A", signal="heart_rate", low=30.0, critical_low=26.0, falling_per_min=15.0, received=T0))
    slope(ward, 1, 120, 110.0, 0.0)
    value = slope(ward, 120, 200, 110.0, -0.5)
    assert [event for event, _ in events(ward, "rate.falling")] == ["began"]
    ward.take(SetLimits(ward="A", signal="heart_rate", received=T0 + 200 * S))
    slope(ward, 201, 203, value, -0.5)
    assert [event for event, _ in events(ward, "rate.falling")] == ["began", "ended"]


def test_a_poor_signal_is_one_low_alarm_that_a_policy_turns_off():
    def noisy(ward):
        for at in range(1, 400):
            # Two of three readings jump: the filter doubts them, and the third keeps it from being a fault.
            ward.take(frame(at, ("p", "heart_rate", 80 if at < 60 else (80, 150, 35)[at % 3])))
            ward.take(Tick(T0 + at * S))
        return changes(ward, "sensor.quality")

    found = noisy(Ward())
    assert [one.event for one in found][:1] == ["began"]
    assert (found[0].kind, found[0].priority) == ("technical", "low")
    assert found[0].explanation["quality"]["quality"] < found[0].explanation["quality"]["below"] == 0.4
    ward = Ward()
    ward.take(SetAlarmPolicy(policy=AlarmPolicy(quality_below=0.0), received=T0))
    assert noisy(ward) == []


def test_a_patient_whose_devices_never_send_has_an_alarm_until_the_first_reading():
    ward = Ward()
    for at in range(890, 1000):
        ward.take(Tick(T0 + at * S))
    assert events(ward, "device.unheard") == [("began", 900)]
    (alarm,) = changes(ward, "device.unheard")
    assert (alarm.signal, alarm.kind, alarm.explanation["unheard"]["waited_s"]) == ("", "technical", 900)
    restored = Bank()
    restore(restored, block_of(ward.bank, 0, len(ward.log) - 1))
    ward.bank = restored
    ward.take(Tick(T0 + 1001 * S))
    assert len(events(ward, "device.unheard")) == 1
    ward.take(frame(1002, ("p", "heart_rate", 80)))
    ward.take(Tick(T0 + 1003 * S))
    assert events(ward, "device.unheard")[1:] == [("ended", 1003)]


@pytest.mark.parametrize(("after_s", "began"), [(60.0, 60), (0.0, None)])
def test_how_long_is_a_policy_of_the_ward(after_s, began):
    ward = Ward()
    ward.take(SetAlarmPolicy(ward="A", policy=AlarmPolicy(unheard_after_s=after_s), received=T0))
    ward.take(Admit(patient="q", ward="B", received=T0))
    for at in range(1, 200):
        ward.take(Tick(T0 + at * S))
    assert events(ward, "device.unheard") == ([] if began is None else [("began", began)])


def test_an_unheard_patient_who_is_discharged_has_no_alarm_any_more():
    ward = Ward()
    ward.take(Tick(T0 + 900 * S))
    ward.take(Discharge(patient="p", received=T0 + 901 * S))
    ward.take(Tick(T0 + 902 * S))
    assert events(ward, "device.unheard") == [("began", 900), ("discharged", 901)]


def test_a_low_battery_rises_and_ends_when_it_is_charged():
    ward = Ward()
    for at, percent in enumerate((50, 21, 19, 18, 9, 8, 22, 24, 25, 60), 1):
        ward.take(frame(at, ("p", "device_battery", percent)))
    assert events(ward, "device.battery") == [("began", 3), ("rose", 5), ("ended", 9)]
    first, second, _ = changes(ward, "device.battery")
    assert (first.priority, first.value, first.limit) == ("low", 19.0, 20.0)
    assert (second.priority, second.explanation["battery"]["percent"]) == ("medium", 9.0)
    ward.take(frame(5000, ("p", "device_battery", 3, 1000)))
    assert len(events(ward, "device.battery")) == 3
    assert math.isclose(ward.bank.policies.of("A").battery_below, 20.0)
