"""A site's rules in the step: waits, unknown inputs, hours, wards and ages, counts; new rules, restarts."""

import msgspec

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, Foundation, block_of, foundation_of, restore, restore_foundation
from twins.bank.rebuild import begin_patients, keep_alarms
from twins.records import (
    Acknowledge,
    Admit,
    Discharge,
    Hours,
    Move,
    Rule,
    SetAlarmOff,
    SetProfile,
    SetRules,
    SetZone,
    Tick,
    Zone,
)
from twins.step.dispatch import step
from twins.step.estimates import complete

FAILURE = Rule(
    id="failure", when="oxygen_saturation < 92 and respiratory_rate > 24", for_s=60, priority="high",
    text={"en": "SpO2 {oxygen_saturation} % at {respiratory_rate} breaths", "de": "SpO2 {oxygen_saturation} %"},
)  # fmt: skip


def under(*rules, zone=None):
    ward = Ward()
    ward.take(SetRules(rules=list(rules), zone=zone or Zone(), by="ada", received=T0))
    return ward


def breathe(ward, begin, end, spo2, rate, patient="p"):
    for at in range(begin, end):
        ward.take(frame(at, (patient, "oxygen_saturation", spo2), (patient, "respiratory_rate", rate)))
        ward.take(Tick(T0 + at * S))


