"""The HTTP protocol of the server: uvicorn's own on httptools, with bounds on heads, on patience and on deafness."""

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
"""Bytes of a header beside its name and value."""
_NOTHING, _HEAD, _BODY = range(3)
_OVERHEAD = 8
"""Bytes of chunked framing for one of a body: beyond, chunks and trailers are sent for their own sake."""


class _TooMuch(Exception):
    """What is being read is past a bound."""


class Http(HttpToolsProtocol):
    """One connection. What is wrong is answered with a problem, and the connection closed."""

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

    # -- the transport's side ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._register.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._register.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
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
        """Look at a request that has come in part; with the first of it the connection waits no longer as an idle one."""
        # A name or value that never ends is seen by its size only, and so are trailers and the framing of chunks.
        allowed = self._register.head_bytes + _OVERHEAD * self._body
        wrong = self._too_much() or ("headers-too-large" if self._received - self._body > allowed else "")
        if wrong:
            self.turn_away(wrong)
        elif rested and self.phase in {Phase.HEAD, Phase.BODY}:
            self._register.wait(self)

    def _too_much(self) -> str:
        """Which bound the head is past, as far as it has come; empty where none. Trailers count as its headers."""
        if len(self.url) > _LONGEST_ADDRESS:
            return "address-too-long"
        headers = self.headers
        size = _FRAMING * len(headers) + sum(map(len, chain.from_iterable(headers)))
        past = len(headers) > self._register.headers or size > self._register.head_bytes
        return "headers-too-large" if past else ""

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._register.leave(self)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """It takes nothing at present."""
        self.stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It takes what it is sent."""
        self.stalled = 0.0
        super().resume_writing()

    # -- the parser's side ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._part = _HEAD
        if self.phase == Phase.IDLE:
            self.phase = Phase.HEAD
            self.began = self._heard
        self._received = self._body = 0

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._wrong = self._too_much()
        if self._wrong:
            raise _TooMuch
        super().on_headers_complete()
        self._part = _BODY
        if self.phase == Phase.HEAD:
            self.phase = Phase.BODY
            self.began = self._heard

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._part = _NOTHING
        self._register.go_on(self)
        if self.phase == Phase.BODY and self._cycle is not None and self._cycle.response_complete:
            self._rest()  # it was answered before it was whole
        else:
            self.phase = Phase.SERVED

    def on_response_complete(self) -> None:
        """A request was answered."""
        super().on_response_complete()
        if self.phase == Phase.SERVED and not self.pipeline:
            self._rest()

    # -- the register's side -------------------------------------------------------------------------------------

    def overdue(self, now: float) -> bool:
        """Whether the client has kept us waiting for too long."""
        if self.phase == Phase.HEAD:
            return now - self.began > self._register.head_s
        if self.phase == Phase.IDLE:
            return now - self.began > self.timeout_keep_alive + self._register.head_s
        if self.phase != Phase.BODY:
            return False
        if self.flow.read_paused:  # it is us who do not read
            self.began = self._heard = now
            return False
        return now - self._heard > self._register.head_s or now - self.began > BODY_S + self._body / BODY_RATE

    def linger(self) -> None:
        """Its request is not begun yet: until then it may have to go, as one that has asked for nothing."""
        self._register.wait(self)

    def proceed(self) -> bool:
        """Its request is begun; whether it is still there."""
        if self.phase == Phase.SERVED:
            self._register.go_on(self)
        return not self.transport.is_closing()

    def turn_away(self, slug: str) -> None:
        """Answer with a problem, if nothing was answered yet, and close."""
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
        """Drop the connection at once, with what was still to be sent."""
        with suppress(OSError, RuntimeError):
            self.transport.abort()

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The newest request; uvicorn says that there always is one."""
        return self.cycle

    def _rest(self) -> None:
        self.phase = Phase.IDLE
        self.began = self.loop.time()
        self._register.wait(self)


def _raw(slug: str) -> bytes:
    """A problem as bytes on the wire, for who has not got as far as the application."""
    response = answer(Problem(slug))
    status = PROBLEMS[slug].status
    lines = [b"HTTP/1.1 %d \r\nconnection: close\r\n" % status]
    lines += [b"%s: %s\r\n" % header for header in response.raw_headers]
    return b"".join([*lines, b"\r\n", bytes(response.body)])
