"""Readings that no patient can have: never shown as the value, a technical alarm at once, for every signal."""

import math

import numpy as np
import pytest

from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank import layout
from twins.records import Retract, Status, Tick
from twins.signals import SIGNALS
from twins.step.estimates import estimates_of

FOLLOWED = [signal for signal in SIGNALS if signal.filtered]
names = pytest.mark.parametrize("signal", FOLLOWED, ids=lambda signal: signal.name)


def stated(ward, signal):
    """The present estimate of a signal."""
    row = np.array([ward.bank.slot[0, signal.code]], np.int64)
    return {name: column[0] for name, column in estimates_of(ward.bank, row, ward.bank.time).rows.items()}


def usual(signal):
    """A value in the middle of the usual range, that changes."""
    limits = signal.limits
    middle = (limits.low + limits.high) / 2 if math.isfinite(limits.low + limits.high) else signal.modes.mean
    return round(middle, 1)


def gap(signal):
    """Seconds between readings, as usual for such a sensor."""
    return 300 if signal.kind == "glucose" else 900 if signal.silence_s > 1000 else 1


@names
@pytest.mark.parametrize("wrong", ["below", "above", "minus one"])
def test_an_implausible_reading_is_never_the_reading(signal, wrong):
    low, high = signal.plausible
    value = {"below": low - 1.0, "above": high + 1.0, "minus one": -1.0}[wrong]
    ward = Ward()
    every = gap(signal)
    for k in range(20):
        ward.take(frame(k * every, ("p", signal.name, usual(signal) + k % 2 * signal.step)))
    before = stated(ward, signal)
    assert before["quality"] > 0.9
    outcome = ward.take(frame(20 * every, ("p", signal.name, value)))
    assert outcome.status[0] == Status.IMPLAUSIBLE
    after = stated(ward, signal)
    assert (after["value"], after["time"]) == (before["value"], before["time"])
    assert (after["quality"], after["status"]) == (0.0, 1)
    assert (after["rejected"], after["rejected_time"]) == (value, T0 + 20 * every * S)
    for at in range(1, 7):
        for k in range(every == 1):
            ward.take(frame(20 * every + at + k, ("p", signal.name, value)))
        ward.take(Tick(T0 + (20 * every + at) * S))
    (told,) = changes(ward, "sensor.fault")
    assert told.presence == "on"
    assert (told.time - T0) / S - 20 * every <= 6
    assert told.explanation["fault"] == {"reason": "implausible", "value": value}
    assert told.value == value
    assert stated(ward, signal)["status"] == 2
    perhaps = signal.perhaps_from <= value < low
    assert told.priority == ("high" if perhaps else "low")


@names
def test_a_first_reading_that_is_implausible_is_no_reading(signal):
    ward = Ward()
    ward.take(frame(1, ("p", signal.name, -40.0)))
    first = stated(ward, signal)
    assert np.isnan(first["value"])
    assert np.isnan(first["mean"])
    assert (first["quality"], first["status"], first["rejected"]) == (0.0, 1, -40.0)
    for at in range(2, 8):
        ward.take(Tick(T0 + at * S))
    assert [one.presence for one in changes(ward, "sensor.fault")] == ["on"]
    ward.take(frame(9, ("p", signal.name, usual(signal))))
    good = stated(ward, signal)
    assert good["value"] == usual(signal)
    assert np.isnan(good["rejected"])


def test_sensors_that_alternate_are_faulty_and_reported_once():
    ward = Ward()
    ward.steady(1, 60)
    for at in range(60, 300):
        ward.take(frame(at, ("p", "heart_rate", 80 if at % 2 else 400)))
        assert stated(ward, SIGNALS[0])["value"] == 80
    assert [one.presence for one in changes(ward, "sensor.fault")] == ["on"]
    ward.steady(300, 330)
    assert [one.presence for one in changes(ward, "sensor.fault")] == ["on", "off"]


def test_one_dropout_in_ten_is_no_fault():
    ward = Ward()
    for at in range(1, 600):
        ward.take(frame(at, ("p", "heart_rate", 80 if at % 10 else 0)))
        ward.take(Tick(T0 + at * S))
    assert changes(ward, "sensor.fault") == []


def test_the_last_plausible_reading_is_shown_after_any_number_of_others():
    ward = Ward()
    ward.steady(1, 60, value=77.0)
    for at in range(60, 200):
        ward.take(frame(at, ("p", "heart_rate", 400)))
    assert at - 60 > 2 * layout.RING
    now = stated(ward, SIGNALS[0])
    assert (now["value"], now["time"]) == (77.0, T0 + 59 * S)


def test_retracting_an_error_code_leaves_the_reading_before():
    ward = Ward()
    for k in range(20):
        ward.take(frame(300 * k, ("p", "glucose", 140 + k % 2)))
    ward.take(frame(6000, ("p", "glucose", 9)))
    ward.take(Retract(patient="p", signal="glucose", time=T0 + 6000 * S, received=T0 + 6001 * S))
    now = stated(ward, SIGNALS[14])
    assert (now["value"], now["time"], now["status"]) == (141, T0 + 5700 * S, 0)
    assert np.isnan(now["rejected"])


def test_an_implausible_reading_does_not_complete_the_delay_of_a_limit():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    ward.take(frame(60, ("p", "oxygen_saturation", 80)))
    ward.take(frame(61, ("p", "oxygen_saturation", 127)))
    for at in range(62, 75):
        ward.take(Tick(T0 + at * S))
    assert changes(ward, "limit.critical_low") == []
    ward.take(frame(76, ("p", "oxygen_saturation", 30)))  # plausible, and critical limits use the reading as observed
    for at in range(77, 85):
        ward.take(Tick(T0 + at * S))
    assert [one.value for one in changes(ward, "limit.critical_low")] == [30]


def test_a_doubted_reading_has_a_quality_of_half_at_most():
    ward = Ward()
    ward.steady(1, 60)
    ward.take(frame(60, ("p", "heart_rate", 160)))
    now = stated(ward, SIGNALS[0])
    assert (now["value"], now["status"]) == (160, 1)
    assert now["quality"] <= 0.5
