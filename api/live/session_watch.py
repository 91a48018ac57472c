"""Watches over the people behind open connections: who loses the session or a right loses the connection."""

import asyncio

from api.accounts import Accounts, Actor
from api.accounts.errors import AccountsError, Unauthenticated
from api.live.outbox import Outbox

__all__ = ["Watch"]

ENDED = 4401
"""Close code of a connection whose session has ended or whose rights have changed; the client comes back with its own."""


class Watch:
    """Looks every ``period`` seconds, and at once when the accounts tell of it."""

    def __init__(self, accounts: Accounts, period: float = 5.0) -> None:
        self._accounts = accounts
        self._period = period
        self._watched: dict[Outbox, Actor] = {}
        self._task: asyncio.Task[None] | None = None
        accounts.on_revoked(self._revoked)

    def add(self, outbox: Outbox, actor: Actor) -> None:
        """Watch over a connection."""
        self._watched[outbox] = actor
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on())

    def remove(self, outbox: Outbox) -> None:
        """The connection is over."""
        self._watched.pop(outbox, None)
        if not self._watched and self._task is not None:
            self._task.cancel()
            self._task = None

    def _revoked(self, key: str) -> None:
        for outbox, actor in self._watched.items():
            if actor.key == key:
                outbox.close(ENDED, "revoked")

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            for actor in set(self._watched.values()):
                if not await self._holds(actor):
                    for outbox, one in self._watched.items():
                        if one == actor:
                            outbox.close(ENDED, "ended")

    async def _holds(self, actor: Actor) -> bool:
        """Whether the session still stands and grants what it did; trouble with the store ends nothing."""
        try:
            now = await self._accounts.recheck(actor)
        except Unauthenticated:
            return False
        except AccountsError:
            return True
        return (now.role, now.wards, now.scopes, now.patients) == (
            actor.role, actor.wards, actor.scopes, actor.patients,
        )  # fmt: skip
