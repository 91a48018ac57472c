"""Request bodies read by hand: bounded as sent and again after decompression."""

import zlib
from collections.abc import Mapping
from typing import Self

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import Fault, Problem, answer
from streams.errors import Overloaded

__all__ = ["BodyTooLarge", "Bounded", "Room", "Share", "inflate", "media_type", "read_body"]

ORDINARY = 64 << 10
"""Largest body of a door that does not read its own: the framework makes objects of it before anybody is asked who."""

_GZIP = 31
_SLICE = 256 << 10
_MEMBERS = 64
_DENSE, _FREE = 250, 4 << 20


class BodyTooLarge(Problem):
    """More than the limit was announced or came; ``beginning`` is what was read before."""

    def __init__(self, limit: int, beginning: bytes) -> None:
        super().__init__("body-too-large", f"at most {limit} bytes are read", headers={"Connection": "close"})
        self.beginning = beginning


class Share:
    """The bytes one request holds of a ``Room``."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._room.held -= self.held
        self.held = 0

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes more; raises ``Overloaded`` where there is no room for them."""
        if self._room.held + size > self._room.most:
            raise Overloaded(1.0)
        self._room.held += size
        self.held += size


class Room:
    """How many bytes of request bodies, as sent and as unpacked, may be in memory at once. For one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def share(self) -> Share:
        """A share for one request, given back at the end of its ``with``."""
        return Share(self)


class Bounded:
    """ASGI middleware: bodies past ``ORDINARY`` are refused.

    ``larger`` names the paths with another bound; 0: they bound what they read themselves.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        limit = self._larger.get(scope["path"], ORDINARY) if scope["type"] == "http" else 0
        if not limit:
            await self._app(scope, receive, send)
            return
        if announced(dict(scope["headers"])) > limit:
            await answer(BodyTooLarge(limit, b""), scope["path"])(scope, receive, send)
            return
        size = 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:  # as FastAPI's own: it passes nothing else on while it reads a body
                raise HTTPException(413, f"at most {limit} bytes are read", {"Connection": "close"})
            return message

        await self._app(scope, count, send)


def announced(headers: Mapping[bytes, bytes]) -> int:
    """The length a request says its body has, 0 if it does not say."""
    said = headers.get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int, share: Share) -> bytes:
    """The body as sent; raises ``BodyTooLarge`` without reading on, ``Overloaded`` where there is no room for it."""
    if announced(headers) > limit:
        raise BodyTooLarge(limit, b"")
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit, body[:limit])
        share.grow(len(body))
        return body
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        share.grow(len(chunk))
        chunks.append(chunk)
        if size > limit:
            raise BodyTooLarge(limit, b"".join(chunks)[:limit])
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


def inflate(body: bytes, limit: int) -> bytes:
    """The content of a gzip body, possibly of several members.

    It is bounded while it is unpacked. Raises ``BodyTooLarge`` as soon as it is past ``limit`` or, beyond a few megabytes,
    more than ``_DENSE`` times what was sent; ``Problem`` malformed-body when it is cut short, no gzip, or in too many pieces.
    """
    parts: list[bytes] = []
    size = 0
    rest = body
    most = min(limit, max(_FREE, _DENSE * len(body)))
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            try:
                part = member.decompress(rest, _SLICE)
            except zlib.error as error:
                raise _no_gzip(str(error)) from None
            rest = member.unconsumed_tail
            size += len(part)
            parts.append(part)
            if size > most:
                raise BodyTooLarge(most, body)
            if not part and not rest and not member.eof:
                raise _no_gzip("it ends too soon")
        rest = member.unused_data
        if not rest:
            return b"".join(parts)
    raise _no_gzip(f"it has more than {_MEMBERS} members")


def media_type(content_type: bytes) -> str:
    """The type without its parameters.

    >>> media_type(b"Application/JSON; charset=utf-8")
    'application/json'
    """
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def _no_gzip(why: str) -> Problem:
    fault = Fault("malformed_gzip", f"the body cannot be unpacked: {why}", field="body")
    return Problem("malformed-body", fault.detail, faults=[fault])
