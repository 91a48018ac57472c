"""Pauses, "I take it" and reminders through the step: what is silent until when, and that nothing stays silent."""

import msgspec
import pytest

from tests.twins.step.test_step import T0, S, Ward
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, Foundation, block_of, foundation_of, restore, restore_foundation
from twins.records import (
    Acknowledge,
    Admit,
    AlarmPolicy,
    Discharge,
    Move,
    PauseAlarms,
    SetAlarmPolicy,
    SetLimits,
    TakeAlarm,
    Tick,
)
from twins.step.dispatch import step


def at(seconds):
    return T0 + seconds * S


def fast(until=60, value=125.0):
    """A ward whose patient has a heart rate beyond the plain limit from second 30 on."""
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, until, value=value)
    return ward


def alarm_of(ward, family="high"):
    return next(alarm for alarm in ward.bank.alarms.values() if alarm.family == family and alarm.signal == "heart_rate")


def pause(here, seconds, until, kind="audio", **what):
    whose = what or {"patient": "p"}
    return here.take(
        PauseAlarms(kind=kind, until=at(until), by="nurse", reason="turning", received=at(seconds), **whose)
    )


def ticks(ward, begin, end, value=None):
    """One reading (if given) and one tick a second."""
    for second in range(begin, end):
        if value is not None:
            ward.steady(second, second + 1, value=value)
        ward.take(Tick(received=at(second)))


