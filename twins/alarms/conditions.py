"""All alarm conditions: name, kind, priority, whether they latch, and which twin they come from.

Conditions of one *family* are levels of one alarm: a predicted crossing, the crossing and the critical limit of one side
of a signal are one alarm whose priority rises.
"""

from typing import Literal

import msgspec

from twins.bank import layout
from twins.signals import SIGNALS

__all__ = [
    "BY_NAME", "CHANNEL_CONDITIONS", "PATIENT_CONDITIONS", "RANK", "SCORE_CONDITIONS", "Condition", "family_of", "priority_of",
]  # fmt: skip

Priority = Literal["high", "medium", "low"]

RANK: dict[str, int] = {"low": 0, "medium": 1, "high": 2}
"""The order of priorities."""


class Condition(msgspec.Struct, frozen=True):
    """One kind of alarm. ``latches``: after its end it stays until somebody acknowledges it."""

    name: str
    kind: Literal["physiological", "technical"]
    priority: Priority
    latches: bool = False
    side: Literal["low", "high", ""] = ""
    least: int = 0
    """The score from which the condition is true."""
    group: str = ""
    """The family, if it has several conditions."""
    level: int = 0
    """The place in the family; of those that are true, the alarm shows the highest."""

    @property
    def family(self) -> str:
        """The conditions that are levels of one alarm with this one; its own name if there are no others."""
        return self.group or self.name


CHANNEL_CONDITIONS: tuple[Condition, ...] = (
    Condition("limit.critical_low", "physiological", "high", latches=True, side="low", group="low", level=2),
    Condition("limit.low", "physiological", "medium", side="low", group="low", level=1),
    Condition("limit.high", "physiological", "medium", side="high", group="high", level=1),
    Condition("limit.critical_high", "physiological", "high", latches=True, side="high", group="high", level=2),
    Condition("predicted.low", "physiological", "low", side="low", group="low"),
    Condition("predicted.high", "physiological", "low", side="high", group="high"),
    Condition("sensor.fault", "technical", "low"),
    Condition("sensor.silent", "technical", "low"),
    Condition("sensor.disagreement", "technical", "low"),
    Condition("sensor.clock", "technical", "low"),
    Condition("rate.falling", "physiological", "medium"),
    Condition("rate.rising", "physiological", "medium"),
    Condition("sensor.quality", "technical", "low"),
)
"""In the order of the condition numbers in the kernels."""

SCORE_CONDITIONS: tuple[Condition, ...] = (
    Condition("news2.high", "physiological", "high", latches=True, least=7, group="news2", level=2),
    Condition("news2.medium", "physiological", "medium", least=5, group="news2", level=1),
    Condition("news2.single", "physiological", "low", least=3, group="news2"),
)
"""NEWS2 of 7 or more; 5 or 6; 3 in one parameter below that (Royal College of Physicians 2017, chart 4)."""

PATIENT_CONDITIONS: tuple[Condition, ...] = (
    Condition("device.unheard", "technical", "low"),
    Condition("device.battery", "technical", "low"),
)
"""Nothing was ever received for an admitted patient; a battery is low."""

BY_NAME: dict[str, Condition] = {
    condition.name: condition for condition in (*CHANNEL_CONDITIONS, *SCORE_CONDITIONS, *PATIENT_CONDITIONS)
}
"""Every built-in condition by name."""


def family_of(name: str) -> str:
    """The family of a condition by its name; conditions that are not built in are their own family.

    >>> family_of("limit.critical_low"), family_of("rule.sepsis")
    ('low', 'rule.sepsis')
    """
    known = BY_NAME.get(name)
    return known.family if known else name


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
