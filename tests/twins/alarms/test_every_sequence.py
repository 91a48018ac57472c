"""Every sequence of events up to a stated depth: two alarms of one patient, through the lifecycle and through the step."""

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.twins.alarms import every_sequence as every
from tests.twins.step.test_step import T0, S, frame
from twins.alarms.table import EVENTS, MOVES, SIGNALS_OF, STATES, markdown, move
from twins.bank.bank import Bank
from twins.records import Acknowledge, Admit, Discharge, PauseAlarms, SetAlarmOff, TakeAlarm, Tick
from twins.step.dispatch import step


@pytest.fixture(autouse=True)
def _critical_latches():
    every.latching("critical")


def test_two_alarms_through_every_sequence_of_five_events():
    """Also that each move of the table can be made, except those of the escalation, which is not part of this walk."""
    made = every.walk(5)
    escalation = {"escalated", "exhausted"}
    possible = {(state, event) for state, events in MOVES.items() for event in events if event not in escalation}
    assert set(made) <= possible
    six_events = {(("acknowledged", False), "ungrouped")}
    assert possible - six_events <= set(made)


@pytest.mark.parametrize("names", [(), ("plain",), ("plain", "critical")])
def test_whatever_latches_by_policy(names):
    every.latching(*names)
    every.walk(4)


class TwoAlarms(RuleBasedStateMachine):
    """Long sequences of events, against what an observer of the events alone knows."""

    def __init__(self):
        super().__init__()
        self.patient = every.start()
        self.before, self.event, self.told = self.patient, "", []

    @rule(event=st.sampled_from(every.EVENTS))
    def happens(self, event):
        self.before, self.event = self.patient, event
        self.patient = every.copied(self.patient)
        self.told = every.happen(self.patient, event)
        every.observe(self.patient, self.before, event, self.told)

    @invariant()
    def all_is_as_it_must_be(self):
        if self.event:
            every.check(self.patient, self.before, self.event, self.told)


TwoAlarms.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestLongSequences = TwoAlarms.TestCase


# -- through the step, with commands as people send them -------------------------------------------------------------------

NORMAL = {"heart_rate": 75.0, "oxygen_saturation": 97.0}
BAD = {"heart_rate": 160.0, "oxygen_saturation": 70.0}
"""Values beyond the critical limits: alarms of high priority that latch."""
COMMANDS = (
    "heart bad", "heart normal", "oxygen bad", "oxygen normal", "nothing for two minutes", "acknowledge heart",
    "pause audio", "pause alarm", "pause heart", "heart off", "take heart", "four minutes",
)  # fmt: skip


class Bedside:
    """A bank, the values of two signals, and everything that was told."""

    def __init__(self):
        self.bank, self.offset, self.second = Bank(), -1, 0
        self.values = dict(NORMAL)
        self.told = []
        self.take(Admit(patient="p", ward="A", received=T0))
        self.pass_time(20)

    def take(self, record):
        self.offset += 1
        outcome = step(self.bank, record, self.offset)
        self.told += outcome.transitions
        return outcome.transitions

    def pass_time(self, seconds, every_s=1):
        for _ in range(0, seconds, every_s):
            self.second += every_s
            if self.values:
                self.take(frame(self.second, *(("p", signal, value) for signal, value in self.values.items())))
            self.take(Tick(received=T0 + self.second * S))

    @property
    def now(self):
        return T0 + self.second * S

    def alarm(self, signal):
        found = [one for one in self.bank.alarms.values() if one.signal == signal and one.family in {"low", "high"}]
        return found[0] if found else None

    def do(self, command):
        """Let it happen; returns the transitions that the command itself caused."""
        signal = "heart_rate" if "heart" in command else "oxygen_saturation"
        alarm = self.alarm("heart_rate")
        if command.endswith((" bad", " normal")):
            self.values = {**NORMAL, **self.values, signal: (BAD if "bad" in command else NORMAL)[signal]}
            self.pass_time(15 if "bad" in command else 40)
            return []
        if command == "nothing for two minutes":
            kept, self.values = self.values, {}
            self.pass_time(120, 5)
            self.values = kept
            return []
        if command == "four minutes":
            self.pass_time(240, 5)
            return []
        name = alarm.id if alarm else "none"
        until = self.now + 60 * S
        record = {
            "acknowledge heart": Acknowledge(patient="p", alarm=name, by="nurse"),
            "take heart": TakeAlarm(patient="p", alarm=name, by="nurse"),
            "pause audio": PauseAlarms(patient="p", kind="audio", until=until),
            "pause alarm": PauseAlarms(patient="p", kind="alarm", until=until),
            "pause heart": PauseAlarms(patient="p", kind="audio", alarm=name, until=until),
            "heart off": SetAlarmOff(patient="p", signal="heart_rate", until=until, reason="theatre"),
        }[command]
        record.received = self.now
        return self.take(record)