def told(ward, event):
    """The transitions with an event: (second, signals)."""
    return [
        (t.emitted // S - T0 // S, t.signals)
        for outcome in ward.outcomes for t in outcome.transitions
        if (t.event, t.signal, t.family) == (event, "heart_rate", "high")
    ]  # fmt: skip


def signals(ward, family="high"):
    alarm = alarm_of(ward, family)
    return next(
        t.signals for outcome in reversed(ward.outcomes) for t in outcome.transitions if t.alarm == alarm.id
    )  # fmt: skip


def test_an_audio_pause_silences_the_sound_alone_and_ends_on_the_tick_of_its_end():
    ward = fast()
    pause(ward, 60, 90)
    assert signals(ward) == {"visible": "on", "audible": "paused", "remote": "on"}
    (profile,) = ward.outcomes[-1].profiles
    held = profile.audio_pause
    assert (held.until, held.since, held.by, held.reason, held.scope) == (at(90), at(60), "nurse", "turning", "patient")
    ticks(ward, 61, 95, value=125.0)
    assert told(ward, "resumed") == [(90, {"visible": "on", "audible": "on", "remote": "on"})]
    assert ward.bank.profile(0).audio_pause is None
    assert ward.bank.paused == []


def test_an_alarm_pause_hides_all_signals():
    ward = fast()
    pause(ward, 60, 90, kind="alarm")
    assert signals(ward) == {"visible": "paused", "audible": "paused", "remote": "paused"}
    assert ward.outcomes[-1].profiles[0].alarm_pause.until == at(90)
    ticks(ward, 61, 91, value=125.0)
    assert signals(ward) == {"visible": "on", "audible": "on", "remote": "on"}


def test_a_new_medium_alarm_is_silent_during_an_audio_pause_and_sounds_after_it():
    ward = Ward()
    ward.steady(1, 30)
    pause(ward, 30, 100)
    ticks(ward, 31, 105, value=125.0)
    (begun,) = told(ward, "began")
    assert begun[1] == {"visible": "on", "audible": "paused", "remote": "on"}
    assert told(ward, "resumed") == [(100, {"visible": "on", "audible": "on", "remote": "on"})]


def test_a_new_high_alarm_sounds_in_spite_of_an_audio_pause():
    ward = Ward()
    ward.steady(1, 30)
    pause(ward, 30, 140)
    ticks(ward, 31, 60, value=160.0)
    assert alarm_of(ward).priority == "high"
    assert signals(ward)["audible"] == "on"


def test_a_rise_to_high_sounds_in_spite_of_an_audio_pause():
    ward = fast()
    pause(ward, 60, 170)
    ticks(ward, 61, 90, value=160.0)
    assert [s["audible"] for _, s in told(ward, "rose")][-1] == "on"


def test_during_an_alarm_pause_a_new_high_alarm_waits_for_the_end_but_is_not_lost():
    ward = Ward()
    ward.steady(1, 30)
    pause(ward, 30, 100, kind="alarm")
    ticks(ward, 31, 60, value=160.0)
    assert signals(ward)["audible"] == "paused"
    ticks(ward, 60, 80)  # the condition is over, and it latches
    ward.steady(60, 80)
    ticks(ward, 80, 101)
    alarm = alarm_of(ward)
    assert alarm.presence in {"on", "latched"}
    assert signals(ward)["visible"] == alarm.presence


@pytest.mark.parametrize(("kind", "longest"), [("audio", 120), ("alarm", 180)])
def test_a_pause_lasts_as_long_as_the_policy_allows_at_most(kind, longest):
    ward = fast()
    pause(ward, 60, 100_000, kind=kind)
    held = ward.bank.profile(0)
    assert (held.audio_pause or held.alarm_pause).until == at(60 + longest)


def test_a_pause_of_one_alarm_silences_no_other_and_ends_when_it_becomes_worse():
    ward = fast()
    ward.steady(60, 90, signal="oxygen_saturation", value=97.0)
    ward.steady(90, 160, signal="oxygen_saturation", value=88.0)
    ward.steady(150, 160, value=125.0)
    alarm, other = alarm_of(ward), next(a for a in ward.bank.alarms.values() if a.signal == "oxygen_saturation")
    pause(ward, 160, 270, patient="p", alarm=alarm.id)
    assert alarm.audio_paused_until == at(270)
    assert other.audio_paused_until == 0
    assert ward.bank.profile(0).audio_pause is None
    ticks(ward, 161, 180, value=160.0)
    assert alarm.audio_paused_until == 0
    assert signals(ward)["audible"] == "on"


def test_a_pause_ends_early_on_request():
    ward = fast()
    pause(ward, 60, 150)
    pause(ward, 70, 0)
    assert told(ward, "resumed") == [(70, {"visible": "on", "audible": "on", "remote": "on"})]
    assert ward.outcomes[-1].profiles[0].audio_pause is None


def test_a_condition_that_ends_ends_its_pause_and_sounds_when_it_comes_again():
    ward = fast()
    ward.take(SetLimits(patient="p", signal="heart_rate", clear_s=0.0, received=at(59)))
    alarm = alarm_of(ward)
    pause(ward, 60, 170, patient="p", alarm=alarm.id)
    ticks(ward, 61, 90, value=80.0)
    assert (alarm.presence, alarm.audio_paused_until) == ("off", 0)
    ticks(ward, 90, 120, value=125.0)
    assert [s["audible"] for _, s in told(ward, "recurred")] == ["on"]


def test_a_pause_of_a_ward_is_for_those_who_are_there_and_stays_behind_when_they_leave():
    ward = fast()
    ward.take(Admit(patient="q", ward="B", received=at(60)))
    outcome = pause(ward, 61, 150, ward="A")
    assert [(one.patient, one.audio_pause.scope) for one in outcome.profiles] == [("p", "ward")]
    ward.take(Move(patient="p", ward="B", received=at(70)))
    assert ward.bank.profile(0).audio_pause is None
    assert signals(ward)["audible"] == "on"


def test_a_move_within_the_ward_and_a_pause_of_the_patient_go_together():
    ward = fast()
    pause(ward, 60, 150)
    ward.take(Move(patient="p", bed="4", received=at(70)))
    ward.take(Move(patient="p", ward="B", received=at(71)))
    assert ward.bank.profile(0).audio_pause.until == at(150)


def test_a_discharge_ends_pauses():
    ward = fast()
    pause(ward, 60, 150)
    ward.take(Discharge(patient="p", received=at(70)))
    assert ward.bank.profile(0).audio_pause is None
    ward.take(Admit(patient="p", ward="A", received=at(80)))
    ward.steady(81, 130, value=160.0)
    assert signals(ward)["audible"] == "on"


def test_an_acknowledged_alarm_that_persists_sounds_again_after_the_time_of_its_priority():
    ward = fast(value=160.0)
    ward.take(Acknowledge(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(60)))
    assert alarm_of(ward).reminds_at == at(660)
    ticks(ward, 61, 662, value=160.0)
    assert told(ward, "reminded") == [(660, {"visible": "on", "audible": "on", "remote": "on"})]
    assert alarm_of(ward).presence == "on"


def test_what_nobody_measures_is_not_reminded_of_until_it_is_measured_again():
    ward = fast(value=160.0)
    ward.take(Acknowledge(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(60)))
    ticks(ward, 61, 700)
    assert told(ward, "reminded") == []
    ticks(ward, 700, 710, value=160.0)
    assert len(told(ward, "reminded")) == 1


def test_whoever_takes_an_alarm_is_named_and_it_goes_on():
    ward = fast()
    outcome = ward.take(TakeAlarm(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(61)))
    (taken,) = outcome.transitions
    assert (taken.event, taken.presence, taken.responder, taken.signals["audible"]) == ("taken", "on", "nurse", "on")
    assert ward.take(TakeAlarm(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(62))).transitions == []


def test_a_policy_of_the_ward_comes_before_that_of_the_site():
    ward = Ward()
    site = AlarmPolicy(longest_audio_pause_s=30.0, remind_after_s={"medium": 60.0})
    own = AlarmPolicy(longest_audio_pause_s=45.0, latches={"limit.high": True})
    ward.take(SetAlarmPolicy(policy=site, received=at(1)))
    ward.take(SetAlarmPolicy(ward="A", policy=own, received=at(2)))
    ward.steady(3, 30)
    ward.steady(30, 60, value=125.0)
    pause(ward, 60, 1000)
    assert ward.bank.profile(0).audio_pause.until == at(105)
    ward.take(Acknowledge(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(61)))
    assert alarm_of(ward).reminds_at == at(121)
    ticks(ward, 62, 130, value=125.0)
    ward.steady(130, 210)
    assert alarm_of(ward).presence == "latched"


def test_policies_and_pauses_survive_a_restart():
    ward = fast()
    ward.take(SetAlarmPolicy(ward="A", policy=AlarmPolicy(fold_s=0.0), by="chief", received=at(60)))
    pause(ward, 61, 120)
    ward.take(Acknowledge(patient="p", alarm=alarm_of(ward).id, by="nurse", received=at(62)))
    bank = Bank()
    last = len(ward.log) - 1
    kept = msgspec.msgpack.encode(foundation_of(ward.bank, last))
    restore_foundation(bank, msgspec.msgpack.decode(kept, type=Foundation), last)
    restore(bank, msgspec.msgpack.decode(msgspec.msgpack.encode(block_of(ward.bank, 0, last)), type=Block))
    assert bank.policies.of("A").fold_s == 0.0
    assert bank.paused == [0]
    for offset, record in enumerate((Tick(received=at(120)), Tick(received=at(3700))), last + 1):
        one, two = step(ward.bank, record, offset), step(bank, record, offset)
        assert msgspec.to_builtins(one) == msgspec.to_builtins(two)
    assert bank.paused == []


def test_a_clock_that_is_set_back_moves_the_end_of_a_pause():
    ward = fast()
    pause(ward, 60, 120)
    ward.take(Tick(received=at(65), back=0))
    ward.take(Tick(received=at(5), back=60 * S))
    assert ward.bank.profile(0).audio_pause.until == at(60)
    assert alarm_of(ward).audio_paused_until == at(60)
