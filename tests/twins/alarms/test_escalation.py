"""Escalation: steps are made on ticks, once each, and stop in the record that answers the alarm."""

import msgspec
import pytest

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, foundation_of, restore, restore_foundation
from twins.records import (
    Acknowledge,
    Discharge,
    EscalationStep,
    Move,
    Override,
    PauseAlarms,
    SetAlarmOff,
    SetEscalation,
    SetLimits,
    SetSchedule,
    TakeAlarm,
    Tick,
)
from twins.step.dispatch import step
from twins.step.estimates import complete

STEPS = [
    EscalationStep(30.0, ["role:clinician"]),
    EscalationStep(60.0, ["schedule:doctor", "person:head"]),
    EscalationStep(120.0, ["person:chief"]),
]


def chain(at=5, **changed):
    return SetEscalation(**{"priority": "high", "steps": STEPS, "received": T0 + at * S, **changed})


def alarmed(**changed):
    """A ward whose patient has a high alarm from second 40 on (saturation below its critical limit)."""
    ward = Ward()
    ward.take(chain(**changed))
    ward.steady(1, 40, "oxygen_saturation", 96)
    ward.steady(40, 60, "oxygen_saturation", 80)
    return ward


def go_on(ward, begin, end, value=80):
    """Readings and ticks every second."""
    for at in range(begin, end):
        ward.take(frame(at, ("p", "oxygen_saturation", value)))
        ward.take(Tick(received=T0 + at * S))


def changes(ward, event):
    """The transitions of the alarm of low saturation that an event caused."""
    return [
        one for outcome in ward.outcomes for one in outcome.transitions
        if one.family == "low" and one.event == event and not outcome.complete
    ]  # fmt: skip


def second(transition):
    return (transition.emitted - T0) // S


def called(ward):
    """The steps that were made: second after T0, number of the step."""
    return [(second(one), one.step) for one in changes(ward, "escalated")]


def notices(ward, state="pending"):
    return [one for outcome in ward.outcomes for one in outcome.notices if one.state == state and not outcome.complete]


def the_alarm(ward):
    (alarm,) = [alarm for alarm in ward.bank.alarms.values() if alarm.family == "low"]
    return alarm


def onset(ward):
    first = next(
        one for outcome in ward.outcomes for one in outcome.transitions if one.condition == "limit.critical_low"
    )
    return (first.emitted - T0) // S


def test_each_step_is_made_once_after_its_wait_and_calls_whom_it_names():
    ward = alarmed()
    ward.take(
        SetSchedule(name="doctor", overrides=[Override(start=0, end=1 << 60, person="ada")], received=T0 + 60 * S)
    )
    go_on(ward, 60, 500)
    first = onset(ward)
    assert called(ward) == [(first + 30, 1), (first + 90, 2), (first + 210, 3)]
    found = notices(ward)
    assert [(one.step, one.to, one.people) for one in found] == [
        (1, ["role:clinician"], []),
        (2, ["schedule:doctor", "person:head"], ["ada", "head"]),
        (3, ["person:chief"], ["chief"]),
    ]
    assert len({one.id for one in found}) == 3
    assert all(one.due == one.changed and one.expires > one.due for one in found)
    assert the_alarm(ward).escalates_at == 0


def test_the_transition_says_who_is_called_next_and_when():
    ward = alarmed()
    go_on(ward, 60, 80)
    high = [one for outcome in ward.outcomes for one in outcome.transitions if one.priority == "high"]
    first, second = high[0], next(one for one in high if one.event == "escalated")
    assert (first.step, first.escalates_to) == (0, ["role:clinician"])
    assert first.escalates_at == first.emitted + 30 * S
    assert (second.step, second.called, second.called_at) == (1, ["role:clinician"], second.emitted)
    assert (second.escalates_to, second.escalates_at) == (["schedule:doctor", "person:head"], second.emitted + 60 * S)


def test_an_acknowledgement_stops_it_and_cancels_its_notices_in_the_same_record():
    ward = alarmed()
    go_on(ward, 60, 90)
    outcome = ward.take(Acknowledge(patient="p", alarm=the_alarm(ward).id, by="ada", received=T0 + 90 * S))
    (change,) = outcome.transitions
    assert (change.presence, change.step, change.escalates_at, change.escalates_to) == ("acknowledged", 0, 0, [])
    (cancelled,) = outcome.notices
    assert (cancelled.state, cancelled.reason, cancelled.changed) == ("cancelled", "acknowledged", T0 + 90 * S)
    assert cancelled.id == notices(ward)[0].id
    go_on(ward, 90, 400)
    assert len(called(ward)) == 1
    assert ward.bank.notices == {}


@pytest.mark.parametrize(
    "command",
    [
        Discharge(patient="p", received=T0 + 90 * S),
        SetAlarmOff(patient="p", signal="oxygen_saturation", until=T0 + 4000 * S, by="x", received=T0 + 90 * S),
    ],
)
def test_every_end_of_the_alarm_cancels_its_notices(command):
    ward = alarmed()
    go_on(ward, 60, 90)
    outcome = ward.take(command)
    assert [one.state for one in outcome.notices] == ["cancelled"]
    assert ward.bank.notices == {}


def test_who_takes_the_alarm_stops_it_in_the_same_record():
    ward = alarmed()
    go_on(ward, 60, 90)
    outcome = ward.take(TakeAlarm(patient="p", alarm=the_alarm(ward).id, by="ada", received=T0 + 90 * S))
    (change,) = outcome.transitions
    assert (change.event, change.presence, change.escalates_at) == ("taken", "on", 0)
    assert [(one.state, one.reason) for one in outcome.notices] == [("cancelled", "taken")]
    go_on(ward, 90, 400)
    assert len(called(ward)) == 1


