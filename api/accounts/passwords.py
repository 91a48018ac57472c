"""Passwords: argon2 outside the event loop, and the rules for new passwords."""

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
"""Long enough for any passphrase, and short enough that a stranger cannot make the service hash a megabyte."""


class Passwords:
    """Hashes and verifies passwords, one at a time and with low priority.

    Each takes about 100 ms of a core and 64 MiB, and the twins need both. Attempts from browsers that have signed in before
    queue at `familiar`, all others at `strangers`, and the two take turns: a flood of guesses does not delay a nurse.
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

        Without a hash it takes as long to say no, so that the time does not reveal which names exist.
        """
        if len(password) > LONGEST:
            return False
        return await self._apart(self._verify, encoded, _bytes(password))

    def outdated(self, encoded: str) -> bool:
        """Whether the hash was made with weaker parameters than the present ones."""
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
    """Raise `Invalid` for a password that is too short, too long, or too easy to guess.

    Length matters most (NIST SP 800-63B): there are no rules about kinds of characters, and any character is allowed.
    """
    if len(password) < SHORTEST:
        raise Invalid("password", f"at least {SHORTEST} characters are needed")
    if len(password) > LONGEST:
        raise Invalid("password", f"at most {LONGEST} characters are accepted")
    if not password.casefold().replace(name, "").strip(" 0123456789"):
        raise Invalid("password", "it consists of the account's name or of digits only")
    if len(set(password)) < 5:
        raise Invalid("password", "it has too few different characters")


def _stand_back() -> None:
    """Give this thread, and the threads that argon2 starts from it, the lowest priority (Linux)."""
    with suppress(AttributeError, OSError):  # elsewhere a priority belongs to the whole process, or does not exist
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _bytes(password: str) -> bytes:
    # The same keys give different code points on different systems; NFKC makes them equal.
    # A lone surrogate from JSON must not raise an error.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
