"""Passwords: argon2 off the event loop, and what a new one must be like."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.accounts.errors import Invalid
from api.accounts.tokens import new_token

R = TypeVar("R")

_NICE = 10
SHORTEST = 12
LONGEST = 256
"""Long enough for any passphrase, short enough that nobody hashes a megabyte for a stranger."""


class Passwords:
    """Hashes and verifies passwords, one at a time and when no other thread wants the core.

    Each takes some 100 ms of a core and 64 MiB, and the twins need both. `familiar` and `strangers` are taken in turn by
    who has signed in from the same browser before and by who has not: a flood of guesses keeps no nurse waiting.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._thread = ThreadPoolExecutor(1, "passwords", initializer=_stand_back)
        self.familiar = asyncio.Lock()
        self.strangers = asyncio.Lock()
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash, salt and parameters included."""
        return await self._apart(self._hasher.hash, _bytes(password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password belongs to the hash.

        Without a hash it takes as long to say no, so that time tells no names.
        """
        if len(password) > LONGEST:
            return False
        return await self._apart(self._verify, encoded, _bytes(password))

    def outdated(self, encoded: str) -> bool:
        """Whether the hash was made with weaker parameters than are used now."""
        return self._hasher.check_needs_rehash(encoded)

    async def _apart(self, work: Callable[..., R], *arguments: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

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


def _stand_back() -> None:
    """Let other threads of this and every program go first, with those that argon2 starts from here (Linux)."""
    with suppress(AttributeError, OSError):  # elsewhere a priority is the whole process's, or there is none
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _bytes(password: str) -> bytes:
    # The same key strokes give different code points on different systems; NFKC makes them one.
    # A lone surrogate out of JSON is no reason to fail.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
