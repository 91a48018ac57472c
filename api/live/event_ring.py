"""The last few thousand alarm transitions, numbered in order, for clients that reconnect."""

import secrets
from collections import deque

from api.http.answers import milliseconds
from api.live.alarm import alarm_of
from api.live.protocol import AlarmMessage, Wire, encode
from twins.records import Transition

__all__ = ["Event", "EventRing"]

_KEPT = 8192


class Event:
    """One transition with its number, encoded once for all clients."""

    __slots__ = ("_sse", "offset", "transition", "wire")

    def __init__(self, offset: int, transition: Transition) -> None:
        self.offset = offset
        self.transition = transition
        self.wire = Wire(AlarmMessage(sub=0, offset=offset, alarm=alarm_of(transition, milliseconds)))
        self._sse = ""

    def sse(self, epoch: str) -> str:
        """As a server-sent event."""
        if not self._sse:
            body = encode(alarm_of(self.transition, milliseconds)).decode()
            self._sse = f"id: {epoch}:{self.offset}\nevent: alarm\ndata: {body}\n\n"
        return self._sse


class EventRing:
    """Transitions numbered from 1; ``epoch`` names the numbering, which starts again with every process.

    >>> ring = EventRing()
    >>> ring.since(ring.epoch, 0), ring.since("another", 0)
    ([], None)
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self.epoch = ""
        self.top = 0
        """The number of the newest transition, 0 before the first."""
        self._events: deque[Event] = deque(maxlen=kept)
        self.renew()

    def append(self, transition: Transition) -> Event:
        """Number a transition."""
        self.top += 1
        event = Event(self.top, transition)
        self._events.append(event)
        return event

    def since(self, epoch: str, offset: int) -> list[Event] | None:
        """All events after ``offset``; ``None`` if some of them are no longer in the ring, or never were."""
        missed = self.top - offset
        if epoch != self.epoch or not 0 <= missed <= len(self._events):
            return None
        return list(self._events)[len(self._events) - missed :]

    def renew(self) -> None:
        """Begin a new epoch: the ring may have missed transitions."""
        self.epoch = secrets.token_hex(6)
        self._events.clear()
