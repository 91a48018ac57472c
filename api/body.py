"""Request bodies read by hand: bounded as sent and again after decompression."""

import zlib
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Fault, Problem, answer

__all__ = ["BodyTooLarge", "Bounded", "inflate", "media_type", "read_body"]

ORDINARY = 1 << 20
"""Largest body of a door that does not read its own."""

_GZIP = 31
_SLICE = 1 << 20


class BodyTooLarge(Problem):
    """More than the limit was announced or came; ``beginning`` is what was read before."""

    def __init__(self, limit: int, beginning: bytes) -> None:
        super().__init__("body-too-large", f"at most {limit} bytes are read", headers={"Connection": "close"})
        self.beginning = beginning


class Bounded:
    """ASGI middleware: bodies past ``ORDINARY`` are refused, besides those of the paths that read their ``own``."""

    def __init__(self, app: ASGIApp, own: frozenset[str]) -> None:
        self._app = app
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in self._own:
            await self._app(scope, receive, send)
            return
        if announced(dict(scope["headers"])) > ORDINARY:
            await answer(BodyTooLarge(ORDINARY, b""), scope["path"])(scope, receive, send)
            return
        size = 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > ORDINARY:  # as FastAPI's own: it passes nothing else on while it reads a body
                raise HTTPException(413, f"at most {ORDINARY} bytes are read", {"Connection": "close"})
            return message

        await self._app(scope, count, send)


def announced(headers: Mapping[bytes, bytes]) -> int:
    """The length a request says its body has, 0 if it does not say."""
    said = headers.get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The body as sent; raises ``BodyTooLarge`` without reading on."""
    if announced(headers) > limit:
        raise BodyTooLarge(limit, b"")
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit, body[:limit])
        return body
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size > limit:
            raise BodyTooLarge(limit, b"".join(chunks)[:limit])
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


def inflate(body: bytes, limit: int) -> bytes:
    """The content of a gzip body, possibly of several members.

    Raises ``BodyTooLarge`` as soon as it is past ``limit``, ``Problem`` malformed-body when it is cut short or no gzip.
    """
    parts: list[bytes] = []
    size = 0
    rest = body
    while rest:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            try:
                part = member.decompress(rest, _SLICE)
            except zlib.error as error:
                raise _no_gzip(str(error)) from None
            rest = member.unconsumed_tail
            size += len(part)
            parts.append(part)
            if size > limit:
                raise BodyTooLarge(limit, body)
            if not part and not rest and not member.eof:
                raise _no_gzip("it ends too soon")
        rest = member.unused_data
    return b"".join(parts)


def media_type(content_type: bytes) -> str:
    """The type without its parameters.

    >>> media_type(b"Application/JSON; charset=utf-8")
    'application/json'
    """
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def _no_gzip(why: str) -> Problem:
    fault = Fault("malformed_gzip", f"the body is no gzip: {why}", field="body")
    return Problem("malformed-body", fault.detail, faults=[fault])
