"""Recognises browsers that have signed in before, by a sealed cookie that gives no access.

The cookie holds a random number for the browser, the day it was written, and a short mark for each account that has
signed in there, at most twenty: a ward's computer is shared. A thief of the cookie gets a budget of wrong attempts, no
session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

_NUMBER = 16
_DAY = 4
_MARK = 8
_SEAL = 16
_MOST = 20
LIFETIME_DAYS = 180
_LONGEST = 400


class Browsers:
    """Writes and reads the cookie; `key` is shared by all doors of one database."""

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)

    def known(self, cookie: str | None, name: str, day: int) -> str:
        """The browser's number if this account has signed in there recently, otherwise empty."""
        read = self._read(cookie, day)
        if read is None or self._mark(name) not in read[1]:
            return ""
        return read[0].hex()

    def remember(self, cookie: str | None, name: str, day: int) -> str:
        """The cookie of a browser where this account has just signed in."""
        number, marks = self._read(cookie, day) or (secrets.token_bytes(_NUMBER), [])
        mark = self._mark(name)
        marks = [mark, *(each for each in marks if each != mark)][:_MOST]
        body = number + day.to_bytes(_DAY, "big") + b"".join(marks)
        return base64.urlsafe_b64encode(body + self._seal(body)).decode().rstrip("=")

    def _read(self, cookie: str | None, day: int) -> tuple[bytes, list[bytes]] | None:
        if not cookie or len(cookie) > _LONGEST or not cookie.isascii():
            return None
        try:
            raw = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        except (ValueError, binascii.Error):
            return None
        body, seal = raw[:-_SEAL], raw[-_SEAL:]
        marks = body[_NUMBER + _DAY :]
        if len(body) < _NUMBER + _DAY or len(marks) % _MARK or not hmac.compare_digest(seal, self._seal(body)):
            return None
        written = int.from_bytes(body[_NUMBER : _NUMBER + _DAY], "big")
        if day >= written + LIFETIME_DAYS:  # a future day was written before our clock was set back
            return None
        return body[:_NUMBER], [marks[place : place + _MARK] for place in range(0, len(marks), _MARK)]

    def _mark(self, name: str) -> bytes:
        return hmac.digest(self.key, b"account\0" + name.encode("utf-8", "replace"), hashlib.sha256)[:_MARK]

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self.key, b"browser\0" + body, hashlib.sha256)[:_SEAL]
