"""Single-use tickets with which a page opens its socket.

Browsers cannot send a header with a socket, and a cookie alone would allow any site to open one. Tickets are in the
database, because behind a load balancer the socket may reach another door than the request for its ticket. A ticket works
once across all doors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.devices import holder
from api.accounts.errors import TooManyAttempts, Unauthenticated
from api.accounts.models import TicketRow
from api.accounts.rights import DEMO, SYSTEM, Actor
from api.accounts.sessions import US, signed_in
from api.accounts.tokens import digest, looked_up, new_token

LIFETIME_S = 30
MOST = 10_000
_ALWAYS = {actor.kind: actor for actor in (DEMO, SYSTEM)}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket and its lifetime in seconds of real time."""

    ticket: str
    expires_in: int


class Tickets:
    """Issues and redeems tickets."""

    def __init__(self, database: Database, real: Callable[[], float]) -> None:
        self._database = database
        self._real = real

    async def issue(self, actor: Actor) -> Ticket:
        """Return a new ticket for this actor; raises `TooManyAttempts` when ten thousand are unused."""
        now = self._real()
        ticket = new_token()
        expires = int(min(now + LIFETIME_S, actor.expires) * US)
        row = TicketRow(token=digest(ticket).hex(), kind=actor.kind, key=actor.key, expires=expires)
        await self._database.write(lambda session: _add(session, row, int(now * US)))
        return Ticket(ticket, LIFETIME_S)

    async def redeem(self, ticket: str) -> Actor:
        """Return the ticket's owner, with present rights; works only once.

        Raises `Unauthenticated` if it is unknown, used or expired, or its session or key has ended.
        """
        key = looked_up(ticket)
        now = int(self._real() * US)
        actor = None if key is None else await self._database.write(lambda session: _take(session, key, now))
        if actor is None:
            raise Unauthenticated("the ticket is unknown, used or expired")
        return actor


def _add(session: Session, row: TicketRow, now: int) -> None:
    session.execute(delete(TicketRow).where(TicketRow.expires <= now))
    if (session.scalar(select(func.count()).select_from(TicketRow)) or 0) >= MOST:
        raise TooManyAttempts(LIFETIME_S)
    session.add(row)


def _take(session: Session, token: str, now: int) -> Actor | None:
    taken = (
        delete(TicketRow).where(TicketRow.token == token).returning(TicketRow.kind, TicketRow.key, TicketRow.expires)
    )
    found = session.execute(taken).one_or_none()
    if found is None or found.expires <= now:
        return None
    if found.kind == "account":
        return signed_in(session, found.key, now)
    return holder(session, found.key) if found.kind == "device" else _ALWAYS.get(found.kind)
