"""Request bodies read by hand: bounded as sent and again after decompression."""

import zlib
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.problems import Fault, Problem

__all__ = ["inflate", "media_type", "read_body"]

_GZIP = 31
_SLICE = 1 << 20


class BodyTooLarge(Problem):
    """More than the limit was announced or came; ``beginning`` is what was read before."""

    def __init__(self, limit: int, beginning: bytes) -> None:
        super().__init__("body-too-large", f"at most {limit} bytes are read", headers={"Connection": "close"})
        self.beginning = beginning


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The body as sent; raises ``BodyTooLarge`` without reading on."""
    announced = headers.get(b"content-length")
    if announced is not None and int(announced) > limit:
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
