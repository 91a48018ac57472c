"""Secrets that are shown once and stored only as hashes."""

from __future__ import annotations

import hashlib
import secrets
import string

TOKEN_LENGTH = 43
"""The length of 32 random bytes in URL-safe base64: tokens of other lengths need no look-up."""

_ID_ALPHABET = string.ascii_lowercase + string.digits


def new_token() -> str:
    """Return a fresh secret of 256 bits."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Return eight random characters that name a device key without revealing it."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def digest(token: str) -> bytes:
    """SHA-256 of a token. This is enough for 256 random bits; a password needs a slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def looked_up(token: str | None) -> str | None:
    """Return the hexadecimal hash under which a token is stored, or None for a text that cannot be a token."""
    if token is None or len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    return digest(token).hex()
