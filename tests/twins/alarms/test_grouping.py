"""Alarms of one cause are one alarm with others under it; what becomes more urgent than its lead sounds by itself."""

import pytest

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.records import Acknowledge, Tick


def monitor(ward, begin, end, **values):
    """All signals of a monitor, once a second."""
    for at in range(begin, end):
        ward.take(frame(at, *[("p", name, value) for name, value in values.items()]))
        ward.take(Tick(T0 + at * S))


def quiet(ward, begin, end):
    for at in range(begin, end):
        ward.take(Tick(T0 + at * S))


def transitions(ward, since=0):
    return [one for outcome in ward.outcomes for one in outcome.transitions if one.time >= T0 + since * S]


def sounding(ward, since=0):
    """What sounded anew: a person has to look."""
    return [
        (one.condition, one.signal) for one in transitions(ward, since)
        if one.event in {"began", "recurred", "rose"} and not one.under
    ]  # fmt: skip


WELL = {"heart_rate": 80, "pulse_rate": 80, "respiratory_rate": 16, "oxygen_saturation": 97}


def test_a_stopped_monitor_is_one_alarm_and_so_is_its_return():
    ward = Ward()
    monitor(ward, 1, 120, **WELL)
    quiet(ward, 120, 240)
    silent = [one for one in transitions(ward) if one.condition == "sensor.silent"]
    assert len({one.signal for one in silent}) == 4
    assert len(sounding(ward)) == 1
    lead = next(one for one in silent if not one.under)
    assert {one.under for one in silent if one.number == 1} == {"", lead.alarm}
    assert all(one.signals["audible"] == "off" for one in silent if one.under)
    monitor(ward, 240, 260, **WELL)
    assert len(sounding(ward)) == 1
    assert not ward.bank.alarms


def test_one_sensor_that_stays_silent_after_its_lead_is_back_shows_by_itself():
    ward = Ward()
    monitor(ward, 1, 120, **WELL)
    quiet(ward, 120, 240)
    back = {name: value for name, value in WELL.items() if name != "respiratory_rate"}
    monitor(ward, 240, 260, **back)
    (alarm,) = ward.bank.alarms.values()
    assert (alarm.signal, alarm.under, alarm.presence) == ("respiratory_rate", "", "on")


def test_whoever_acknowledged_the_lead_is_not_called_again_by_what_was_under_it():
    ward = Ward()
    monitor(ward, 1, 120, **WELL)
    quiet(ward, 120, 240)
    lead = next(alarm for alarm in ward.bank.alarms.values() if not alarm.under)
    ward.take(Acknowledge(patient="p", alarm=lead.id, by="nurse", received=T0 + 240 * S))
    back = {name: value for name, value in WELL.items() if name != "respiratory_rate"}
    monitor(ward, 241, 260, **back)
    (alarm,) = ward.bank.alarms.values()
    assert (alarm.signal, alarm.presence, alarm.by) == ("respiratory_rate", "acknowledged", "nurse")


def test_devices_that_stop_at_different_times_are_two_alarms():
    ward = Ward()
    monitor(ward, 1, 120, **WELL)
    monitor(ward, 120, 600, heart_rate=80, pulse_rate=80, oxygen_saturation=97)
    quiet(ward, 600, 660)
    assert sorted(signal for _, signal in sounding(ward)) in (
        ["heart_rate", "respiratory_rate"], ["pulse_rate", "respiratory_rate"],
        ["oxygen_saturation", "respiratory_rate"],
    )  # fmt: skip


@pytest.mark.parametrize("rate", [128, 160])
def test_one_fast_heart_is_one_alarm(rate):
    ward = Ward()
    monitor(ward, 1, 120, **WELL)
    monitor(ward, 120, 200, **{**WELL, "heart_rate": rate, "pulse_rate": rate})
    fast = [one for one in transitions(ward, 110) if one.family == "high"]
    assert {one.signal for one in fast if not one.under} == {"heart_rate"}
    assert {one.signal for one in fast} == {"heart_rate", "pulse_rate"}


def test_a_score_for_one_red_value_is_under_its_limit_alarm_and_rises_out_of_it():
    ward = Ward()
    monitor(ward, 1, 120, **WELL, systolic_bp=120, body_temperature=37)
    monitor(ward, 120, 300, **{**WELL, "respiratory_rate": 28}, systolic_bp=120, body_temperature=37)
    score = [one for one in transitions(ward) if one.family == "news2"]
    limit = next(one for one in transitions(ward) if one.condition == "limit.high")
    assert [(one.condition, one.under) for one in score] == [("news2.single", limit.alarm)]
    sick = {**WELL, "respiratory_rate": 28, "oxygen_saturation": 93}
    monitor(ward, 300, 600, **sick, systolic_bp=120, body_temperature=37)
    assert ("news2.medium", "") in sounding(ward, 300)
    (alarm,) = [alarm for alarm in ward.bank.alarms.values() if alarm.family == "news2"]
    assert alarm.under == ""
