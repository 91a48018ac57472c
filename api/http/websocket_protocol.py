"""The WebSocket protocol of the server: uvicorn's own on websockets, with the same time limits as for HTTP."""

import asyncio
from contextlib import suppress
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.http.connections import Connections, Phase

__all__ = ["Socket"]


class Socket(WebSocketsSansIOProtocol):
    """One connection; it counts as waiting until ``settle`` is called after sign-in."""

    def __init__(self, *arguments: Any, connections: Connections, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **more)
        self.phase = Phase.BODY
        self.began = self.loop.time()
        self.stalled = self.closing = 0.0
        self.place = ""
        self._register = connections
        self.app_state = {**self.app_state, "connection": self}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The HTTP protocol has handed the connection over."""
        super().connection_made(transport)
        self._register.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._register.leave(self)
        super().connection_lost(exc)

    def settle(self) -> None:
        """The client has signed in: the connection no longer counts as waiting."""
        self.phase = Phase.SERVED
        self._register.go_on(self)

    def pause_writing(self) -> None:
        """The client has stopped reading."""
        self.stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled = 0.0
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer a ping, unless earlier answers are still unread."""
        if self.stalled:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on. A text message that is not valid UTF-8 is passed as bytes, which the application refuses."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.curr_msg_data_type = "bytes"
        super().send_receive_event_to_app()

    def overdue(self, now: float) -> bool:
        """Whether sign-in has taken too long; the application itself has a shorter limit."""
        return self.phase != Phase.SERVED and now - self.began > 2 * self._register.head_s

    def turn_away(self, slug: str) -> None:  # noqa: ARG002 - a socket cannot answer with a problem
        """Close without an answer."""
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with unsent bytes."""
        with suppress(OSError, RuntimeError):
            self.transport.abort()
