"""The alarm conditions there are: name, kind, priority, whether they latch, and which twin they rest on."""

from typing import Literal

import msgspec

from twins.bank import layout
from twins.signals import SIGNALS

__all__ = ["CHANNEL_CONDITIONS", "SCORE_CONDITIONS", "Condition", "priority_of"]

Priority = Literal["high", "medium", "low"]


class Condition(msgspec.Struct, frozen=True):
    """One kind of alarm. ``latches``: it stays after its end until somebody has acknowledged it."""

    name: str
    kind: Literal["physiological", "technical"]
    priority: Priority
    latches: bool = False
    side: Literal["low", "high", ""] = ""
    least: int = 0
    """The score from which it holds."""


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
"""In the order of the kernels' condition numbers."""

SCORE_CONDITIONS: tuple[Condition, ...] = (
    Condition("news2.high", "physiological", "high", latches=True, least=7),
    Condition("news2.medium", "physiological", "medium", least=5),
    Condition("news2.single", "physiological", "low", least=3),
)
"""NEWS2 of 7 or more; 5 or 6; 3 in one parameter below that (Royal College of Physicians 2017, chart 4)."""


def priority_of(number: int, signal: int, value: float) -> Priority:
    """The priority of a channel's condition: predictions follow the signals table.

    A fault is told as urgently as a critical limit where the readings may be the patient's: a heart rate of 0 is a lead
    that is off, or asystole.
    """
    if number == layout.FAULT and SIGNALS[signal].perhaps_from <= value < SIGNALS[signal].plausible[0]:
        return "high"
    if number in (layout.PREDICTED_LOW, layout.PREDICTED_HIGH):
        return SIGNALS[signal].predictive_priority or "low"
    return CHANNEL_CONDITIONS[number].priority
