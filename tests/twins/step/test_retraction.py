"""Retracted or corrected readings: their effects on value, alarms and score end, and a transition says why."""

import msgspec
import numpy as np
import pytest

from tests.twins.step.test_arrival import T0, Bed, S
from twins.alarms.conditions import family_of
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.records import Retract, Status
from twins.signals import BY_NAME


class Ward(Bed):
    def take_back(self, signal, at, received=None):
        when = self.at if received is None else received
        return self.take(Retract(patient="p", signal=signal, time=T0 + at * S, received=T0 + int(when * S)))

    def standing(self):
        return sorted((alarm.condition, alarm.presence) for alarm in self.bank.alarms.values())

    def last(self, condition):
        """The last transition of the alarm that ``condition`` is a level of."""
        return [one for one in self.transitions if one.family == family_of(condition)][-1]


def wrong_patient(count=60, before=0):
    ward = Ward()
    for at in range(before):
        ward.send(at + 1, ("heart_rate", 80, at + 1))
    for at in range(before, before + count):
        ward.send(at + 1, ("heart_rate", 30, at + 1))
    ward.until(before + count + 30)
    assert ("limit.critical_low", "on") in ward.standing()
    assert "news2.single" in {name for name, _ in ward.standing()}
    return ward


@pytest.mark.parametrize("order", ["oldest first", "newest first", "shuffled"])
@pytest.mark.parametrize("before", [0, 100])
def test_retracting_all_readings_of_the_wrong_patient_leaves_nothing(order, before):
    ward = wrong_patient(before=before)
    times = list(range(before + 1, before + 61))
    if order == "newest first":
        times.reverse()
    elif order == "shuffled":
        np.random.default_rng(1).shuffle(times)
    for time in times:
        ward.take_back("heart_rate", int(time))
    assert ward.standing() == []
    for condition in ("limit.critical_low", "news2.single"):
        over = ward.last(condition)
        assert (over.presence, over.explanation["withdrawn"]) == ("off", "taken_back")
    assert ward.scores[-1].parts == {}
    row = ward.row("heart_rate")
    assert ward.bank.state[row, layout.COUNT] == 0
    assert ward.estimates.rows["time"].tolist() == [0]
    ward.until(ward.at + 60)
    assert ward.standing() == []
    ward.send(ward.at + 1, ("heart_rate", 80, ward.at + 1))
    assert ward.state("heart_rate", layout.VALUE) == 80.0
    assert ward.standing() == []


def test_a_true_alarm_stays_when_some_of_its_readings_are_retracted():
    ward = wrong_patient()
    for time in range(51, 61):
        ward.take_back("heart_rate", time)
    assert ("limit.critical_low", "on") in ward.standing()


def test_a_correction_of_the_newest_reading_is_judged_at_once():
    ward = Ward()
    ward.send(1, ("glucose", 120, 1))
    ward.send(300, ("glucose", 120, 300))
    ward.send(310, ("glucose", 50, 300))
    assert {("limit.critical_low", "on")} <= set(ward.standing())
    ward.send(320, ("glucose", 120, 300))
    assert ward.standing() == []
    over = ward.last("limit.critical_low")
    assert (over.presence, over.explanation["withdrawn"]) == ("off", "corrected")


def test_a_corrected_false_alarm_does_not_stay_latched():
    ward = Ward()
    ward.send(1, ("glucose", 120, 1))
    ward.send(300, ("glucose", 40, 300))
    ward.send(600, ("glucose", 120, 600))
    # The filtered value is still low; the priority is that of the critical limit until somebody answers.
    assert ward.standing() == [("limit.low", "on")]
    assert ward.last("limit.low").priority == "high"
    ward.send(610, ("glucose", 110, 300))
    assert ward.standing() == []
    assert ward.last("limit.critical_low").explanation["withdrawn"] == "corrected"


def test_a_latched_true_alarm_stays_latched_when_another_reading_is_corrected():
    ward = Ward()
    ward.send(1, ("glucose", 120, 1))
    ward.send(300, ("glucose", 40, 300))
    ward.send(600, ("glucose", 120, 600))
    ward.send(610, ("glucose", 118, 600))
    assert ward.last("limit.critical_low").priority == "high"
    ward.send(900, ("glucose", 118, 900))
    ward.send(1200, ("glucose", 118, 1200))
    assert ("limit.critical_low", "latched") in ward.standing()


def test_one_wrong_high_reading_corrected_leaves_no_alarm_and_no_fault():
    ward = Ward()
    for at in range(1, 40):
        ward.send(at, ("heart_rate", 80, at))
    for at in range(40, 50):
        ward.send(at, ("heart_rate", 0, at))
    assert "sensor.fault" in {name for name, _ in ward.standing()}
    for at in range(40, 50):
        ward.send(50, ("heart_rate", 81, at))
    assert "sensor.fault" not in {name for name, _ in ward.standing()}


def test_a_correction_ends_an_alarm_of_the_filtered_value():
    ward = Ward()
    for at in range(1, 20):
        ward.send(at * 60, ("heart_rate", 80, at * 60))
    for at in range(20, 23):
        ward.send(at * 60, ("heart_rate", 135, at * 60))
    assert "limit.high" in {name for name, _ in ward.standing()}
    for at in range(20, 23):
        ward.send(23 * 60 - 20, ("heart_rate", 80, at * 60))
    assert ward.standing() == []
    assert ward.last("limit.high").explanation["withdrawn"] == "corrected"


def test_retractions_are_in_the_checkpoint():
    ward = wrong_patient()
    for time in range(1, 45):
        ward.take_back("heart_rate", time)
    raw = msgspec.msgpack.encode(block_of(ward.bank, 0, len(ward.log) - 1))
    other = Ward()
    other.bank = Bank()
    restore(other.bank, msgspec.msgpack.decode(raw, type=Block))
    other.bank.finish_catch_up()
    other.bank.time, other.log, other.at = ward.bank.time, list(ward.log), ward.at
    told = [
        [msgspec.msgpack.encode(one.take_back("heart_rate", time)) for time in range(45, 61)] for one in (ward, other)
    ]
    assert told[0] == told[1]
    assert other.standing() == []


def test_a_reading_that_was_never_sent_cannot_be_retracted():
    ward = wrong_patient()
    outcome = ward.take_back("heart_rate", 1000)
    assert outcome.status[0] == Status.DUPLICATE
    assert ("limit.critical_low", "on") in ward.standing()
    assert BY_NAME["heart_rate"].code == 0