def changes(ward, condition="rule.failure"):
    return [
        ((one.time - T0) // S, one.event)
        for outcome in ward.outcomes for one in outcome.transitions if one.condition == condition
    ]  # fmt: skip


def test_a_rule_begins_after_its_wait_and_ends_when_it_is_no_longer_true():
    ward = under(FAILURE)
    breathe(ward, 1, 60, 97, 16)
    breathe(ward, 60, 200, 88, 30)
    ((began, event),) = changes(ward)
    # The wait counts from when both estimates are beyond: some seconds after the readings are.
    assert event == "began"
    assert 120 <= began <= 140
    breathe(ward, 200, 260, 97, 16)
    events = [event for _, event in changes(ward)]
    assert (events[0], events[-1]) == ("began", "ended")
    assert set(events[1:-1]) <= {"unknown", "known"}  # the filter doubts a jump of the respiratory rate
    (first,) = [
        one for outcome in ward.outcomes for one in outcome.transitions
        if (one.condition, one.event) == ("rule.failure", "began")
    ]  # fmt: skip
    assert (first.priority, first.kind) == ("high", "physiological")
    why = first.explanation
    assert next(iter(why)) == "sentence"
    assert why["sentence"].startswith(
        "Rule failure: oxygen saturation 88 % (< 92), respiratory rate 30 /min (> 24), for 60 s"
    )
    assert first.text == {"en": "SpO2 88 % at 30 breaths", "de": "SpO2 88 %"}
    assert (why["rule"]["id"], why["rule"]["set_by"]) == ("failure", "ada")
    assert why["rule"]["version"] == ward.bank.rules.command.version
    assert [(term["value"] < 92, term["true"]) for term in why["rule"]["terms"]] == [(True, True), (True, True)]


FAST = Rule(id="fast", when="heart_rate.reading > 100", text={"en": "HR {heart_rate.reading}"})
NIGHT = Rule(id="night", when="heart_rate.reading > 100", hours=Hours("22:00", "06:00"))


def beat(ward, begin, end, rate, patient="p"):
    for at in range(begin, end):
        ward.take(frame(at, (patient, "heart_rate", rate)))
        ward.take(Tick(T0 + at * S))


def test_a_rule_is_only_for_its_wards_and_ages():
    ward = under(msgspec.structs.replace(FAST, wards=["B"], ages=["child"]))
    beat(ward, 1, 5, 110)
    assert changes(ward, "rule.fast") == []
    ward.take(Move(patient="p", ward="B", received=T0 + 5 * S))
    beat(ward, 5, 10, 110)
    assert changes(ward, "rule.fast") == []
    ward.take(SetProfile(patient="p", age_years=7, received=T0 + 10 * S))
    beat(ward, 10, 12, 110)
    assert changes(ward, "rule.fast") == [(10, "began")]
    ward.take(Move(patient="p", ward="C", received=T0 + 12 * S))
    ward.take(Tick(T0 + 12 * S))
    assert changes(ward, "rule.fast") == [(10, "began"), (12, "ended")]


def test_hours_are_those_of_the_wards_time_zone_and_begin_and_end_on_ticks():
    # T0 is 2023-11-14 22:13:20 UTC, a Tuesday.
    ward = under(NIGHT)
    beat(ward, 1, 3, 110)
    assert changes(ward, "rule.night") == [(1, "began")]
    # Two hours behind, it is 20:13 there: 22:00 is after 6,400 s.
    ward.take(SetZone(ward="A", zone=Zone("west", [(0, -7200)]), received=T0 + 3 * S))
    assert changes(ward, "rule.night") == [(1, "began"), (3, "ended")]
    beat(ward, 6390, 6395, 110)
    assert len(changes(ward, "rule.night")) == 2
    for at in range(6395, 6410):
        ward.take(Tick(T0 + at * S))
    assert changes(ward, "rule.night")[2:] == [(6400, "began")]


def test_a_day_belongs_to_the_night_that_begins_on_it():
    ward = under(msgspec.structs.replace(NIGHT, days=["tue"]))
    beat(ward, 1, 3, 110)
    beat(ward, 7190, 7200, 110)  # after midnight it is Wednesday, but still Tuesday's night
    assert changes(ward, "rule.night") == [(1, "began")]


def test_new_rules_keep_what_still_holds_and_end_what_is_gone():
    ward = under(FAST, NIGHT)
    beat(ward, 1, 3, 110)
    assert (changes(ward, "rule.fast"), changes(ward, "rule.night")) == ([(1, "began")], [(1, "began")])
    (alarm,) = [alarm for alarm in ward.bank.alarms.values() if alarm.condition == "rule.fast"]
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + 3 * S))
    # Another priority and another text decide nothing: the alarm goes on, acknowledged as it is.
    same = msgspec.structs.replace(FAST, priority="low", text={})
    ward.take(SetRules(rules=[same], by="ada", received=T0 + 4 * S))
    assert changes(ward, "rule.fast")[-1] == (3, "acknowledged")
    assert changes(ward, "rule.night")[-1] == (4, "turned_off")
    ward.take(SetRules(rules=[msgspec.structs.replace(same, when="heart_rate > 130")], received=T0 + 5 * S))
    assert changes(ward, "rule.fast")[-1] == (5, "turned_off")
    assert "rule.fast" not in {alarm.condition for alarm in ward.bank.alarms.values()}


def test_a_rule_turned_off_for_a_patient_alarms_again_when_the_time_is_over_and_it_is_still_true():
    ward = under(FAST)
    beat(ward, 1, 3, 110)
    off = SetAlarmOff(patient="p", signal="rule.fast", until=T0 + 100 * S, reason="seen", by="ada", received=T0 + 3 * S)
    ward.take(off)
    beat(ward, 4, 99, 110)
    assert changes(ward, "rule.fast") == [(1, "began"), (3, "turned_off")]
    for at in range(99, 103):
        ward.take(Tick(T0 + at * S))
    assert changes(ward, "rule.fast")[2:] == [(100, "began")]


def test_what_is_no_rule_in_the_log_is_left_out():
    ward = under(Rule(id="broken", when="heart_rate >"), FAST)
    beat(ward, 1, 3, 110)
    assert changes(ward, "rule.fast") == [(1, "began")]


