"""How good the stated chances of a crossing are on recorded patients: the ``crossings`` of ``infra/bench forecast``."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from streams.recordings.chances import Side, channels_of, sides_of
from streams.recordings.evaluate import Forecasts
from twins.signals import SIGNALS

__all__ = ["FEWEST_EVENTS", "MOST_ERROR", "Crossings", "crossings_of", "summary"]

FEWEST_EVENTS = 50
"""With fewer events the skill is mostly noise."""
MOST_ERROR = 0.05


class Crossings(dict[str, dict[str, dict[str, dict[str, Any]]]]):
    """Figures by file, signal and side, printed as a table."""

    def __str__(self) -> str:
        head = ("file", "signal", "side", "kind", "chances", "events", "stated", "true", "skill", "ece", "lead")
        shape = "{:30}{:24}{:5}{:>7}{:>9}{:>8}{:>8}{:>7}{:>8}{:>7}{:>6}  {}"
        lines = [
            shape.format(
                file, signal, side, "30 min" if one["kind"] == "within_30_min" else "next", f"{one['count']:,}",
                f"{one['events']:,}", f"{one['stated']:.4f}", f"{one['true']:.3f}", _shown(one["skill"], "+.3f"),
                f"{one['ece']:.3f}", _shown(one["lead_min"], ".0f"), _verdict(one),
            ).rstrip()
            for file, signal, side, one in _each(self)
        ]  # fmt: skip
        return "\n".join([shape.format(*head, "").rstrip(), *lines])


def crossings_of(made: Forecasts) -> dict[str, dict[str, dict[str, Any]]]:
    """By signal and side, the scores of the chances that were stated on one recording."""
    channels = channels_of(made.columns)
    return {
        SIGNALS[code].name: {
            side.side: _figures(side)
            for side in sides_of(channels[code], code, made.stated, made.warnings.raised)
            if side.together.count
        }
        for code in sorted(channels)
    }


def _figures(side: Side) -> dict[str, Any]:
    scores, warnings = side.together, (side.first, side.beside)
    return {
        "kind": scores.kind,
        "count": scores.count,
        "events": scores.events,
        "stated": scores.stated,
        "true": scores.true,
        "skill": scores.skill,
        "ece": scores.ece,
        "lead_min": side.first.lead_min,
        "reliability": [[one.count, one.stated, one.true] for one in scores.bins],
        "crossings": side.crossings,
        "warned": side.warned,
        "warnings": sum(one.judged for one in warnings),
        "warnings_true": sum(one.true for one in warnings),
        "first_warnings": side.first.judged,
        "first_warnings_true": side.first.true,
    }


def summary(files: Crossings) -> dict[str, int]:
    """How many have ``FEWEST_EVENTS`` or more, and how many of those have skill, a small error, and both."""
    asked = [figures for *_, figures in _each(files) if figures["events"] >= FEWEST_EVENTS]
    skill, error = ([test(figures) for figures in asked] for test in (_has_skill, _has_small_error))
    return {
        "of": len(asked),
        "skill_above_0": sum(skill),
        "ece_within": sum(error),
        "both": sum(one and other for one, other in zip(skill, error, strict=True)),
    }


def _shown(figure: float, shape: str) -> str:
    return format(figure, shape) if isfinite(figure) else ""


def _verdict(one: dict[str, Any]) -> str:
    if one["events"] < FEWEST_EVENTS:
        return "few events"
    return "good" if _has_skill(one) and _has_small_error(one) else "not good"


def _has_skill(one: dict[str, Any]) -> bool:
    return bool(one["skill"] > 0.0)


def _has_small_error(one: dict[str, Any]) -> bool:
    return bool(one["ece"] <= MOST_ERROR)


def _each(files: Crossings) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for file, signals in files.items():
        for signal, sides in signals.items():
            for side, figures in sides.items():
                yield file, signal, side, figures
