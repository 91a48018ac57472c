"""Closes the connections of people and devices whose session or rights have ended."""

import asyncio

import structlog

from api.accounts import Accounts, Actor
from api.accounts.errors import AccountsError, Unauthenticated
from api.live.outbox import Outbox

__all__ = ["SessionWatch"]

ENDED = 4401
"""Close code when a session has ended or its rights have changed; the client signs in or connects again."""

_log = structlog.get_logger(__name__)


class SessionWatch:
    """Checks the session of every open connection each ``period`` seconds, and at once when the accounts revoke one."""

    def __init__(self, accounts: Accounts, period: float = 5.0) -> None:
        self._accounts = accounts
        self._period = period
        self._watched: dict[Outbox, Actor] = {}
        self._task: asyncio.Task[None] | None = None
        accounts.on_revoked(self._revoked)

    def add(self, outbox: Outbox, actor: Actor) -> None:
        """Watch this connection of ``actor``."""
        self._watched[outbox] = actor
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._check_forever())

    def remove(self, outbox: Outbox) -> None:
        """Stop watching a connection that is over."""
        self._watched.pop(outbox, None)
        if not self._watched and self._task is not None:
            self._task.cancel()
            self._task = None

    def _revoked(self, key: str) -> None:
        for outbox, actor in self._watched.items():
            if actor.key == key:
                outbox.close(ENDED, "revoked")

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            for actor in set(self._watched.values()):
                if not await self._still_valid(actor):
                    self._end(actor)

    def _end(self, actor: Actor) -> None:
        for outbox, watched in self._watched.items():
            if watched == actor:
                outbox.close(ENDED, "ended")

    async def _still_valid(self, actor: Actor) -> bool:
        """Whether the session still exists and grants the same rights.

        An error of the account store ends no connection: it would blank every dashboard. The next round checks again.
        """
        try:
            now = await self._accounts.recheck(actor)
        except Unauthenticated:
            return False
        except AccountsError:
            return True
        except Exception:  # noqa: BLE001
            # Anything else is a programming error. It must not stop the watch: other sessions still have to be closed.
            _log.exception("session not checked", actor=actor.name, kind=actor.kind)
            return True
        return (now.role, now.wards, now.scopes, now.patients) == (
            actor.role, actor.wards, actor.scopes, actor.patients,
        )  # fmt: skip
