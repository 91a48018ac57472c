"""Signed-in browsers: a random cookie, of which only the hash is kept, good for twelve hours of real time.

The owner of a cookie is cached for ten seconds, so that the many requests of a page cost one look-up. A session that
this process ends is refused at once. A session that another process ends (several doors on one PostgreSQL, or the command
line) is refused when the cache entry expires.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.errors import Unauthenticated
from api.accounts.models import AccountRow, LinkRow, SessionRow
from api.accounts.rights import Actor
from api.accounts.tokens import digest, looked_up, new_token
from streams.clock import Clock

LIFETIME_S = 12 * 3600
"""One shift."""
REMEMBERED_S = 10.0
US = 1_000_000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the cookie's value (shown only this once), its owner, and its lifetime in seconds of real time.

    `browser` is the value of a second cookie, which identifies the browser at the next sign-in.
    """

    token: str
    actor: Actor
    max_age: int
    browser: str = ""


class Sessions:
    """Begins, recognises and ends sessions.

    `ended` is called with a session's key when it ends or its rights change.
    """

    def __init__(
        self, database: Database, clock: Clock, real: Callable[[], float], ended: Callable[[str], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._real = real
        self._ended = ended
        self._remembered: dict[str, tuple[Actor, float]] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of cached sessions."""
        return len(self._remembered)

    def begin(self, session: Session, account: AccountRow, *, by_link: bool) -> SignedIn:
        """Add a session for the account within the caller's transaction."""
        token = new_token()
        expires = int((self._real() + LIFETIME_S) * US)
        row = SessionRow(
            token=digest(token).hex(), account=account, by_link=by_link, created=self._clock.now(), expires=expires
        )
        session.add(row)
        account.last_sign_in = self._clock.now()
        return SignedIn(token, _actor(row), LIFETIME_S)

    def remembers(self, token: str | None) -> bool:
        """Whether the cookie belongs to a cached session; uses only memory."""
        key = looked_up(token)
        actor, until = self._remembered.get(key or "", (None, 0.0))
        now = self._real()
        return actor is not None and now < min(until, actor.expires)

    async def authenticate(self, token: str | None) -> Actor:
        """The owner of this cookie; raises `Unauthenticated` if it is unknown, has expired or was ended."""
        key = looked_up(token)
        if key is None:
            raise Unauthenticated("sign in first")
        return await self.current(key)

    async def current(self, key: str) -> Actor:
        """The actor of a session with its present rights; raises `Unauthenticated` if the session is over."""
        now = self._real()
        actor, until = self._remembered.get(key, (None, 0.0))
        while actor is None or now >= until:
            changes = self._changes
            actor = await self._database.read(lambda session: signed_in(session, key))
            if actor is None:
                self._remembered.pop(key, None)
                raise Unauthenticated("the session is over")
            with self._lock:
                if changes != self._changes:  # a session ended while the database was read: it may be this one
                    actor = None
                    continue
                until = now + REMEMBERED_S
                self._remembered[key] = (actor, until)
        if actor.expires <= now:
            raise Unauthenticated("the session is over")
        return actor

    def forget(self, keys: Iterable[str]) -> None:
        """Remove these from the cache and notify the holders of their sockets.

        Called after the commit, from any thread.
        """
        keys = list(keys)
        with self._lock:
            self._changes += 1
            for key in keys:
                self._remembered.pop(key, None)
        for key in keys:
            self._ended(key)

    def look_again(self, key: str) -> None:
        """Remove one from the cache; the session and its sockets go on."""
        with self._lock:
            self._changes += 1
            self._remembered.pop(key, None)

    async def end(self, key: str) -> None:
        """End one session."""
        await self._database.write(lambda session: _delete(session, key), then=lambda _: self.forget([key]))

    async def prune(self) -> None:
        """Delete expired sessions and links."""
        now = self._real()
        with self._lock:
            for key in [key for key, (_, until) in self._remembered.items() if until <= now]:
                del self._remembered[key]
        await self._database.write(lambda session: _prune(session, int(now * US)))


def of_account(session: Session, account: AccountRow) -> list[str]:
    """Return the keys of an account's sessions."""
    return list(session.scalars(select(SessionRow.token).where(SessionRow.account_id == account.id)))


def end_all(session: Session, account: AccountRow, *, but: str = "") -> list[str]:
    """Delete an account's sessions and links within the caller's transaction; returns the keys to `forget`."""
    keys = [key for key in of_account(session, account) if key != but]
    session.execute(delete(SessionRow).where(SessionRow.token.in_(keys)))
    session.execute(delete(LinkRow).where(LinkRow.account_id == account.id))
    return keys


def signed_in(session: Session, key: str, now: int = 0) -> Actor | None:
    """Return the actor of a session that has not ended, nor, if `now` (µs of real time) is given, expired."""
    row = session.get(SessionRow, key)
    return None if row is None or row.account.disabled or row.expires <= now else _actor(row)


def _actor(row: SessionRow) -> Actor:
    account = row.account
    return Actor(
        kind="account",
        name=account.name,
        role=account.role,
        wards=frozenset(account.wards),
        key=row.token,
        expires=row.expires / US,
        by_link=row.by_link,
    )


def _delete(session: Session, key: str) -> None:
    session.execute(delete(SessionRow).where(SessionRow.token == key))


def _prune(session: Session, now: int) -> None:
    session.execute(delete(SessionRow).where(SessionRow.expires <= now))
    session.execute(delete(LinkRow).where(LinkRow.expires <= now))
