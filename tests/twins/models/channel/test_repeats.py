"""The same glucose received in two ways confirms nothing; other readings count as usual."""

import numpy as np
import pytest

from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_implausible import stated
from tests.twins.step.test_step import Ward, frame
from twins.bank import layout
from twins.records import AlarmPolicy, SetAlarmPolicy
from twins.signals import SIGNALS

GLUCOSE = SIGNALS[14]


def course(k):
    """A glucose that moves around the low limit, as noisy as a sensor."""
    rng = np.random.default_rng(k)
    return round(92 + 20 * np.sin(k / 9) + 8 * np.sin(k / 3.1) + rng.normal(0, 3.0))


def predicted(offsets, apart=0):
    """Predicted-low alarms, and the final twin, for readings every 5 min, each repeated after some seconds."""
    ward = Ward()
    ward.take(SetAlarmPolicy(policy=AlarmPolicy(precision_wanted=0.2)))
    for k in range(600):
        for place, offset in enumerate(offsets):
            ward.take(frame(300 * k + max(offset, 0), ("p", "glucose", course(k) + place * apart, max(-offset, 0))))
    return len([one for one in changes(ward, "predicted.low") if one.presence == "on"]), stated(ward, GLUCOSE)


@pytest.mark.parametrize(("offsets", "apart"), [((0, 9), 0), ((0, 9, 17), 0), ((0, 40), 0), ((0, 9), 1), ((0, -9), 0)])
def test_a_second_uploader_changes_no_alarm_and_narrows_no_band(offsets, apart):
    once, twin = predicted((0,))
    assert once >= 5
    twice, other = predicted(offsets, apart)
    assert abs(twice - once) <= max(1, once // 5)
    assert other["sd"] == pytest.approx(twin["sd"], rel=0.1)


def test_a_value_that_differs_and_a_sensor_of_every_minute_are_measurements():
    ward = Ward()
    for k in range(20):
        ward.take(frame(60 * k, ("p", "glucose", 120)))
    row = ward.bank.slot[0, 14]
    assert ward.bank.state[row, layout.COUNT] == 20
    ward.take(frame(60 * 19 + 9, ("p", "glucose", 122)))
    assert ward.bank.state[row, layout.COUNT] == 20
    ward.take(frame(60 * 19 + 20, ("p", "glucose", 112)))
    assert ward.bank.state[row, layout.COUNT] == 21


def test_no_reading_of_a_dense_channel_is_a_repeat():
    ward = Ward()
    for at in range(1, 300):
        ward.take(frame(at, ("p", "heart_rate", 80), ("p", "body_temperature", 37.0)))
    assert ward.bank.state[:2, layout.COUNT].tolist() == [299, 299]
