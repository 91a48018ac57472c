"""Alarms of one cause: which active alarm of the patient a new one belongs under.

A stopped device makes every signal silent, a detached sensor makes every signal of it faulty, and one heart has a heart
rate and a pulse. Each of these is one alarm with others under it. So is a NEWS2 alarm for 3 points of one parameter that
is beyond its limit. An alarm never goes under one of lower priority.
"""

from twins.alarms.active import Key
from twins.alarms.conditions import RANK
from twins.alarms.lifecycle import Alarm
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration

__all__ = ["lead_of", "members"]

TOGETHER_US = 60_000_000
"""Signals whose last readings were received within this time, or within the usual interval of the slower, fell silent
together.
"""
FAULTS_TOGETHER_US = 30_000_000
_SAME_QUANTITY: tuple[frozenset[str], ...] = (
    frozenset({"heart_rate", "pulse_rate"}),
    frozenset({"oxygen_saturation", "second_oxygen_saturation"}),
    frozenset({
        "systolic_bp", "diastolic_bp", "mean_bp", "arterial_systolic_bp", "arterial_diastolic_bp", "arterial_mean_bp",
    }),
)  # fmt: skip
"""Signals that measure one quantity, or parts of one: beyond the same limit, they are one trouble."""
_SINGLE, _RED = "news2.single", 3
_OF_ONE_SIDE = ("low", "high")


def lead_of(bank: Bank, key: Key, alarm: Alarm) -> Alarm | None:
    """The active alarm of the same patient and cause that ``alarm`` belongs under, ``None`` if there is none."""
    found = [
        (other.onset, other.id, other)
        for there, other in bank.alarms.of(key[0])
        if there != key and not other.under and other.standing and RANK[other.priority] >= RANK[alarm.priority]
        and _same_cause(bank, key, alarm, there, other)
    ]  # fmt: skip
    return min(found, key=lambda one: one[:2])[2] if found else None


def still_under(bank: Bank, key: Key, alarm: Alarm) -> bool:
    """Whether ``alarm`` still has the cause, and at most the priority, of the alarm that it is under."""
    return any(
        other.id == alarm.under and RANK[other.priority] >= RANK[alarm.priority]
        and _same_cause(bank, key, alarm, there, other)
        for there, other in bank.alarms.of(key[0])
    )  # fmt: skip


def members(bank: Bank, number: int, lead: Alarm) -> list[tuple[Key, Alarm]]:
    """The alarms of patient ``number`` that are shown under ``lead``, the oldest first."""
    under = [(key, alarm) for key, alarm in bank.alarms.of(number) if alarm.under == lead.id]
    return sorted(under, key=lambda one: (one[1].onset, one[1].id))


def _same_cause(bank: Bank, key: Key, alarm: Alarm, there: Key, other: Alarm) -> bool:
    if alarm.condition == _SINGLE:
        return other.family in _OF_ONE_SIDE and other.condition.startswith("limit.") and _is_the_red_one(bank, there)
    if alarm.family != other.family:
        return False
    if alarm.family in _OF_ONE_SIDE:
        return any({alarm.signal, other.signal} <= together for together in _SAME_QUANTITY)
    if alarm.family == "sensor.silent":
        return _silent_together(bank, key, there)
    return alarm.family == "sensor.fault" and abs(alarm.onset - other.onset) <= FAULTS_TOGETHER_US


def _is_the_red_one(bank: Bank, there: Key) -> bool:
    """Whether the channel of this key is the only input of NEWS2 with 3 points."""
    column = deterioration.column_of(there[2])
    reds = (bank.parts[there[0]] == _RED).nonzero()[0].tolist()
    return bool(reds == [column])


def _silent_together(bank: Bank, key: Key, there: Key) -> bool:
    """Whether the last readings of both channels arrived at about the same time."""
    one, two = int(bank.slot[key[0], key[2]]), int(bank.slot[there[0], there[2]])
    if one < 0 or two < 0:
        return False
    interval = max(float(bank.watch[row, layout.INTERVAL]) for row in (one, two)) * 1e6
    apart = abs(float(bank.watch[one, layout.RECEIVED] - bank.watch[two, layout.RECEIVED]))
    return apart <= max(TOGETHER_US, interval)
