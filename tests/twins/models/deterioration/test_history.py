"""The rise of a NEWS2 total in two hours, against a list of the totals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twins.alarms.test_worsening import sick
from tests.twins.step.test_step import T0, S, Ward
from twins.models.deterioration.history import WITHIN_S, note
from twins.records import Rule, SetRules

QUARTER_S = 900
points = st.one_of(st.none(), st.integers(0, 3))
moments = st.tuples(st.sampled_from([1, 60, 300, 900, 1000, 3600, 8000]), st.tuples(*[points] * 7))


def by_list(seen, at, parts):
    """The total now above the lowest of the last totals of the seven quarters before, of the same inputs."""
    known = [part is not None for part in parts]
    last = {}
    for then, before in seen:
        last[then // QUARTER_S] = before
    now = at // QUARTER_S
    compared = [
        sum(part for part in before if part is not None)
        for quarter, before in last.items()
        if now - 8 < quarter < now and [part is not None for part in before] == known
    ]
    if not any(known) or not compared:
        return -1
    return max(sum(part for part in parts if part is not None) - min(compared), 0)


@given(st.lists(moments, min_size=1, max_size=30))
@settings(deadline=None)
def test_the_rise_agrees_with_a_list_of_totals(steps):
    parts = np.full((1, 7), -1, np.int8)
    past, inputs = np.full((1, 8), -1, np.int8), np.zeros((1, 8), np.uint8)
    begun, rise = np.zeros(1, np.uint32), np.full(1, -1, np.int8)
    at, seen = 1_700_000_000, []
    for seconds, given_here in steps:
        at += seconds
        parts[0] = [-1 if part is None else part for part in given_here]
        note(np.zeros(1, np.int64), at * S, parts, past, inputs, begun, rise)
        assert rise[0] == by_list(seen, at, given_here)
        if any(part is not None for part in given_here):
            seen.append((at, given_here))
    assert WITHIN_S == 8 * QUARTER_S


WELL = {"heart_rate": 75, "respiratory_rate": 16, "systolic_bp": 120, "oxygen_saturation": 98, "body_temperature": 37.0}


def test_a_score_says_its_rise_and_a_rule_may_ask_for_it():
    ward = Ward()
    ward.take(SetRules(rules=[Rule(id="worse", when="news2.rise >= 3")], received=T0))
    sick(ward, 1, 60, **WELL)
    sick(ward, 1000, 1060, **WELL)
    sick(ward, 2000, 2100, **WELL | {"respiratory_rate": 30, "heart_rate": 115})
    scores = [score for outcome in ward.outcomes for score in outcome.scores]
    assert (scores[0].rise, scores[-1].total, scores[-1].rise) == (None, 5, 5)
    (alarm,) = [
        one for outcome in ward.outcomes for one in outcome.transitions
        if (one.condition, one.event) == ("rule.worse", "began")
    ]  # fmt: skip
    assert alarm.explanation["rule"]["terms"][0]["value"] >= 3
    (medium,) = [
        one for outcome in ward.outcomes for one in outcome.transitions
        if (one.condition, one.event) in {("news2.medium", "began"), ("news2.medium", "rose")}
    ]  # fmt: skip
    assert medium.explanation["news2"]["rise"] == 5
