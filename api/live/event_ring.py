"""The last few thousand alarm transitions and notices, numbered in order, for clients that reconnect."""

import secrets
from collections import deque
from typing import Any

import msgspec

from api.http.answers import milliseconds
from api.live.alarm import alarm_of
from api.live.notice import notice_of
from api.live.protocol import AlarmMessage, NoticeMessage, Wire, encode
from twins.records import Notice, Transition

__all__ = ["Event", "EventRing"]


def _plain(value: Any) -> Any:  # noqa: ANN401 - an explanation may contain any value
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(type(value).__name__)


_KEPT = 32_768
_UNPACKED = 512
"""The newest events stay objects; older ones are kept as bytes, which take a fifth of the memory."""
_pack = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_unpack = msgspec.msgpack.Decoder(Transition | Notice).decode


class Event:
    """One transition or notice with its number, encoded once for all clients."""

    __slots__ = ("_packed", "_sse", "_what", "_wire", "offset", "patient", "ward")

    def __init__(self, offset: int, what: Transition | Notice) -> None:
        self.offset = offset
        self.ward, self.patient = what.ward, what.patient
        self._what: Transition | Notice | None = what
        self._packed = b""
        self._wire: Wire | None = None
        self._sse = ""

    @property
    def what(self) -> Transition | Notice:
        """The transition or notice itself."""
        return self._what if self._what is not None else _unpack(self._packed)

    def pack(self) -> None:
        """Keep it as bytes from now on."""
        if self._what is not None:
            self._packed, self._what, self._wire, self._sse = _pack(self._what), None, None, ""

    @property
    def transition(self) -> Transition | None:
        """The transition, if it is one."""
        what = self.what
        return what if isinstance(what, Transition) else None

    @property
    def wire(self) -> Wire:
        """As a message of ``/ws``."""
        if self._wire is not None:
            return self._wire
        what = self.what
        wire = Wire(
            AlarmMessage(sub=0, offset=self.offset, alarm=alarm_of(what, milliseconds))
            if isinstance(what, Transition)
            else NoticeMessage(sub=0, offset=self.offset, notice=notice_of(what, milliseconds))
        )
        if self._what is not None:
            self._wire = wire
        return wire

    def sse(self, epoch: str) -> str:
        """As a server-sent event."""
        if self._sse:
            return self._sse
        what = self.what
        if isinstance(what, Transition):
            name, body = "alarm", encode(alarm_of(what, milliseconds))
        else:
            name, body = "notice", encode(notice_of(what, milliseconds))
        text = f"id: {epoch}:{self.offset}\nevent: {name}\ndata: {body.decode()}\n\n"
        if self._what is not None:
            self._sse = text
        return text


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
        if len(self._events) > _UNPACKED:
            self._events[-1 - _UNPACKED].pack()
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