def test_no_step_is_made_during_a_pause_of_the_alarm_and_the_wait_begins_again_after_it():
    ward = alarmed()
    pause = PauseAlarms(
        kind="alarm", patient="p", alarm=the_alarm(ward).id, until=T0 + 110 * S, by="x", received=T0 + 60 * S
    )
    ward.take(pause)
    assert the_alarm(ward).paused_until == T0 + 110 * S
    go_on(ward, 60, 200)
    assert called(ward)[0] == (140, 1)


def test_a_pause_of_the_sound_is_no_answer():
    ward = alarmed()
    pause = PauseAlarms(
        kind="audio", patient="p", alarm=the_alarm(ward).id, until=T0 + 110 * S, by="x", received=T0 + 60 * S
    )
    ward.take(pause)
    go_on(ward, 60, 100)
    assert called(ward) == [(onset(ward) + 30, 1)]


def test_without_a_chain_nobody_is_called_and_a_ward_may_have_its_own():
    assert called_after(alarmed(priority="medium")) == []
    assert called_after(alarmed(ward="elsewhere")) == []
    ward = alarmed()
    ward.take(Move(patient="p", ward="B", received=T0 + 60 * S))
    ward.take(chain(at=60, ward="B", steps=[EscalationStep(45, ["person:b"])]))
    assert called_after(ward) == [(onset(ward) + 30, 1)]
    assert [one.to for one in notices(ward)] == [["person:b"]]


def called_after(ward):
    go_on(ward, 60, 300)
    return called(ward)


def test_a_chain_that_is_removed_calls_nobody_any_more_and_says_so():
    ward = alarmed()
    ward.take(chain(at=60, steps=[]))
    go_on(ward, 60, 200)
    assert called(ward) == []
    last = changes(ward, "exhausted")
    assert [(one.escalates_at, one.presence) for one in last] == [(0, "on")]


def test_the_chain_repeats_as_often_as_it_says():
    ward = alarmed(
        steps=[EscalationStep(10, ["person:a"]), EscalationStep(10, ["person:b"])], repeat=1, repeat_after_s=50
    )
    go_on(ward, 60, 400)
    first = onset(ward)
    # Ticks begin at second 60, when the first step is already due.
    begin = max(first + 10, 60)
    assert called(ward) == [(begin, 1), (begin + 10, 2), (begin + 60, 3), (begin + 70, 4)]
    assert [one.people for one in notices(ward)] == [["a"], ["b"], ["a"], ["b"]]


def test_a_latched_alarm_waits_and_goes_on_when_the_condition_returns():
    ward = alarmed()
    ward.take(SetLimits(patient="p", signal="oxygen_saturation", clear_s=0.0, received=T0 + 60 * S))
    go_on(ward, 60, 65)
    first = onset(ward)
    go_on(ward, 65, 200, value=96)
    assert the_alarm(ward).presence == "latched"
    assert called(ward) == []
    ended = second(changes(ward, "ended")[0])
    go_on(ward, 200, 260)
    again = second(changes(ward, "recurred")[-1])
    # The wait of 30 s counts the seconds before the end and those after the return.
    made = called(ward)[0][0]
    assert abs((ended - first) + (made - again) - 30) <= 2


def test_an_old_alarm_is_not_escalated_after_a_long_standstill():
    ward = alarmed(age_limit_s=3600)
    ward.take(Tick(received=T0 + 90 * 86_400 * S, unheard=90 * 86_400 * S))
    assert called(ward) == []
    assert [one.event for one in ward.outcomes[-1].transitions if one.priority == "high"] == ["exhausted"]


def test_a_clock_that_jumps_ahead_makes_one_step_at_a_time():
    ward = alarmed()
    ward.take(Tick(received=T0 + 1000 * S, unheard=900 * S))
    go_on(ward, 1000, 1100)
    assert called(ward) == [(1000, 1), (1060, 2)]


def test_a_clock_that_is_set_back_neither_loses_nor_repeats_a_step():
    ward = alarmed()
    go_on(ward, 60, 80)
    assert len(called(ward)) == 1
    waits = the_alarm(ward).escalates_at - ward.bank.time
    ward.take(Tick(received=T0 + 25 * S, back=54 * S))
    assert the_alarm(ward).escalates_at - ward.bank.time == waits
    go_on(ward, 26, 130)
    assert [number for _, number in called(ward)] == [1, 2]


@pytest.mark.parametrize("cut", [45, 62, 72, 74, 100, 133, 140, 300])
def test_a_restart_from_a_checkpoint_neither_loses_nor_repeats_a_step(cut):
    """The same records, with a checkpoint written, encoded and restored in between, give the same outcomes."""
    whole = alarmed()
    go_on(whole, 60, 320)
    records = whole.log
    at = next(place for place, record in enumerate(records) if record.received >= T0 + cut * S)
    first, second = Bank(), Bank()
    for offset, record in enumerate(records[:at]):
        step(first, record, offset)
    wire = msgspec.msgpack.encode
    restore_foundation(
        second, msgspec.msgpack.decode(wire(foundation_of(first, at - 1)), type=type(foundation_of(first, 0))), at
    )
    block = block_of(first, 0, at - 1)
    restore(second, msgspec.msgpack.decode(wire(block), type=type(block)))
    second.time = first.time
    told = [step(second, record, at + place) for place, record in enumerate(records[at:])]
    expected = whole.outcomes[at:]
    assert [wire(one.notices) for one in told] == [wire(one.notices) for one in expected]
    assert [wire(one.transitions) for one in told] == [wire(one.transitions) for one in expected]
    assert wire(complete(second, 0)) == wire(complete(whole.bank, 0))
