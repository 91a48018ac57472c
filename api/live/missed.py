"""The events of a digest, one by one: by their numbers, as long as they are kept."""

from dataclasses import dataclass

from api.accounts import Actor
from api.http.answers import Time, iso
from api.http.problems import Problem
from api.live.alarm import Alarm, alarm_of
from api.live.event_ring import EventRing
from api.live.notice import NoticeView, notice_of
from twins.records import Transition

__all__ = ["MissedEvent", "MissedEvents", "missed_events"]


@dataclass(frozen=True, slots=True)
class MissedEvent:
    """One event: a transition of an alarm, or a notice."""

    offset: int
    alarm: Alarm[Time] | None
    notice: NoticeView[Time] | None


@dataclass(frozen=True, slots=True)
class MissedEvents:
    """Events in order; ``next`` is the number to ask for after these, null if there are no more."""

    epoch: str
    events: list[MissedEvent]
    next: int | None


def missed_events(ring: EventRing, actor: Actor, epoch: str, after: int, limit: int) -> MissedEvents:
    """The events after number ``after`` that the actor may see; raises ``Problem`` not-found if they are no longer kept."""
    kept = ring.since(epoch, after)
    if kept is None:
        raise Problem(
            "not-found",
            "these events are no longer kept under these numbers: GET /v1/alarms has what is active, and with state=all"
            " what was",
        )
    found: list[MissedEvent] = []
    following = None
    for event in kept:
        if not actor.covers(event.ward, event.patient):
            continue
        if len(found) == limit:
            following = found[-1].offset
            break
        what = event.what
        if isinstance(what, Transition):
            found.append(MissedEvent(event.offset, alarm_of(what, iso), None))
        else:
            found.append(MissedEvent(event.offset, None, notice_of(what, iso)))
    return MissedEvents(epoch, found, following)
