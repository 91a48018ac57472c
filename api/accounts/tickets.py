"""Single-use tickets by which a page opens its socket.

Browsers cannot send a header there, and a cookie alone would let any site do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from api.accounts.errors import TooManyAttempts, Unauthenticated
from api.accounts.rights import Actor
from api.accounts.tokens import digest, looked_up, new_token

LIFETIME_S = 30
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket and the seconds of real time it is good for."""

    ticket: str
    expires_in: int


class Tickets:
    """Holds the tickets not yet used, in memory.

    They are gone with the process, and so are the sockets they were for.
    """

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self._held: dict[str, tuple[Actor, float]] = {}

    def __len__(self) -> int:
        """Tickets held, used ones excluded, expired ones perhaps not yet."""
        return len(self._held)

    def issue(self, actor: Actor) -> Ticket:
        """Return a new ticket for this actor; raises `TooManyAttempts` when ten thousand wait to be used."""
        now = self._real()
        self._drop_expired(now)
        if len(self._held) >= MOST:
            raise TooManyAttempts(LIFETIME_S)
        ticket = new_token()
        self._held[digest(ticket).hex()] = (actor, min(now + LIFETIME_S, actor.expires))
        return Ticket(ticket, LIFETIME_S)

    def redeem(self, ticket: str) -> Actor:
        """Return whom the ticket was for, and never again.

        Raises `Unauthenticated` if it is unknown, used or expired.
        """
        key = looked_up(ticket)
        held = self._held.pop(key, None) if key is not None else None
        if held is None or held[1] <= self._real():
            raise Unauthenticated("the ticket is unknown, used or expired")
        return held[0]

    def drop(self, key: str) -> None:
        """Forget the tickets of a session or device that has ended."""
        for ticket in [ticket for ticket, (actor, _) in self._held.items() if actor.key == key]:
            del self._held[ticket]

    def _drop_expired(self, now: float) -> None:
        while self._held:  # oldest first, so what has expired stands in front
            oldest = next(iter(self._held))
            if self._held[oldest][1] > now:
                return
            del self._held[oldest]
