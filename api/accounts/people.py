"""Accounts: who can sign in, in which role, for which wards."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.errors import Conflict, Invalid, LastAdministrator, NotFound
from api.accounts.models import AccountRow
from api.accounts.passwords import Passwords, check_new
from api.accounts.rights import ALL_WARDS, ROLES, Role
from api.accounts.sessions import Sessions, end_all, of_account
from streams.clock import Clock
from streams.log.identity import composed

_NAME = re.compile(r"[\w.@+-]{1,64}")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as an administrator sees it; times in µs of the service's clock."""

    name: str
    role: str
    wards: tuple[str, ...]
    disabled: bool
    created: int
    last_sign_in: int | None


class People:
    """Lists, creates and changes accounts."""

    def __init__(self, database: Database, clock: Clock, sessions: Sessions, passwords: Passwords) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._passwords = passwords

    async def list(self) -> list[Account]:
        """All accounts by name."""
        accounts = await self._database.read(
            lambda session: [_view(row) for row in session.scalars(select(AccountRow))]
        )
        return sorted(accounts, key=lambda account: account.name)  # databases sort letters differently

    async def create(self, name: str, role: str, wards: Sequence[str], password: str | None) -> Account:
        """Add an account.

        Without a password a one-time link is needed to sign in. Raises `Invalid`, or `Conflict` if the name is taken.
        """
        name = normal(name)
        if not _NAME.fullmatch(name):
            raise Invalid("name", "1 to 64 letters, digits or any of . _ @ + -")
        row = AccountRow(
            name=name,
            role=_checked_role(role),
            wards=_wards_of(role, wards),
            created=self._clock.now(),
            disabled=False,
        )
        if password is not None:
            check_new(password, name)
            row.password = await self._passwords.hash(password)
        return await self._database.write(lambda session: _add(session, row))

    async def change(
        self,
        name: str,
        *,
        role: str | None = None,
        wards: Sequence[str] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> Account:
        """Make all given changes, or none if any of them is refused.

        The account's sessions get the new rights at once. They end if it is disabled or its password changes. Raises
        `NotFound`, `Invalid`, or `LastAdministrator`.
        """
        encoded = None
        if password is not None:
            check_new(password, normal(name))
            encoded = await self._passwords.hash(password)

        def work(session: Session) -> tuple[Account, list[str]]:
            row = by_name(session, name)
            before = _administrators(session)
            row.role = _checked_role(role if role is not None else row.role)
            row.wards = _wards_of(row.role, wards if wards is not None else row.wards)
            row.disabled = row.disabled if disabled is None else disabled
            row.password = encoded or row.password
            session.flush()
            if before > _administrators(session) == 0:
                raise LastAdministrator("the service needs an administrator who is not disabled")
            over = row.disabled or encoded is not None
            return _view(row), end_all(session, row) if over else of_account(session, row)

        account, _ = await self._database.write(work, then=lambda answer: self._sessions.forget(answer[1]))
        return account


def normal(name: str) -> str:
    """The spelling under which a name is stored and looked up.

    >>> normal(" Ada ")
    'ada'
    """
    return unicodedata.normalize("NFKC", name).casefold().strip()


def by_name(session: Session, name: str) -> AccountRow:
    """Return the account's row; raises `NotFound`."""
    row = session.scalar(select(AccountRow).where(AccountRow.name == _storable(normal(name))))
    if row is None:
        raise NotFound("there is no account of that name")
    return row


def first_administrator(session: Session, now: int) -> AccountRow | None:
    """Return the administrator for the first link, created if there is none.

    None once an administrator with a password has signed in.
    """
    rows = list(
        session.scalars(
            select(AccountRow)
            .where(AccountRow.role == Role.ADMIN, AccountRow.disabled.is_(False))
            .order_by(AccountRow.id)
        )
    )
    if any(row.password is not None and row.last_sign_in is not None for row in rows):
        return None
    if rows:
        return rows[0]
    taken = set(session.scalars(select(AccountRow.name)))
    name = next(
        name for name in ("admin", *(f"admin{count}" for count in range(2, len(taken) + 3))) if name not in taken
    )
    row = AccountRow(name=name, role=Role.ADMIN.value, wards=[ALL_WARDS], created=now, disabled=False)
    session.add(row)
    session.flush()
    return row


def checked_names(field: str, names: Sequence[str]) -> list[str]:
    """Return the names sorted and without duplicates; raises `Invalid` for an empty, overlong or unprintable one."""
    for name in names:
        if not 0 < len(name) <= 128 or not name.isprintable():
            raise Invalid(field, "1 to 128 printable characters each")
    return sorted(set(map(composed, names)))


def _storable(name: str) -> str:
    return name if name.isprintable() else ""


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise Invalid("role", f"one of {', '.join(ROLES)}")
    return str(role)


def checked_wards(wards: Sequence[str]) -> list[str]:
    """Like `checked_names`; `*` includes all others. An empty list stays empty."""
    names = checked_names("wards", wards)
    return [ALL_WARDS] if ALL_WARDS in names else names


def _wards_of(role: str, wards: Sequence[str]) -> list[str]:
    names = checked_wards(wards)
    if role == Role.ADMIN and names != [ALL_WARDS]:
        raise Invalid("wards", 'an administrator needs all wards, given explicitly: ["*"]')
    return names


def _administrators(session: Session) -> int:
    return (
        session.scalar(select(func.count()).where(AccountRow.role == Role.ADMIN, AccountRow.disabled.is_(False))) or 0
    )


def _add(session: Session, row: AccountRow) -> Account:
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"the name {row.name} is taken") from error
    return _view(row)


def _view(row: AccountRow) -> Account:
    return Account(row.name, row.role, tuple(row.wards), row.disabled, row.created, row.last_sign_in)