def test_a_silent_sensor_neither_ends_nor_begins_a_rule_and_the_alarm_says_so():
    ward = under(FAST)
    beat(ward, 1, 30, 110)
    for at in range(30, 1200):
        ward.take(Tick(T0 + at * S))
    assert [event for _, event in changes(ward, "rule.fast")] == ["began", "unknown"]
    beat(ward, 1200, 1202, 110)
    beat(ward, 1202, 1205, 80)
    assert [event for _, event in changes(ward, "rule.fast")][2:] == ["known", "ended"]


def restarted(ward, upto, committed):
    """The ward's bank from checkpoints as of ``upto``; the log is committed up to ``committed``."""
    before = Bank()
    for offset, record in enumerate(ward.log[: upto + 1]):
        step(before, record, offset)
    raw = [
        msgspec.msgpack.encode(foundation_of(before, upto, committed)),
        msgspec.msgpack.encode(block_of(before, 0, upto)),
    ]
    kept = [msgspec.msgpack.decode(one, type=Block | Foundation) for one in raw]
    after = Bank()
    restore_foundation(after, kept[0], committed)
    restore(after, kept[1])
    after.covered = [max(offset, committed) for offset in after.covered]
    after.catching_up = True
    outcomes = [step(after, record, offset) for offset, record in enumerate(ward.log) if offset > committed]
    after.finish_catch_up()
    return after, outcomes[upto - committed :]


def test_a_restart_anywhere_changes_no_alarm_and_no_state():
    counting = Rule(id="often", when="heart_rate.reading > 100", times=3, within_s=40)
    slow = Rule(id="slow", when="oxygen_saturation < 92", for_s=9, clear_after_s=5)
    ward = under(FAST, NIGHT, counting, slow)
    for at in range(1, 60, 6):
        breathe(ward, at, at + 1, 88 if at % 4 else 96, 20)
        beat(ward, at + 1, at + 3, 110 if at % 12 < 7 else 80)
        beat(ward, at + 3, at + 6, 80)
        if at == 31:
            ward.take(SetRules(rules=[counting, slow], by="ada", received=T0 + at * S))
        if at == 43:
            ward.take(SetZone(ward="A", zone=Zone("east", [(0, 7200)]), received=T0 + at * S))
    assert len({condition for _, condition, _ in ward.bank.alarms}) >= 1
    last = len(ward.log) - 1
    final = msgspec.msgpack.encode(block_of(ward.bank, 0, last))
    for upto in range(20, last, 17):
        for committed in (upto, upto // 2):
            again, outcomes = restarted(ward, upto, committed)
            assert msgspec.msgpack.encode(outcomes) == msgspec.msgpack.encode(ward.outcomes[upto + 1 :])
            assert msgspec.msgpack.encode(block_of(again, 0, last)) == final


def test_twins_rebuilt_from_the_log_keep_a_rules_alarm_until_the_rule_is_no_longer_true():
    ward = under(FAST, NIGHT)
    beat(ward, 1, 5, 110)
    block = block_of(ward.bank, 0, len(ward.log) - 1)
    fresh = Ward()
    fresh.bank = Bank()
    begin_patients(fresh.bank, block)
    fresh.take(SetRules(rules=[FAST], by="ada", received=T0))
    fresh.outcomes.clear()
    keep_alarms(fresh.bank, block)
    assert {alarm.condition for alarm in fresh.bank.alarms.values()} == {"rule.fast"}
    beat(fresh, 10, 12, 110)
    assert changes(fresh, "rule.fast") == []
    beat(fresh, 12, 14, 80)
    assert changes(fresh, "rule.fast") == [(12, "ended")]


def test_a_discharge_empties_the_rules_of_a_patient():
    ward = under(FAST)
    beat(ward, 1, 3, 110)
    ward.take(Discharge(patient="p", received=T0 + 4 * S))
    assert changes(ward, "rule.fast")[-1] == (4, "discharged")
    assert not any(array.any() for array in ward.bank.rules.arrays)
    ward.take(Admit(patient="p", ward="A", received=T0 + 5 * S))
    assert complete(ward.bank, 0).rules.version == ward.bank.rules.command.version
