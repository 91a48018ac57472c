"""Rules against a naive evaluator: Python's own parser, truths as True, False and None, and lists of moments."""

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twins.step.test_step import T0, S
from twins.alarms.rule_language import parse
from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import Admit, Rule, SetRules
from twins.signals import BY_NAME
from twins.step import rules
from twins.step.dispatch import step
from twins.step.effects import Effects

SIGNALS = ("heart_rate", "oxygen_saturation", "respiratory_rate")
FORGET_S = 300

comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(SIGNALS),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.sampled_from(["60", "80", "80.0", "90"]),
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("{} and {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)
values = st.one_of(st.none(), st.sampled_from([55.0, 60.0, 79.9, 80.0, 85.0, 90.0, 88.5]))
moments = st.tuples(st.sampled_from([1, 1, 2, 5, 20, 400]), values, values, values)


def truth(expression, known):
    """The truth of an expression in Python's syntax; None is unknown."""

    def of(node):
        if isinstance(node, ast.BoolOp):
            parts = [of(part) for part in node.values]
            decides = isinstance(node.op, ast.Or)
            if decides in parts:
                return decides
            return None if None in parts else not decides
        if isinstance(node, ast.UnaryOp):
            inner = of(node.operand)
            return None if inner is None else not inner
        value = known[node.left.id]
        if value is None:
            return None
        bound = node.comparators[0].value
        return {ast.Lt: value < bound, ast.LtE: value <= bound, ast.Gt: value > bound, ast.GtE: value >= bound}[
            type(node.ops[0])
        ]

    return of(ast.parse(expression, mode="eval").body)


class Wait:
    """How long something was known to be true: unknown stretches do not count, and a long one forgets."""

    def __init__(self):
        self.moments = []

    def lasted(self, at, true):
        if true is False:
            self.moments = []
            return None
        if true is None:
            if self.moments:
                self.moments.append((at, False))
            return None
        if self.moments and not self.moments[-1][1]:
            last_known = max(t for t, known in self.moments if known)
            unknown_from = min(t for t, _ in self.moments if t > last_known)
            if at - unknown_from > FORGET_S:
                self.moments = []
        self.moments.append((at, True))
        return sum(
            later - earlier for (earlier, known), (later, _) in zip(self.moments, self.moments[1:], strict=False) if known
        )  # fmt: skip


def by_definition(rule, history):
    """The events of a rule by its definition; ``history`` has (second, values)."""
    events, on, wait, happened, counted, known = [], False, Wait(), [], False, True
    for at, seen in history:
        when = truth(rule.when, seen)
        if rule.times > 1:
            lasted = wait.lasted(at, when)
            counted = counted and when is not False
            new = lasted is not None and lasted >= rule.for_s and not counted
            if new:
                counted = True
                happened.append(at)
            enough = len([one for one in happened if at - one <= rule.within_s]) >= rule.times
            if not on and new and enough:
                on = known = True
                events.append((at, "begins"))
            elif on and not enough and when is False:
                on = False
                events.append((at, "ends"))
            judged = when
        else:
            back = truth(rule.clear, seen) if rule.clear else (None if when is None else not when)
            judged = back if on else when
            lasted = wait.lasted(at, judged)
            if lasted is not None and lasted >= (rule.clear_after_s if on else rule.for_s):
                on = not on
                known = True
                wait = Wait()
                events.append((at, "begins" if on else "ends"))
                continue
        if on and known != (judged is not None) and events[-1][0] != at:
            known = judged is not None
            events.append((at, "known" if known else "unknown"))
    return events


def by_the_step(rule, history):
    """The events of the same rule from the bank, whose channels are set to the values."""
    bank = Bank()
    step(bank, Admit(patient="p", ward="A", received=T0), 0)
    step(bank, SetRules(rules=[rule], received=T0), 1)
    number = bank.index["p"]
    found = []
    for at, seen in history:
        now = T0 + at * S
        for name, value in seen.items():
            row = bank.open_channel(number, BY_NAME[name].code)
            if value is None:
                bank.phase[row, layout.SILENT] = layout.ON
            else:
                bank.phase[row, layout.SILENT] = layout.IDLE
                bank.state[row, [layout.M0, layout.COUNT, layout.LAST]] = value, 1.0, now
        effects = Effects(bank, now, 2)
        rules.judge(effects, bank.slot[:1, 0].astype("i8") * 0 + number)
        words = {"began": "begins", "recurred": "begins", "ended": "ends", "known": "known", "unknown": "unknown"}
        found += [(at, words[one.event]) for one in effects.outcome.transitions]
    return found


def told(steps):
    at, history = 0, []
    for seconds, *seen in steps:
        at += seconds
        history.append((at, dict(zip(SIGNALS, seen, strict=True))))
    return history


@given(expressions, st.sampled_from(["", "heart_rate < 80", "not (heart_rate > 60 or oxygen_saturation < 90)"]),
       st.sampled_from([0.0, 2.0, 10.0]), st.sampled_from([0.0, 3.0, 20.0]), st.lists(moments, max_size=40))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_waits_and_unknowns_agree_with_the_naive_evaluator(when, clear, for_s, clear_after_s, steps):
    rule = Rule(id="r", when=when, clear=clear, for_s=for_s, clear_after_s=clear_after_s)
    history = told(steps)
    assert by_the_step(rule, history) == by_definition(rule, history)


@given(
    comparisons,
    st.integers(2, 4),
    st.sampled_from([0.0, 2.0]),
    st.sampled_from([30.0, 600.0]),
    st.lists(moments, max_size=60),
)
@settings(max_examples=300, deadline=None)
def test_counts_in_a_window_agree_with_the_naive_evaluator(when, times, for_s, within_s, steps):
    rule = Rule(id="r", when=when, for_s=for_s, times=times, within_s=within_s)
    history = told(steps)
    assert by_the_step(rule, history) == by_definition(rule, history)


@given(expressions, st.tuples(values, values, values))
@settings(max_examples=300, deadline=None)
def test_one_moment_agrees_with_pythons_own_parser(when, seen):
    rule = Rule(id="r", when=when)
    known = dict(zip(SIGNALS, seen, strict=True))
    assert bool(by_the_step(rule, [(1, known)])) is (truth(when, known) is True)
    assert {term.name for term in parse(when).terms} <= set(SIGNALS)
