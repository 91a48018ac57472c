"""The audit trail: who read or changed what, written in the background within a second.

An entry is queued in memory and written with others in one transaction, so recording never waits for the disk. A killed
process loses the entries of about the last second. Changes of a patient's record are still in the log, with their
author. Refusals are counted first (`refused_attempts.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.errors import AuditUnavailable, Invalid, StoreUnavailable
from api.accounts.models import AuditRow
from api.accounts.refused_attempts import RefusedAttempts
from api.accounts.rights import Actor
from streams.clock import Clock

FLUSH_S = 0.5
BATCH = 1000
MOST_PENDING = 100_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the trail; `time` in µs of the service's clock. If it stands for several refusals (`count`), of the first."""

    id: int
    time: int
    actor: str
    kind: str
    action: str
    patient: str
    detail: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first, and the cursor of the earlier ones, if any."""

    entries: list[AuditEntry]
    next: str | None


class AuditTrail:
    """Queues entries and writes them in batches; reads them back in pages."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: deque[dict[str, Any]] = deque()
        self._refusals = RefusedAttempts()
        self._waiting = asyncio.Event()
        self._closing = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None
        self.written = 0

    @property
    def pending(self) -> int:
        """Entries recorded and not yet written."""
        return len(self._pending)

    def open(self) -> None:
        """Start writing in the background."""
        self._writer = asyncio.create_task(self._write_behind(), name="audit trail")

    async def close(self) -> None:
        """Write the remaining entries, with one attempt. The service's own log says how many the database refused."""
        self._closing.set()
        self.settle(all_of_them=True)
        self._waiting.set()
        if self._writer is not None:
            await self._writer
        try:
            await self.flush()
        except StoreUnavailable as error:
            log.exception("audit entries lost", entries=len(self._pending), reason=str(error))

    def record(self, actor: Actor, action: str, patient: str = "", *, detail: str = "", outcome: str = "ok") -> None:
        """Queue an entry with the present time.

        Raises `AuditUnavailable` when the trail could not be written for so long that memory is full: without an audit
        entry nobody may read a record.
        """
        if len(self._pending) >= MOST_PENDING:
            raise AuditUnavailable(f"{len(self._pending)} audit entries could not be written")
        self._pending.append(self._entry(actor, action, patient, detail=detail, outcome=outcome))
        self._waiting.set()

    def refused(self, actor: Actor, action: str, *, detail: str, outcome: str, place: str = "") -> None:
        """Count a refusal; `place` is the address of an actor who is not signed in, else empty."""
        self._refusals.add(self._entry(actor, action, "", detail=detail, outcome=outcome), storable(place, 64))

    def settle(self, *, all_of_them: bool = False) -> None:
        """Queue the refusals whose quarter of an hour is over, or all."""
        due = self._refusals.due(all_of_them=all_of_them)
        self._pending.extend(due)
        if due:
            self._waiting.set()

    def _entry(self, actor: Actor, action: str, patient: str, *, detail: str, outcome: str) -> dict[str, Any]:
        return {
            "time": self._clock.now(),
            "actor": storable(actor.name, 64),
            "kind": actor.kind,
            "action": storable(action, 64),
            "patient": storable(patient, 128),
            "detail": storable(detail, 1000),
            "outcome": storable(outcome, 64),
            "count": 1,
        }

    async def flush(self) -> None:
        """Write all queued entries. Raises `StoreUnavailable` and keeps the entries that could not be written."""
        await asyncio.shield(self._flush())  # if a caller gave up between commit and count, rows would be written twice

    async def _flush(self) -> None:
        async with self._flushing:
            while self._pending:
                rows = list(islice(self._pending, BATCH))
                await self._database.write(partial(_write, rows=rows))
                for _ in rows:
                    self._pending.popleft()
                self.written += len(rows)

    async def page(self, cursor: str | None, limit: int, patient: str | None, actor: str | None) -> AuditPage:
        """Entries before the cursor, newest first, including those just recorded.

        Raises `Invalid` for an unreadable cursor.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise Invalid("cursor", "not a cursor of this list")
        limit = max(1, min(limit, BATCH))
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(AuditRow.id < int(cursor))
        if patient is not None:
            query = query.where(AuditRow.patient == storable(patient, 128))
        if actor is not None:
            query = query.where(AuditRow.actor == storable(actor, 64))
        self.settle(all_of_them=True)
        await self.flush()
        entries = await self._database.read(lambda session: [_entry(row) for row in session.scalars(query)])
        return AuditPage(entries[:limit], str(entries[limit - 1].id) if len(entries) > limit else None)

    async def entries(self, since: int = 0, until: int | None = None) -> AsyncIterator[list[AuditEntry]]:
        """All entries of a time range (µs), oldest first, in chunks, including those just recorded."""
        self.settle(all_of_them=True)
        await self.flush()
        after = 0
        while True:
            query = select(AuditRow).where(AuditRow.id > after, AuditRow.time >= since).order_by(AuditRow.id)
            if until is not None:
                query = query.where(AuditRow.time < until)
            some = await self._database.read(
                lambda session, query=query: [_entry(row) for row in session.scalars(query.limit(BATCH))]  # type: ignore[misc]
            )
            if some:
                yield some
                after = some[-1].id
            if len(some) < BATCH:
                return

    async def _write_behind(self) -> None:
        while not self._closing.is_set():
            await self._waiting.wait()
            self._waiting.clear()
            try:
                async with asyncio.timeout(FLUSH_S):  # collects entries for a while; closing ends the wait
                    await self._closing.wait()
            except TimeoutError:
                pass
            try:
                await self.flush()
            except StoreUnavailable as error:
                log.warning("audit trail not written", pending=len(self._pending), reason=str(error))
                self._waiting.set()


def _write(session: Session, rows: list[dict[str, Any]]) -> None:
    session.execute(insert(AuditRow), rows)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.id, row.time, row.actor, row.kind, row.action, row.patient, row.detail, row.outcome, row.count
    )


def storable(text: str, most: int) -> str:
    """Text that any database can store: no NUL, no lone surrogates, not longer than its column."""
    text = text[:most]
    return (
        text if text.isascii() and text.isprintable() else text.replace("\0", "�").encode("utf-8", "replace").decode()
    )
