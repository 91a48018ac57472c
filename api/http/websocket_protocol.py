"""The WebSocket protocol of the server: uvicorn's own on websockets, with the same patience as for HTTP."""

import asyncio
from contextlib import suppress
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.http.connections import Connections, Phase

__all__ = ["Socket"]


class Socket(WebSocketsSansIOProtocol):
    """One connection; it counts as waiting until ``settle`` says that somebody signed in."""

    def __init__(self, *arguments: Any, connections: Connections, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **more)
        self.phase = Phase.BODY
        self.began = self.loop.time()
        self.stalled = self.closing = 0.0
        self.place = ""
        self._register = connections
        self.app_state = {**self.app_state, "connection": self}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was handed over."""
        super().connection_made(transport)
        self._register.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._register.leave(self)
        super().connection_lost(exc)

    def settle(self) -> None:
        """Somebody has signed in: it may stay."""
        self.phase = Phase.SERVED
        self._register.go_on(self)

    def pause_writing(self) -> None:
        """It takes nothing at present."""
        self.stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It takes what it is sent."""
        self.stalled = 0.0
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer a ping, unless the answers before wait to be taken."""
        if self.stalled:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Hand a message on; one that says it is text and is none goes as bytes, which the application refuses."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.curr_msg_data_type = "bytes"
        super().send_receive_event_to_app()

    def overdue(self, now: float) -> bool:
        """Whether nobody has signed in for a long time; the application itself is quicker."""
        return self.phase != Phase.SERVED and now - self.began > 2 * self._register.head_s

    def turn_away(self, slug: str) -> None:  # noqa: ARG002 - a socket has no words for a problem
        """Close without a word."""
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with what was still to be sent."""
        with suppress(OSError, RuntimeError):
            self.transport.abort()
