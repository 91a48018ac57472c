"""The life of an alarm: its presence is on, latched, acknowledged or off (words of IEEE 11073-10207).

Pure functions: an ``Alarm`` in, its next state and the transition out. Ids are derived from (patient, condition,
signal, onset) and the number of the change. So the same log gives the same ids, and a transition that is emitted again
overwrites the first copy.
"""

from hashlib import blake2b
from typing import Any, Literal

import msgspec

from twins.records import Transition

__all__ = ["Alarm", "acknowledge", "begin", "end", "episode", "note_value", "snapshot", "withdraw", "worsen"]

Presence = Literal["on", "latched", "acknowledged", "off"]


class Alarm(msgspec.Struct, kw_only=True):
    """One episode of one condition of one patient; times in µs."""

    id: str
    patient: str
    condition: str
    signal: str
    kind: str
    priority: str
    presence: Presence
    onset: int
    time: int
    latches: bool = False
    standing: bool = True
    """Whether the condition itself is true now (for a latched alarm it is not)."""
    ended: int = 0
    """When the condition last became false; 0 if it never did."""
    changes: int = 0
    value: float | None = None
    onset_value: float | None = None
    extreme: float | None = None
    limit: float | None = None
    by: str = ""
    note: str = ""
    explanation: dict[str, Any] = {}


def episode(patient: str, condition: str, signal: str, onset: int) -> str:
    """The id of an episode.

    >>> episode("p1", "limit.high", "heart_rate", 0)
    '365d7b90b7bde8e4b608'
    """
    return blake2b(f"{patient}\0{condition}\0{signal}\0{onset}".encode(), digest_size=10).hexdigest()


def note_value(alarm: Alarm, value: float | None, *, falling: bool) -> None:
    """Record the newest ``value`` of an alarm and the worst so far: the lowest if ``falling``, else highest."""
    alarm.value = value
    if value is None:
        return
    if alarm.onset_value is None:
        alarm.onset_value = value
    if alarm.extreme is None or (value < alarm.extreme if falling else value > alarm.extreme):
        alarm.extreme = value


def begin(alarm: Alarm, ward: str, time: int) -> Transition:
    """The condition became true."""
    alarm.presence = "on"
    alarm.standing = True
    return _change(alarm, ward, time)


def worsen(alarm: Alarm, ward: str, time: int) -> Transition | None:
    """The condition was already true and is clearly worse: an acknowledgement was for a milder state."""
    if not alarm.standing:
        return None
    alarm.by = alarm.note = ""
    return begin(alarm, ward, time)


def end(alarm: Alarm, ward: str, time: int, value: float | None = None) -> Transition | None:
    """The condition is no longer true: off, or latched if it latches and nobody has acknowledged it."""
    if alarm.standing:
        alarm.ended = max(time, alarm.time)
    alarm.standing = False
    alarm.value = value if value is not None else alarm.value
    presence: Presence = "latched" if alarm.latches and alarm.presence in ("on", "latched") else "off"
    if alarm.presence == presence:
        return None
    alarm.presence = presence
    return _change(alarm, ward, time)


def withdraw(alarm: Alarm, ward: str, time: int, reason: str) -> Transition:
    """The readings behind the alarm were wrong: it ends for good, with the reason (``taken_back``, ``corrected``)."""
    if alarm.standing:
        alarm.ended = max(time, alarm.time)
    alarm.standing = alarm.latches = False
    alarm.presence = "off"
    alarm.explanation = {**alarm.explanation, "withdrawn": reason}
    return _change(alarm, ward, time)


def acknowledge(alarm: Alarm, ward: str, time: int, by: str, note: str = "") -> Transition | None:
    """Somebody has acknowledged it: it is silent until the condition ends or worsens. A latched alarm ends."""
    if alarm.presence not in ("on", "latched"):
        return None
    alarm.presence = "acknowledged" if alarm.standing else "off"
    alarm.by = by
    alarm.note = note
    return _change(alarm, ward, time)


def _change(alarm: Alarm, ward: str, time: int) -> Transition:
    """Number the change; its time is never earlier than that of the change before, even if a late reading caused it."""
    alarm.changes += 1
    alarm.time = max(time, alarm.time)
    return snapshot(alarm, ward)


def snapshot(alarm: Alarm, ward: str) -> Transition:
    """The alarm's latest transition, as it was or would be emitted."""
    return Transition(
        id=f"{alarm.id}-{alarm.changes}",
        alarm=alarm.id,
        patient=alarm.patient,
        ward=ward,
        condition=alarm.condition,
        signal=alarm.signal,
        kind=alarm.kind,
        priority=alarm.priority,
        presence=alarm.presence,
        onset=alarm.onset,
        time=alarm.time,
        number=alarm.changes,
        standing=alarm.standing,
        ended=alarm.ended,
        value=alarm.value,
        onset_value=alarm.onset_value,
        extreme=alarm.extreme,
        limit=alarm.limit,
        by=alarm.by,
        note=alarm.note,
        explanation=alarm.explanation,
    )
