"""A site's rules in the step: waits, unknown inputs, hours, wards and ages, counts; new rules, restarts."""

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.records import Rule, SetRules, Tick, Zone

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
