"""The life of an alarm, from the moment its condition becomes true until it is over and answered.

Pure functions: an ``Alarm`` in, its next state and the transition out. Every change is looked up in ``table``. Ids are
derived from (patient, family of conditions, signal, onset) and the number of the change. So the same log gives the same
ids, and a transition that is emitted again overwrites the first copy.

An alarm has one or more *levels*: conditions of one family that are true now, such as a low and a critical limit. It
shows the highest. Until somebody acknowledges it, its priority does not fall below that of a level that latches.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from twins.alarms import table
from twins.alarms.alarm import Alarm, Level
from twins.alarms.conditions import RANK, Condition
from twins.records import Transition

__all__ = [
    "Alarm", "Level", "acknowledge", "begin", "change", "close", "end", "episode", "forget", "group", "next_time",
    "note_value", "set_known", "shown", "snapshot", "withdraw", "worsen",
]  # fmt: skip


def episode(patient: str, family: str, signal: str, onset: int) -> str:
    """The id of an episode.

    >>> episode("p1", "high", "heart_rate", 0)
    '24dfe392b3a1132fda1e'
    """
    return blake2b(f"{patient}\0{family}\0{signal}\0{onset}".encode(), digest_size=10).hexdigest()


def note_value(alarm: Alarm, value: float | None, *, falling: bool) -> None:
    """Record the newest ``value`` of an alarm and the worst so far: the lowest if ``falling``, else highest."""
    alarm.value = value
    if value is None:
        return
    if alarm.onset_value is None:
        alarm.onset_value = value
    if alarm.extreme is None or (value < alarm.extreme if falling else value > alarm.extreme):
        alarm.extreme = value


def begin(  # noqa: PLR0917 - everything that a level is
    alarm: Alarm, condition: Condition, priority: str, limit: float | None, explanation: dict[str, Any], ward: str,
    time: int,
) -> Transition | None:  # fmt: skip
    """A condition of the alarm's family became true: the alarm begins, recurs or rises, or shows the same as before."""
    above = _top(alarm)
    alarm.levels[condition.name] = level = Level(
        priority=priority, level=condition.level, latches=condition.latches, since=time, limit=limit,
        explanation=explanation,
    )  # fmt: skip
    if alarm.worst == condition.name:
        alarm.worst_level = level
    if above is None:
        event = "began" if not alarm.changes else "recurred"
        alarm.count += event == "recurred"
    elif above.level < condition.level or RANK[above.priority] < RANK[priority]:
        event = "rose"
    else:
        if alarm.presence == "on":
            _will_latch(alarm)
        return None
    alarm.standing, alarm.known = True, True
    _show(alarm)
    return change(alarm, event, ward, time)


def worsen(  # noqa: PLR0917 - what is new of a level
    alarm: Alarm, name: str, limit: float | None, explanation: dict[str, Any], ward: str, time: int
) -> Transition | None:
    """The condition was already true and is clearly worse: an acknowledgement was for a milder state."""
    level = alarm.levels.get(name)
    if level is None:
        return None
    alarm.levels[name] = level = msgspec.structs.replace(level, limit=limit, explanation=explanation)
    if alarm.worst == name:
        alarm.worst_level = level
    if level is not _top(alarm):
        return None
    _show(alarm)
    alarm.known = True
    return change(alarm, "worsened", ward, time)


def end(alarm: Alarm, name: str, ward: str, time: int, value: float | None = None) -> Transition | None:
    """A condition is no longer true: the alarm eases to a lower level, or ends, or latches until it is acknowledged."""
    if alarm.levels.pop(name, None) is None:
        return None
    alarm.value = value if value is not None else alarm.value
    if alarm.levels:
        before = alarm.condition
        _show(alarm)
        return change(alarm, "eased", ward, time) if alarm.condition != before else None
    _no_longer_true(alarm, time)
    return change(alarm, "ended", ward, time)


def forget(alarm: Alarm, name: str, ward: str, time: int) -> Transition | None:
    """The readings behind one of several levels were wrong: the alarm is as if that level had never been true."""
    if alarm.worst == name:
        alarm.worst, alarm.worst_level, alarm.latches = "", None, False
    return end(alarm, name, ward, time)


def close(alarm: Alarm, event: str, ward: str, time: int) -> Transition | None:
    """End the alarm for good and without latching: ``discharged`` or ``turned_off``."""
    alarm.levels = {}
    _no_longer_true(alarm, time)
    return change(alarm, event, ward, time)


def withdraw(alarm: Alarm, ward: str, time: int, reason: str) -> Transition | None:
    """The readings behind the alarm were wrong: it ends for good, with the reason (``taken_back``, ``corrected``)."""
    alarm.levels = {}
    _no_longer_true(alarm, time)
    alarm.explanation = {**alarm.explanation, "withdrawn": reason}
    return change(alarm, "withdrawn", ward, time)


def acknowledge(  # noqa: PLR0917 - who, when, why, and how long it lasts
    alarm: Alarm, ward: str, time: int, by: str, note: str = "", remind_us: int = 0
) -> Transition | None:
    """Somebody has acknowledged it: it is silent until the condition ends or worsens. A latched alarm ends.

    After ``remind_us`` (µs; 0 is never) it sounds again if the condition is still true.
    """
    if alarm.presence not in ("on", "latched"):
        return None
    alarm.by = by
    alarm.note = note
    alarm.reminds_at = max(time, alarm.time) + remind_us if remind_us else 0
    # From now on the priority is that of what is true: what latched before has been seen.
    alarm.worst, alarm.worst_level, alarm.latches = "", None, False
    if alarm.levels:
        _show(alarm)
    return change(alarm, "acknowledged", ward, time)


