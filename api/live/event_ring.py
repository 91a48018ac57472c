"""The last few thousand alarm transitions and notices, numbered in order, for clients that reconnect."""

import secrets
from collections import deque

from api.http.answers import milliseconds
from api.live.alarm import alarm_of
from api.live.notice import notice_of
from api.live.protocol import AlarmMessage, NoticeMessage, Wire, encode
from twins.records import Notice, Transition

__all__ = ["Event", "EventRing"]

_KEPT = 8192


class Event:
    """One transition or notice with its number, encoded once for all clients."""

    __slots__ = ("_sse", "_wire", "offset", "what")

    def __init__(self, offset: int, what: Transition | Notice) -> None:
        self.offset = offset
        self.what = what
        self._wire: Wire | None = None
        self._sse = ""

    @property
    def transition(self) -> Transition | None:
        """The transition, if it is one."""
        return self.what if isinstance(self.what, Transition) else None

    @property
    def wire(self) -> Wire:
        """As a message of ``/ws``."""
        if self._wire is None:
            what = self.what
            self._wire = Wire(
                AlarmMessage(sub=0, offset=self.offset, alarm=alarm_of(what, milliseconds))
                if isinstance(what, Transition)
                else NoticeMessage(sub=0, offset=self.offset, notice=notice_of(what, milliseconds))
            )
        return self._wire

    def sse(self, epoch: str) -> str:
        """As a server-sent event."""
        if not self._sse:
            what = self.what
            if isinstance(what, Transition):
                name, body = "alarm", encode(alarm_of(what, milliseconds))
            else:
                name, body = "notice", encode(notice_of(what, milliseconds))
            self._sse = f"id: {epoch}:{self.offset}\nevent: {name}\ndata: {body.decode()}\n\n"
        return self._sse


class EventRing:
    """Events numbered from 1; ``epoch`` names the numbering, which starts again with every process.

    >>> ring = EventRing()
    >>> ring.since(ring.epoch, 0), ring.since("another", 0)
    ([], None)
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self.epoch = ""
        self.top = 0
        """The number of the newest event, 0 before the first."""
        self._events: deque[Event] = deque(maxlen=kept)
        self.renew()

    def append(self, what: Transition | Notice) -> Event:
        """Number a transition or a notice."""
        self.top += 1
        event = Event(self.top, what)
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
