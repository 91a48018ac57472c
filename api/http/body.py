"""Reads request bodies with limits on the bytes sent and on the decompressed bytes."""

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
"""Largest body at doors that leave it to the framework, which parses the body before the caller is identified."""

_GZIP = 31
_SLICE = 256 << 10
_MEMBERS = 64
_DENSE, _FREE = 250, 4 << 20


class BodyTooLarge(Problem):
    """The announced or received length is above the limit; ``beginning`` is the part read before."""

    def __init__(self, limit: int, beginning: bytes) -> None:
        super().__init__("body-too-large", f"at most {limit} bytes are read", headers={"Connection": "close"})
        self.beginning = beginning


class Share:
    """The bytes of a ``Room`` that one request uses."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._room.held -= self.held
        self.held = 0

    def grow(self, size: int) -> None:
        """Use ``size`` more bytes; raises ``Overloaded`` if there is no room."""
        if self._room.held + size > self._room.most:
            raise Overloaded(1.0)
        self._room.held += size
        self.held += size


class Room:
    """Limits the bytes of request bodies in memory, as sent and as decompressed. For one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def share(self) -> Share:
        """A share for one request, released at the end of its ``with``."""
        return Share(self)


class Bounded:
    """ASGI middleware: refuses bodies larger than ``ORDINARY``.

    ``larger`` names the paths with another limit; 0: the door limits its body itself.
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
            if size > limit:  # an HTTPException, because FastAPI passes on no other error while it reads a body
                raise HTTPException(413, f"at most {limit} bytes are read", {"Connection": "close"})
            return message

        await self._app(scope, count, send)


def announced(headers: Mapping[bytes, bytes]) -> int:
    """The announced length of a request's body, 0 if there is none."""
    said = headers.get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int, share: Share) -> bytes:
    """The body as sent; raises ``BodyTooLarge`` without reading further, ``Overloaded`` if there is no room."""
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

    The limits apply during decompression. Raises ``BodyTooLarge`` as soon as it exceeds ``limit`` or, beyond a few
    megabytes, ``_DENSE`` times the bytes sent; ``Problem`` malformed-body if it is truncated, not gzip, or has too many members.
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
                raise _no_gzip("it is truncated")
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
    fault = Fault("malformed_gzip", f"the body cannot be decompressed: {why}", field="body")
    return Problem("malformed-body", fault.detail, faults=[fault])
