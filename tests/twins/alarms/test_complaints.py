"""What users of other alarm systems complain of most, one test for each: here it must not happen."""

import numpy as np

from tests.twins.alarms.test_grouping import WELL, monitor, quiet, sounding, transitions
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.records import Acknowledge, Tick


def acknowledge(ward, at, family, signal):
    (alarm,) = [one for one in ward.bank.alarms.values() if (one.family, one.signal) == (family, signal)]
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + at * S))
    return alarm


def saturation(ward, begin, end, value):
    monitor(ward, begin, end, **{**WELL, "oxygen_saturation": value})


def test_an_acknowledged_alarm_is_quiet_until_it_ends_and_comes_back():
    ward = Ward()
    saturation(ward, 1, 60, 97)
    saturation(ward, 60, 100, 87)
    acknowledge(ward, 100, "low", "oxygen_saturation")
    saturation(ward, 101, 700, 87)
    assert ("limit.low", "oxygen_saturation") not in sounding(ward, 101)
    saturation(ward, 700, 900, 97)
    saturation(ward, 900, 960, 87)
    assert ("limit.low", "oxygen_saturation") in sounding(ward, 900)


def test_nothing_sounds_on_after_the_condition_has_ended():
    ward = Ward()
    saturation(ward, 1, 60, 97)
    saturation(ward, 60, 100, 87)
    saturation(ward, 100, 300, 97)
    assert not [one for one in ward.bank.alarms.values() if one.presence == "on"]
    assert [one for one in transitions(ward) if one.event == "ended"][-1].signals == dict.fromkeys(
        ("visible", "audible", "remote"), "off"
    )


def test_missing_data_are_an_alarm_of_their_own_that_no_age_of_data_blocks():
    ward = Ward()
    monitor(ward, 1, 60, **WELL)
    quiet(ward, 60, 600)
    assert [name for name, _ in sounding(ward)] == ["sensor.silent"]
    assert [one.presence for one in ward.bank.alarms.values()] == ["on"] * len(WELL)


def test_data_that_stopped_neither_end_an_alarm_nor_raise_it_again():
    ward = Ward()
    saturation(ward, 1, 60, 97)
    saturation(ward, 60, 100, 87)
    alarm = acknowledge(ward, 100, "low", "oxygen_saturation")
    quiet(ward, 101, 4000)
    own = [one for one in transitions(ward, 101) if one.alarm == alarm.id]
    assert [(one.event, one.presence, one.known) for one in own][:1] == [("unknown", "acknowledged", False)]
    assert alarm.standing
    assert not {one.event for one in own} & {"ended", "rose", "worsened", "recurred"}


def test_limits_that_are_passed_on_the_way_back_do_not_sound_again():
    ward = Ward()
    saturation(ward, 1, 60, 97)
    for at, value in enumerate(range(96, 79, -1)):
        saturation(ward, 60 + 10 * at, 70 + 10 * at, value)
    assert [name for name, signal in sounding(ward) if signal == "oxygen_saturation"][-1] == "limit.critical_low"
    for at, value in enumerate(range(80, 98)):
        saturation(ward, 300 + 10 * at, 310 + 10 * at, value)
    assert [name for name, signal in sounding(ward, 300) if signal == "oxygen_saturation"] == []
    assert len({one.alarm for one in transitions(ward) if one.family == "low"}) == 1


def test_answering_one_alarm_leaves_the_opposite_one():
    ward = Ward()
    monitor(ward, 1, 60, **WELL)
    fast = {**WELL, "heart_rate": 130, "pulse_rate": 130}
    monitor(ward, 60, 120, **fast)
    acknowledge(ward, 120, "high", "heart_rate")
    slow = {**WELL, "heart_rate": 35, "pulse_rate": 35}
    monitor(ward, 121, 200, **slow)
    assert ("limit.critical_low", "heart_rate") in sounding(ward, 121)


def test_one_outlier_raises_nothing():
    ward = Ward()
    for at in range(1, 300):
        ward.take(frame(at, ("p", "heart_rate", 180 if at % 60 == 0 else 80), ("p", "respiratory_rate", 16)))
        ward.take(Tick(T0 + at * S))
    assert sounding(ward) == []


def test_a_new_start_after_a_long_time_is_a_new_alarm():
    ward = Ward()
    saturation(ward, 1, 60, 97)
    saturation(ward, 60, 100, 87)
    saturation(ward, 100, 1000, 97)
    saturation(ward, 1000, 1060, 87)
    began = [one for one in transitions(ward) if one.condition == "limit.low" and one.event == "began"]
    assert len(began) == len({one.alarm for one in began}) == 2


def test_a_value_that_swings_about_its_limit_is_one_alarm():
    for width in (2, 4, 8):
        ward = Ward()
        monitor(ward, 1, 120, **{**WELL, "heart_rate": 100, "pulse_rate": 100})
        rng = np.random.default_rng(width)
        for at in range(120, 720):
            value = 120 + width * np.sin(2 * np.pi * at / 45) + rng.normal(0, 1)
            monitor(ward, at, at + 1, **{**WELL, "heart_rate": round(value), "pulse_rate": round(value)})
        assert len([one for one in sounding(ward) if one[1] in {"heart_rate", "pulse_rate"}]) <= 1, width
