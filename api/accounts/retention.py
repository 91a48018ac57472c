"""Retention of the audit trail: old entries are pruned, and the pruning is itself an entry.

The database refuses to change or delete entries (`migrations`), with one exception: those older than the moment in
`audit_horizon`, which is 0 except during a pruning transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.models import AuditRow, HorizonRow
from api.accounts.rights import SYSTEM
from streams.clock import Clock

__all__ = ["Retention"]

DAY_US = 86_400_000_000
_AT_ONCE = 5_000
_JUMP_US = 31 * DAY_US
_TRUSTED_S = 86_400.0

log = structlog.get_logger(__name__)


class Retention:
    """Prunes entries older than `days` of the service's clock.

    If the clock is more than a month after the newest entry when the service starts, it may be wrong. Then nothing is
    pruned for a day, in which somebody can correct the clock.
    """

    def __init__(
        self, database: Database, clock: Clock, days: float, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_us = int(days * DAY_US)
        self._elapsed = elapsed
        self._trusted_at: float | None = None

    async def prune(self) -> int:
        """Delete old entries, some thousands at a time, and return how many. Raises `StoreUnavailable`."""
        if not await self._plausible():
            return 0
        gone = 0
        while True:
            before = self._clock.now() - self._keep_us
            some = await self._database.write(lambda session, before=before: _prune(session, before, self._clock.now()))  # type: ignore[misc]
            gone += some
            if some < _AT_ONCE:
                break
        if gone:
            log.info("audit trail pruned", entries=gone)
        return gone

    async def _plausible(self) -> bool:
        if self._trusted_at is None:
            newest = await self._database.read(lambda session: session.scalar(select(func.max(AuditRow.time)))) or 0
            jumped = bool(newest) and self._clock.now() - newest > _JUMP_US
            self._trusted_at = self._elapsed() + (_TRUSTED_S if jumped else 0.0)
            if jumped:
                log.warning("audit trail not pruned for a day: the clock is far ahead of its newest entry")
        return self._elapsed() >= self._trusted_at


def _prune(session: Session, before: int, now: int) -> int:
    old = list(session.scalars(select(AuditRow.id).where(AuditRow.time < before).order_by(AuditRow.id).limit(_AT_ONCE)))
    if not old:
        return 0
    entry = {
        "time": now,
        "actor": SYSTEM.name,
        "kind": SYSTEM.kind,
        "action": "audit.prune",
        "patient": "",
        "detail": f"{len(old)} entries up to number {old[-1]} that were past their retention",
        "outcome": "ok",
        "count": 1,
    }
    session.execute(insert(AuditRow), [entry])
    horizon = session.merge(HorizonRow(id=1, before=before))
    session.flush()
    session.execute(delete(AuditRow).where(AuditRow.id.in_(old)))
    horizon.before = 0
    return len(old)
