"""How people sign in: by name and password, or by a link that works once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from api.accounts.browsers import Browsers
from api.accounts.database import Database
from api.accounts.errors import Conflict, Forbidden, InvalidCredentials, LinkRefused, Unauthenticated
from api.accounts.models import AccountRow, LinkRow, SessionRow
from api.accounts.passwords import Passwords, check_new
from api.accounts.people import by_name, first_administrator, normal
from api.accounts.rights import Actor
from api.accounts.sessions import US, Sessions, SignedIn, end_all
from api.accounts.throttle import Throttle
from api.accounts.tokens import digest, looked_up, new_token
from streams.clock import Clock

FIRST_LINK_S = 3600
INVITATION_S = 24 * 3600


class Credentials:
    """Signs people in, makes their links, and sets their passwords."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        real: Callable[[], float],
        sessions: Sessions,
        passwords: Passwords,
        throttle: Throttle,
        browsers: Browsers,
    ) -> None:
        self._database = database
        self._clock = clock
        self._real = real
        self._sessions = sessions
        self._passwords = passwords
        self._throttle = throttle
        self._browsers = browsers

    async def sign_in(self, name: str, password: str, address: str, cookie: str | None = None) -> SignedIn:
        """Begin a session; `cookie` is the browser's recognition cookie.

        Raises `TooManyAttempts`, or `InvalidCredentials`, which does not say whether name or password was wrong.
        """
        name = normal(name)[:64]
        stored = await self._verified(name, password, address, self._browsers.known(cookie, name, self._day()))
        stronger = await self._passwords.hash(password) if self._passwords.outdated(stored) else stored

        def work(session: Session) -> SignedIn:
            row = _usable(session, name)
            if row is None or row.password != stored:  # disabled or changed while the hash was computed
                raise InvalidCredentials("name or password is wrong")
            row.password = stronger
            return self._sessions.begin(session, row, by_link=False)

        return self._from(cookie, await self._database.write(work))

    async def redeem(self, token: str, address: str, cookie: str | None = None) -> SignedIn:
        """Begin a session by a one-time link.

        Raises `LinkRefused` if it is unknown, used, expired, or its account disabled; `TooManyAttempts`.
        """
        self._throttle.check_link(address)
        key = looked_up(token)
        now = int(self._real() * US)

        def work(session: Session) -> SignedIn | None:
            taken = (
                update(LinkRow)
                .where(LinkRow.token == key, LinkRow.used.is_(None), LinkRow.expires > now)
                .values(used=self._clock.now())
            )
            if (
                session.scalar(taken.returning(LinkRow.token)) is None
            ):  # of two requests at the same moment, one finds it used
                return None
            account = session.get_one(LinkRow, key).account
            _void(session, account)  # several doors that started together have each printed a link
            return None if account.disabled else self._sessions.begin(session, account, by_link=True)

        # Checked first with a read: guesses must not block writers.
        there = key is not None and await self._database.read(lambda session: session.get(LinkRow, key)) is not None
        signed = await self._database.write(work) if there else None
        if signed is None:
            self._throttle.failed_link(address)
            raise LinkRefused("the link is unknown, was used before, or has expired")
        self._throttle.succeeded(signed.actor.name, address)
        return self._from(cookie, signed)

    async def first_start_link(self, *, beside_others: bool = False) -> str | None:
        """Return a link's token for the first administrator, valid one hour and until one of them is used.

        None once one with a password has signed in. Earlier links become invalid, except those of other doors (`beside_others`).
        """

        def work(session: Session) -> str | None:
            row = first_administrator(session, self._clock.now())
            return None if row is None else self._link(session, row, FIRST_LINK_S, beside_others=beside_others)

        return await self._database.write(work)

    async def link(self, name: str) -> str:
        """Return the token of a link for this account, valid one day; earlier ones become invalid.

        Raises `NotFound`, or `Conflict` if the account is disabled: the link would not work.
        """

        def work(session: Session) -> str:
            row = by_name(session, name)
            if row.disabled:
                raise Conflict("the account is disabled; enable it first")
            return self._link(session, row, INVITATION_S)

        return await self._database.write(work)

    async def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Change one's own password and end one's other sessions.

        The current one is needed, unless a one-time link began the session: that person may have lost the password.
        Raises `InvalidCredentials`, `TooManyAttempts`, `Invalid`, or `Forbidden` for an actor without an account.
        """
        if actor.kind != "account":
            raise Forbidden("only accounts have passwords")
        check_new(new, actor.name)
        if not await self._database.read(lambda session: _came_by_link(session, actor.key)):
            await self._verified(actor.name, current, "", actor.key)  # the session has a budget of its own
        encoded = await self._passwords.hash(new)

        def work(session: Session) -> list[str]:
            row = session.get(SessionRow, actor.key)
            if row is None:
                raise Unauthenticated("the session is over")
            row.by_link = False
            row.account.password = encoded
            return end_all(session, row.account, but=actor.key)

        def then(ended: list[str]) -> None:
            self._sessions.forget(ended)
            self._sessions.look_again(actor.key)

        await self._database.write(work, then=then)

    async def _verified(self, name: str, password: str, address: str, browser: str) -> str:
        """The stored hash that the password matched."""
        self._throttle.check(name, address, browser)
        with self._throttle.queued(address, browser):
            async with self._passwords.familiar if browser else self._passwords.strangers:
                self._throttle.check(name, address, browser)  # attempts before it in the queue may have failed
                stored = await self._database.read(lambda session: _hash_of(session, name))
                if not await self._passwords.verify(stored, password) or stored is None:
                    self._throttle.failed(name, address, browser)
                    raise InvalidCredentials("name or password is wrong")
        self._throttle.succeeded(name, address, browser)
        return stored

    def _from(self, cookie: str | None, signed: SignedIn) -> SignedIn:
        return replace(signed, browser=self._browsers.remember(cookie, signed.actor.name, self._day()))

    def _day(self) -> int:
        return int(self._real() // 86_400)

    def _link(self, session: Session, account: AccountRow, lifetime_s: float, *, beside_others: bool = False) -> str:
        if not beside_others:
            _void(session, account)
        token = new_token()
        expires = int((self._real() + lifetime_s) * US)
        session.add(LinkRow(token=digest(token).hex(), account=account, created=self._clock.now(), expires=expires))
        return token


def _void(session: Session, account: AccountRow) -> None:
    session.execute(delete(LinkRow).where(LinkRow.account_id == account.id, LinkRow.used.is_(None)))


def _usable(session: Session, name: str) -> AccountRow | None:
    if not name.isprintable():
        return None
    return session.scalar(select(AccountRow).where(AccountRow.name == name, AccountRow.disabled.is_(False)))


def _hash_of(session: Session, name: str) -> str | None:
    row = _usable(session, name)
    return None if row is None else row.password


def _came_by_link(session: Session, key: str) -> bool:
    row = session.get(SessionRow, key)
    if row is None:
        raise Unauthenticated("the session is over")
    return row.by_link