def judge(bedside, command, caused):
    numbers, times = {}, {}
    for one in bedside.told:
        assert one.number == numbers.get(one.alarm, 0) + 1
        assert one.time >= times.get(one.alarm, 0)
        numbers[one.alarm], times[one.alarm] = one.number, one.time
    assert len({one.id for one in bedside.told}) == len(bedside.told)
    if command.endswith("heart"):
        assert {one.signal for one in caused} <= {"heart_rate"}
    for one in bedside.bank.alarms.values():
        assert one.presence != "off"
        assert max(one.audio_paused_until, one.paused_until) <= bedside.now + 180 * S
        assert one.presence != "acknowledged" or one.reminds_at or one.kind == "technical"


@pytest.fixture(scope="module")
def begun():
    return Bedside()


def test_every_sequence_of_two_commands_and_courses_through_the_step(begun):
    """After each sequence the patient is at the worst values for long enough: both alarms must be heard, and then be over."""
    for sequence in itertools.product(COMMANDS, repeat=2):
        bedside = copy.deepcopy(begun)
        for command in sequence:
            judge(bedside, command, bedside.do(command))
        _is_heard(bedside)
        _is_over(bedside)


def _is_heard(bedside):
    """Beyond all pauses, a critical value that nobody has acknowledged sounds, and is shown, at high priority."""
    answered = {one.id for one in bedside.bank.alarms.values() if one.presence == "acknowledged"}
    bedside.values = dict(BAD)
    bedside.pass_time(200, 5)
    for signal in BAD:
        alarm = bedside.alarm(signal)
        assert alarm is not None
        assert alarm.priority == "high"
        if alarm.id not in answered:
            newest = [one for one in bedside.told if one.alarm == alarm.id][-1]
            assert newest.signals == {"visible": "on", "audible": "on", "remote": "on"}


def _is_over(bedside):
    """When the patient is well and everything is acknowledged, nothing is left; and a discharge ends the rest."""
    bedside.values = dict(NORMAL)
    bedside.pass_time(200, 5)
    for alarm in list(bedside.bank.alarms.values()):
        bedside.take(Acknowledge(patient="p", alarm=alarm.id, received=bedside.now))
    assert [one for one in bedside.bank.alarms.values() if one.kind == "physiological"] == []
    bedside.take(Discharge(patient="p", received=bedside.now))
    assert not bedside.bank.alarms
    newest = {one.alarm: one.presence for one in bedside.told}
    assert set(newest.values()) == {"off"}


# -- the tables themselves ----------------------------------------------------------------------------------------------------


def test_every_state_can_be_reached_and_left():
    reached = {("off", True)}
    for _ in STATES:
        reached |= {there for here in reached for event in EVENTS for latches in (True, False)
                    if (there := move(here, event, latches=latches))}  # fmt: skip
    assert reached == set(STATES)
    for state in STATES:
        ways = {state}
        for _ in STATES:
            ways |= {there for here in ways for event in EVENTS for latches in (True, False)
                     if (there := move(here, event, latches=latches))}  # fmt: skip
        assert ("off", True) in ways


def test_the_printed_table_has_every_move_and_every_signal():
    rows = markdown().splitlines()
    assert sum(len(events) for events in MOVES.values()) + len(EVENTS) + len(SIGNALS_OF) + 3 * 2 + 2 == len(rows)


def test_the_documentation_has_the_table_as_the_command_prints_it():
    document = (Path(__file__).parents[3] / "docs" / "alarms.md").read_text("utf-8")
    printed = document.partition("<!-- table: vitaltwin alarms table -->\n")[2].partition("<!-- end of table -->")[0]
    command = [Path(sys.executable).with_name("vitaltwin"), "alarms", "table"]
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout == printed
