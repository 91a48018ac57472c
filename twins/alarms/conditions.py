"""All alarm conditions: name, kind, priority, whether they latch, and which twin they come from."""

from typing import Literal

import msgspec

from twins.bank import layout
from twins.signals import SIGNALS

__all__ = ["CHANNEL_CONDITIONS", "SCORE_CONDITIONS", "Condition", "priority_of"]

Priority = Literal["high", "medium", "low"]


class Condition(msgspec.Struct, frozen=True):
    """One kind of alarm. ``latches``: after its end it stays until somebody acknowledges it."""

    name: str
    kind: Literal["physiological", "technical"]
    priority: Priority
    latches: bool = False
    side: Literal["low", "high", ""] = ""
    least: int = 0
    """The score from which the condition is true."""


CHANNEL_CONDITIONS: tuple[Condition, ...] = (
    Condition("limit.critical_low", "physiological", "high", latches=True, side="low"),
    Condition("limit.low", "physiological", "medium", side="low"),
    Condition("limit.high", "physiological", "medium", side="high"),
    Condition("limit.critical_high", "physiological", "high", latches=True, side="high"),
    Condition("predicted.low", "physiological", "low", side="low"),
    Condition("predicted.high", "physiological", "low", side="high"),
    Condition("sensor.fault", "technical", "low"),
    Condition("sensor.silent", "technical", "low"),
    Condition("sensor.disagreement", "technical", "low"),
    Condition("sensor.clock", "technical", "low"),
)
"""In the order of the condition numbers in the kernels."""

SCORE_CONDITIONS: tuple[Condition, ...] = (
    Condition("news2.high", "physiological", "high", latches=True, least=7),
    Condition("news2.medium", "physiological", "medium", least=5),
    Condition("news2.single", "physiological", "low", least=3),
)
"""NEWS2 of 7 or more; 5 or 6; 3 in one parameter below that (Royal College of Physicians 2017, chart 4)."""


def priority_of(number: int, signal: int, value: float) -> Priority:
    """The priority of a channel's condition; that of a prediction is in the signals table.

    A fault is as urgent as a critical limit if the readings may be real: a heart rate of 0 means a lead that is off, or
    asystole.
    """
    if number == layout.FAULT and SIGNALS[signal].perhaps_from <= value < SIGNALS[signal].plausible[0]:
        return "high"
    if number in (layout.PREDICTED_LOW, layout.PREDICTED_HIGH):
        return SIGNALS[signal].predictive_priority or "low"
    return CHANNEL_CONDITIONS[number].priority
