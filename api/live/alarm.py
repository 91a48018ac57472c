"""An alarm in HTTP answers and socket messages: one type; its times are text in HTTP and milliseconds on ``/ws``."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, Literal, TypeVar

from twins.records import Transition

__all__ = ["Alarm", "alarm_of", "finite"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Alarm(Generic[T]):
    """An alarm as of one transition; ``id`` names the episode and stays the same over all its transitions.

    ``number`` counts the transitions. ``standing`` says whether the condition holds now, ``ended`` when it last ended.
    ``value`` is the newest value, ``onset_value`` the first and ``extreme`` the worst of the episode. ``past`` marks an
    episode that was over when its readings arrived: it is never active and never sounds. ``explanation`` says why. That of
    a predicted crossing has ``forecast`` with the stated chance (``probability``) and its ``kind``: ``within_30_min``, a
    reading beyond the limit within ``horizon_min``; or ``next_reading``, the next one, expected in ``horizon_min``.

    ``event`` is what caused the newest change. Conditions of one ``family`` are levels of one alarm; ``condition`` is the
    highest that is true. ``known`` is false while nothing measures the condition. ``count`` is how often it became true in
    this episode. ``under`` is the id of the alarm of the same cause under which this one is shown: it does not sound.
    ``signals`` has the state (on, off, latched, acknowledged, paused) of ``visible``, ``audible`` and ``remote``.
    ``responder`` said "I take it". ``step`` is how far the alarm was escalated; ``called`` (people and roles) were called
    at ``called_at``, and ``escalates_to`` are called at ``escalates_at`` if nobody answers before;
    ``reminds_at`` is when an acknowledged alarm sounds again. ``text`` is the text of a site's rule by language.
    """

    id: str
    transition: str
    patient: str
    ward: str
    condition: str
    signal: str
    kind: Literal["physiological", "technical"]
    priority: Literal["high", "medium", "low"]
    presence: Literal["on", "latched", "acknowledged", "off"]
    onset: T
    time: T
    number: int
    past: bool
    standing: bool
    ended: T | None
    value: float | None
    onset_value: float | None
    extreme: float | None
    limit: float | None
    by: str
    note: str
    explanation: dict[str, Any]
    event: str
    family: str
    known: bool
    count: int
    under: str
    signals: dict[str, str]
    audio_paused_until: T | None
    paused_until: T | None
    reminds_at: T | None
    responder: str
    step: int
    escalates_at: T | None
    escalates_to: list[str]
    called: list[str]
    called_at: T | None
    text: dict[str, str]


def finite(value: float | None) -> float | None:
    """A number for JSON; ``None`` if it is not finite."""
    return value if value is not None and isfinite(value) else None


def alarm_of(transition: Transition, moment: Callable[[int], T]) -> Alarm[T]:
    """The alarm after ``transition``; ``moment`` converts times from µs."""
    return Alarm(
        id=transition.alarm,
        transition=transition.id,
        patient=transition.patient,
        ward=transition.ward,
        condition=transition.condition,
        signal=transition.signal,
        kind=transition.kind,  # type: ignore[arg-type] # the record's words are these
        priority=transition.priority,  # type: ignore[arg-type] # the same
        presence=transition.presence,  # type: ignore[arg-type] # the same
        onset=moment(transition.onset),
        time=moment(transition.time),
        number=transition.number,
        past=transition.past,
        standing=transition.standing,
        ended=moment(transition.ended) if transition.ended else None,
        value=finite(transition.value),
        onset_value=finite(transition.onset_value),
        extreme=finite(transition.extreme),
        limit=finite(transition.limit),
        by=transition.by,
        note=transition.note,
        explanation=transition.explanation,
        event=transition.event,
        family=transition.family,
        known=transition.known,
        count=transition.count,
        under=transition.under,
        signals=transition.signals,
        audio_paused_until=moment(transition.audio_paused_until) if transition.audio_paused_until else None,
        paused_until=moment(transition.paused_until) if transition.paused_until else None,
        reminds_at=moment(transition.reminds_at) if transition.reminds_at else None,
        responder=transition.responder,
        step=transition.step,
        escalates_at=moment(transition.escalates_at) if transition.escalates_at else None,
        escalates_to=transition.escalates_to,
        called=transition.called,
        called_at=moment(transition.called_at) if transition.called_at else None,
        text=transition.text,
    )
