"""Why a rule's alarm began: one plain sentence, the terms with their values, and which version of which rule it was."""

import math
from typing import Any

from twins.alarms import rule_kernel
from twins.alarms.rule_language import COMPARISONS, NEWS2, NEWS2_PART, NEWS2_RISE, QUALITY, TREND, Term
from twins.bank import layout
from twins.bank.bank import Bank
from twins.signals import SIGNALS

__all__ = ["of_rule"]

_TRUTHS = {rule_kernel.FALSE: False, rule_kernel.TRUE: True, rule_kernel.UNKNOWN: None}


def of_rule(bank: Bank, number: int, which: int, now: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The explanation and the text of the rule with index ``which``, which has just become true for a patient."""
    rules, program = bank.rules, bank.rules.rules.programs[which]
    rule, command = rules.rules.rules[which], rules.command
    terms = [_term(bank, number, term, now) for term in program.terms]
    true = [said for said, term in zip((_said(one) for one in terms), terms, strict=True) if term["true"]]
    lasting = f", for {rule.for_s:g} s" if rule.for_s else ""
    often = f", {rule.times} times within {rule.within_s / 60:g} min" if rule.times > 1 else ""
    values = {one["name"]: _shown(one["value"], int(one["digits"])) for one in terms}
    for one in terms:
        del one["digits"]
    why = {
        "sentence": f"Rule {rule.id}: {', '.join(true) or rule.when}{lasting}{often}.",
        "rule": {
            "id": rule.id,
            "version": command.version if command else "",
            "set_by": command.by if command else "",
            "set_at": command.received // 1000 if command else None,
            "when": rule.when,
            "clear": rule.clear,
            "for_s": rule.for_s,
            "times": rule.times,
            "within_s": rule.within_s,
            "terms": terms,
        },
    }
    return why, {language: _filled(text, values) for language, text in rule.text.items()}


def _term(bank: Bank, number: int, term: Term, now: int) -> dict[str, Any]:
    least, most = rule_kernel.operand(
        term.kind, term.code, number, now, bank.slot, bank.state, bank.watch, bank.judged, bank.limit, bank.phase,
        layout.PARAMETERS, bank.parts, bank.unscored, bank.score_rise,
    )  # fmt: skip
    truth = rule_kernel.truth_of(term.compare, least, most, term.bound)
    digits = _digits(term)
    return {
        "term": term.text,
        "name": term.name,
        "signal": "" if term.kind in {NEWS2, NEWS2_PART, NEWS2_RISE} else SIGNALS[term.code].name,
        "value": round(least, 4) if math.isfinite(least) else None,
        "compare": COMPARISONS[term.compare],
        "bound": round(term.bound, 4),
        "unit": term.unit,
        "true": _TRUTHS[truth],
        "digits": digits,
    }


def _digits(term: Term) -> int:
    """How many decimals a value is shown with."""
    if term.kind in {NEWS2, NEWS2_PART, NEWS2_RISE}:
        return 0
    if term.kind == QUALITY:
        return 2
    return 0 if SIGNALS[term.code].step >= 1.0 and term.kind != TREND else 1


def _said(term: dict[str, Any]) -> str:
    """A term in words: ``oxygen saturation 90 % (< 92)``."""
    value = _shown(term["value"], int(term["digits"]))
    name = str(term["name"]).replace("_", " ").replace(".", " ")
    return f"{name} {value}{' ' if term['unit'] else ''}{term['unit']} ({term['compare']} {term['bound']:g})"


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _filled(text: str, values: dict[str, str]) -> str:
    """A text with its placeholders filled in."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
