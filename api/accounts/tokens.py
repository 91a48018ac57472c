"""Secrets that are handed out once and kept only as what they hash to."""

from __future__ import annotations

import hashlib
import secrets
import string

TOKEN_LENGTH = 43
"""Characters of 32 random bytes in URL-safe base64: no shorter or longer token needs to be looked up."""

_ID_ALPHABET = string.ascii_lowercase + string.digits


def new_token() -> str:
    """Return a fresh secret of 256 bits."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Return eight random characters that name a device key without giving it away."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def digest(token: str) -> bytes:
    """SHA-256 of a token; enough for 256 random bits, where a password needs a slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def looked_up(token: str | None) -> str | None:
    """Return the hexadecimal hash a stored token is found by, or None for what cannot be one of ours."""
    if token is None or len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    return digest(token).hex()
