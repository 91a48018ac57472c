"""Passwords: argon2 off the event loop, and what a new one must be like."""

from __future__ import annotations

import asyncio
import unicodedata

import anyio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.accounts.errors import Invalid
from api.accounts.tokens import new_token

SHORTEST = 12
LONGEST = 256
"""Long enough for any passphrase, short enough that nobody hashes a megabyte for a stranger."""


class Passwords:
    """Hashes and verifies passwords, two at a time.

    Each takes some 50 ms and 64 MiB, and the twins need the cores too. `familiar` and `strangers` are taken in turn by
    who has signed in from the same browser before and by who has not: a flood of guesses keeps no nurse waiting.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = anyio.CapacityLimiter(2)
        self.familiar = asyncio.Lock()
        self.strangers = asyncio.Lock()
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash, salt and parameters included."""
        return await anyio.to_thread.run_sync(self._hasher.hash, _bytes(password), limiter=self._threads)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password belongs to the hash.

        Without a hash it takes as long to say no, so that time tells no names.
        """
        if len(password) > LONGEST:
            return False
        return await anyio.to_thread.run_sync(self._verify, encoded, _bytes(password), limiter=self._threads)

    def outdated(self, encoded: str) -> bool:
        """Whether the hash was made with weaker parameters than are used now."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str | None, password: bytes) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(new_token())
        try:
            self._hasher.verify(encoded or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return encoded is not None


def check_new(password: str, name: str) -> None:
    """Raise `Invalid` for a password that is too short, too long, or made of the account's own name.

    Length is what counts (NIST SP 800-63B); there are no rules about kinds of characters, and any character is allowed.
    """
    if len(password) < SHORTEST:
        raise Invalid("password", f"at least {SHORTEST} characters are needed")
    if len(password) > LONGEST:
        raise Invalid("password", f"at most {LONGEST} characters are accepted")
    if not password.casefold().replace(name, "").strip(" 0123456789"):
        raise Invalid("password", "it is made of the account's name or of digits only")
    if len(set(password)) < 5:
        raise Invalid("password", "it repeats too few characters")


def _bytes(password: str) -> bytes:
    # The same key strokes give different code points on different systems; NFKC makes them one.
    # A lone surrogate out of JSON is no reason to fail.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
