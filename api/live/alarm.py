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
    )