def set_known(alarm: Alarm, known: bool, ward: str, time: int) -> Transition | None:  # noqa: FBT001 - a truth is what is set
    """Whether anything measures the condition. Unknown, it stays as it is: it neither ends nor sounds anew."""
    if alarm.known == known or not alarm.standing:
        return None
    return change(alarm, "known" if known else "unknown", ward, time)


def group(alarm: Alarm, lead: Alarm | None, ward: str, time: int) -> Transition | None:
    """Show the alarm under ``lead``, the alarm of the same cause, or by itself again.

    If it comes out from under an acknowledged alarm, it is acknowledged as well: a person has seen the cause.
    """
    under = lead.id if lead is not None and lead.presence != "off" else ""
    if alarm.under == under:
        return None
    alarm.under = under
    return change(alarm, "grouped" if under else "ungrouped", ward, time)


def change(alarm: Alarm, event: str, ward: str, time: int) -> Transition | None:
    """Move the alarm by ``event`` as the table says; ``None`` if the event has no place in its state.

    The change gets the next number. Its time is never earlier than that of the change before, even if a late reading
    caused it.
    """
    there = table.move((alarm.presence, alarm.known), event, latches=alarm.latches)
    if there is None:
        return None
    if alarm.presence in ("acknowledged", "off") and there[0] == "on":
        alarm.by = alarm.note = alarm.responder = ""
    alarm.presence, alarm.known = there
    alarm.event = event
    if alarm.presence == "acknowledged" or (alarm.presence == "off" and event != "ended"):
        alarm.step = alarm.escalates_at = 0  # after an end that nobody has answered, the escalation may go on
    if alarm.presence == "off":
        alarm.under = ""
        alarm.audio_paused_until = alarm.paused_until = 0
        alarm.patient_audio_paused_until = alarm.patient_paused_until = 0
    elif event in table.ANNUNCIATES:
        # A pause was for what somebody had seen. What is new is silenced by a pause of the patient alone, and the sound
        # of a high alarm not even by that.
        alarm.paused_until = alarm.patient_paused_until
        alarm.audio_paused_until = 0 if alarm.priority == "high" else alarm.patient_audio_paused_until
    if alarm.presence != "acknowledged":
        alarm.reminds_at = 0
    if alarm.presence == "on":
        _will_latch(alarm)
    alarm.changes += 1
    alarm.time = max(time, alarm.time)
    return snapshot(alarm, ward)


def _will_latch(alarm: Alarm) -> None:
    """Remember the highest level that latches: the alarm latches until somebody has answered it."""
    for name, level in alarm.levels.items():
        if level.latches and (alarm.worst_level is None or alarm.worst_level.level < level.level):
            alarm.worst, alarm.worst_level = name, level
    alarm.latches = alarm.worst_level is not None


def _top(alarm: Alarm) -> Level | None:
    return max(alarm.levels.values(), key=lambda one: (one.level, RANK[one.priority]), default=None)


def _show(alarm: Alarm) -> None:
    """Show the highest level that is true; the priority of a latched level that nobody has answered stays."""
    name, top = max(alarm.levels.items(), key=lambda item: (item[1].level, RANK[item[1].priority]))
    alarm.condition, alarm.limit, alarm.explanation = name, top.limit, top.explanation
    latched = alarm.worst_level.priority if alarm.worst_level is not None else top.priority
    alarm.priority = max(top.priority, latched, key=RANK.__getitem__)


def _no_longer_true(alarm: Alarm, time: int) -> None:
    if alarm.standing:
        alarm.ended = max(time, alarm.time)
    alarm.standing, alarm.known = False, True
    if alarm.worst_level is not None:
        alarm.condition, alarm.priority = alarm.worst, alarm.worst_level.priority
        alarm.limit, alarm.explanation = alarm.worst_level.limit, alarm.worst_level.explanation


def next_time(alarm: Alarm) -> int:
    """When a pause of the alarm ends or its reminder is due (µs); 0 if nothing is due.

    What nobody measures is not said again, and neither is what is shown under another alarm.
    """
    reminds = alarm.reminds_at if alarm.presence == "acknowledged" and alarm.known and not alarm.under else 0
    times = (alarm.audio_paused_until, alarm.paused_until, reminds)
    return min((time for time in times if time), default=0)


def shown(alarm: Alarm, now: int) -> table.Signals:
    """The state of the alarm's signals at ``now`` (µs)."""
    if alarm.paused_until > now:
        why = "alarm_pause"
    elif alarm.under:
        why = "grouped"
    else:
        why = "audio_pause" if alarm.audio_paused_until > now else "none"
    return table.SIGNALS_OF[alarm.presence, why]


def snapshot(alarm: Alarm, ward: str) -> Transition:
    """The alarm's latest transition, as it was or would be emitted."""
    signals = shown(alarm, alarm.time)
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
        event=alarm.event,
        family=alarm.family,
        known=alarm.known,
        count=alarm.count,
        under=alarm.under,
        signals={"visible": signals.visible, "audible": signals.audible, "remote": signals.remote},
        audio_paused_until=alarm.audio_paused_until,
        paused_until=alarm.paused_until,
        reminds_at=alarm.reminds_at,
        responder=alarm.responder,
        step=alarm.step,
        escalates_at=alarm.escalates_at if alarm.presence == "on" and not alarm.under else 0,
        called=alarm.called,
        called_at=alarm.called_at,
        text=alarm.text,
    )
