"""Cursors: the position in a long list, opaque and signed, so that only our own are accepted."""

import base64
import binascii
import hashlib
import hmac

from starlette.datastructures import URL

from api.http.problems import Problem

__all__ = ["Cursors"]

_SIGNATURE = 12


class Cursors:
    """Seals and opens cursors with ``key``; each is valid only for its ``purpose`` (the list and its filters).

    >>> cursors = Cursors(b"key")
    >>> cursors.open(cursors.seal("after 7", "alarms"), "alarms")
    'after 7'
    """

    def __init__(self, key: bytes) -> None:
        self.key = key

    def seal(self, place: str, purpose: str) -> str:
        """The cursor for the caller."""
        body = place.encode()
        return base64.urlsafe_b64encode(self._sign(body, purpose) + body).decode().rstrip("=")

    def open(self, cursor: str | None, purpose: str) -> str | None:
        """The position in a cursor; raises ``Problem`` bad-cursor."""
        if cursor is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
            signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
            if hmac.compare_digest(signature, self._sign(body, purpose)):
                return body.decode()
        except (ValueError, binascii.Error):
            pass
        raise Problem("bad-cursor")

    def link(self, url: URL, cursor: str | None) -> dict[str, str]:
        """The ``Link`` header to the next page, if there is one."""
        if cursor is None:
            return {}
        following = url.include_query_params(cursor=cursor)
        return {"Link": f'<{following.path}?{following.query}>; rel="next"'}

    def _sign(self, body: bytes, purpose: str) -> bytes:
        return hmac.digest(self.key, purpose.encode("utf-8", "replace") + b"\0" + body, hashlib.sha256)[:_SIGNATURE]
