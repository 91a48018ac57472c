"""What people do about an alarm besides acknowledging it: pauses, "I take it"; and the reminder of what persists.

Pure functions, like ``lifecycle``. A pause has an end. A pause of one alarm ends early if the alarm becomes worse or its
condition begins again. A pause of the whole patient also silences alarms that begin later. But the sound of an alarm of
high priority is silenced only if a person has seen it: one that begins, or becomes worse, during an audio pause sounds.
"""

from twins.alarms.alarm import Alarm
from twins.alarms.lifecycle import change
from twins.records import Pause, Transition

__all__ = ["follow", "pause", "pause_patient", "remind", "resume", "resume_patient", "take"]

_FIELDS = {"audio": "audio_paused_until", "alarm": "paused_until"}


def pause(alarm: Alarm, kind: str, until: int, ward: str, time: int) -> Transition | None:
    """Pause the sound (``audio``) or all signals (``alarm``) of one alarm until ``until`` (µs)."""
    name = _FIELDS[kind]
    return _paused(alarm, name, max(until, getattr(alarm, f"patient_{name}")), ward, time)


def pause_patient(alarm: Alarm, kind: str, until: int, ward: str, time: int) -> Transition | None:
    """The same for an active alarm of a patient whose alarms are paused; a longer pause of the alarm itself stays."""
    name = _FIELDS[kind]
    before = getattr(alarm, f"patient_{name}")
    own = getattr(alarm, name) if getattr(alarm, name) > before else 0
    setattr(alarm, f"patient_{name}", until)
    return _paused(alarm, name, max(until, own), ward, time)


def _paused(alarm: Alarm, name: str, until: int, ward: str, time: int) -> Transition | None:
    if alarm.presence == "off" or getattr(alarm, name) == until:
        return None
    setattr(alarm, name, until)
    return change(alarm, "paused", ward, time)


def follow(alarm: Alarm, audio: Pause | None, whole: Pause | None) -> None:
    """Let an alarm that begins follow the pauses of its patient."""
    alarm.patient_audio_paused_until = audio.until if audio else 0
    alarm.patient_paused_until = whole.until if whole else 0


def resume(alarm: Alarm, ward: str, time: int, kind: str = "") -> Transition | None:
    """End the pauses of an alarm that are over at ``time`` (µs), and that of ``kind`` in any case."""
    over = [name for name in _FIELDS.values() if 0 < getattr(alarm, name) <= time or name == _FIELDS.get(kind)]
    ended = [name for name in over if getattr(alarm, name)]
    for name in over:
        setattr(alarm, name, 0)
        setattr(alarm, f"patient_{name}", 0)
    return change(alarm, "resumed", ward, time) if ended else None


def resume_patient(alarm: Alarm, kind: str, ward: str, time: int, *, early: bool) -> Transition | None:
    """The pause of the patient is over; if it ends ``early``, a pause of the alarm itself ends too."""
    setattr(alarm, f"patient_{_FIELDS[kind]}", 0)
    return resume(alarm, ward, time, kind if early else "")


def take(alarm: Alarm, ward: str, time: int, by: str) -> Transition | None:
    """Somebody said: I take it. The alarm goes on, but nobody else is called."""
    if alarm.presence == "off" or alarm.responder == by:
        return None
    alarm.responder = by
    return change(alarm, "taken", ward, time)


def remind(alarm: Alarm, ward: str, time: int) -> Transition | None:
    """An acknowledged alarm is still true after the time to remind: it sounds again."""
    if not alarm.reminds_at or alarm.reminds_at > time or not alarm.standing or alarm.under:
        return None
    return change(alarm, "reminded", ward, time)
