"""The HTTP protocol of the server: uvicorn's own on httptools, with limits on heads, waiting times and unread answers."""

import asyncio
from contextlib import suppress
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.connections import BODY_RATE, BODY_S, Connections, Phase
from api.http.problems import PROBLEMS, Problem, answer

__all__ = ["Http"]

_LONGEST_ADDRESS = 8 << 10
_FRAMING = 4
"""Bytes of a header in addition to its name and value."""
_NOTHING, _HEAD, _BODY = range(3)
_OVERHEAD = 8
"""Bytes of chunked framing allowed per byte of body; more is an attack with chunks or trailers."""


class _TooMuch(Exception):
    """The request exceeds a limit."""


class Http(HttpToolsProtocol):
    """One connection. An invalid request is answered with a problem, and the connection is closed."""

    def __init__(self, *arguments: Any, connections: Connections, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **more)
        self.phase = Phase.HEAD
        self.began = self._heard = self.loop.time()
        self.stalled = self.closing = 0.0
        self._register = connections
        self.place = ""
        self._wrong = ""
        self._part = _NOTHING
        self._received = self._body = 0
        self.app_state = {**self.app_state, "connection": self}

    # -- called by the transport ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._register.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._register.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._heard = self.loop.time()
        self._received += len(data)
        rested = self.phase == Phase.IDLE
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            return
        except httptools.HttpParserError:
            self.turn_away(self._wrong or "bad-request")
            return
        if self._part != _NOTHING:
            self._look_at_part(rested=rested)

    def _look_at_part(self, *, rested: bool) -> None:
        """Check an incomplete request. Its first bytes end the idle phase of the connection."""
        # An endless name or value is noticed only by its size, and so are trailers and the framing of chunks.
        allowed = self._register.head_bytes + _OVERHEAD * self._body
        wrong = self._too_much() or ("headers-too-large" if self._received - self._body > allowed else "")
        if wrong:
            self.turn_away(wrong)
        elif rested and self.phase in {Phase.HEAD, Phase.BODY}:
            self._register.wait(self)

    def _too_much(self) -> str:
        """The limit that the head exceeds so far; empty if none. Trailers count as headers."""
        if len(self.url) > _LONGEST_ADDRESS:
            return "address-too-long"
        headers = self.headers
        size = _FRAMING * len(headers) + sum(map(len, chain.from_iterable(headers)))
        past = len(headers) > self._register.headers or size > self._register.head_bytes
        return "headers-too-large" if past else ""

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol."""
        self._register.leave(self)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The client has stopped reading."""
        self.stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled = 0.0
        super().resume_writing()

    # -- called by the parser ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._part = _HEAD
        if self.phase == Phase.IDLE:
            self.phase = Phase.HEAD
            self.began = self._heard
        self._received = self._body = 0

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._wrong = self._too_much()
        if self._wrong:
            raise _TooMuch
        super().on_headers_complete()
        self._part = _BODY
        if self.phase == Phase.HEAD:
            self.phase = Phase.BODY
            self.began = self._heard

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        super().on_message_complete()
        self._part = _NOTHING
        self._register.go_on(self)
        if self.phase == Phase.BODY and self._cycle is not None and self._cycle.response_complete:
            self._rest()  # it was answered before it was complete
        else:
            self.phase = Phase.SERVED

    def on_response_complete(self) -> None:
        """A request was answered."""
        super().on_response_complete()
        if self.phase == Phase.SERVED and not self.pipeline:
            self._rest()

    # -- called by the register ----------------------------------------------------------------------------------

    def overdue(self, now: float) -> bool:
        """Whether the client has made the server wait for too long."""
        if self.phase == Phase.HEAD:
            return now - self.began > self._register.head_s
        if self.phase == Phase.IDLE:
            return now - self.began > self.timeout_keep_alive + self._register.head_s
        if self.phase != Phase.BODY:
            return False
        if self.flow.read_paused:  # the server itself does not read at the moment
            self.began = self._heard = now
            return False
        return now - self._heard > self._register.head_s or now - self.began > BODY_S + self._body / BODY_RATE

    def linger(self) -> None:
        """The service has not begun the request: until then the connection may be closed like one without a request."""
        self._register.wait(self)

    def proceed(self) -> bool:
        """The service begins the request. Returns whether the connection is still open."""
        if self.phase == Phase.SERVED:
            self._register.go_on(self)
        return not self.transport.is_closing()

    def turn_away(self, slug: str) -> None:
        """Answer with a problem, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        cycle = self._cycle
        silent = self.phase == Phase.IDLE
        if cycle is not None and not cycle.response_complete:
            silent = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        if not silent:
            self.transport.write(_raw(slug))
        self.transport.close()

    def abort(self) -> None:
        """Drop the connection at once, with unsent bytes."""
        with suppress(OSError, RuntimeError):
            self.transport.abort()

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The newest request; uvicorn's type wrongly says that there always is one."""
        return self.cycle

    def _rest(self) -> None:
        self.phase = Phase.IDLE
        self.began = self.loop.time()
        self._register.wait(self)


def _raw(slug: str) -> bytes:
    """A problem as bytes on the wire, for requests that do not reach the application."""
    response = answer(Problem(slug))
    status = PROBLEMS[slug].status
    lines = [b"HTTP/1.1 %d \r\nconnection: close\r\n" % status]
    lines += [b"%s: %s\r\n" % header for header in response.raw_headers]
    return b"".join([*lines, b"\r\n", bytes(response.body)])
