"""Short transactions against the accounts tables, off the event loop.

On SQLite the tables share a file with the log, whose writer commits every few milliseconds: a write here takes the
file's lock at once (`BEGIN IMMEDIATE`, so that no reader has to be upgraded and refused), waits up to ten seconds for
it, and holds it for one small transaction. The file's journal mode and page size belong to the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.accounts.errors import StoreUnavailable
from api.accounts.migrate import migrate

BUSY_TIMEOUT_MS = 10_000
THREADS = 4

T = TypeVar("T")


class Database:
    """One database by its SQLAlchemy URL; `read` and `write` run a function of a session in a worker thread.

    Whatever is handed out must be plain values: rows do not outlive their session. Raises `StoreUnavailable` when the
    database is locked, full, read-only or gone.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(writes=True)
        self._threads = anyio.CapacityLimiter(THREADS)

    async def open(self) -> None:
        """Bring the tables up to date, creating what is missing."""
        await self._run(lambda: migrate(self._engine, self._writing))

    async def close(self) -> None:
        """Let go of the connections."""
        await anyio.to_thread.run_sync(self._engine.dispose)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Answer of `work` on one consistent view."""

        def reading() -> T:
            with Session(self._engine) as session:
                return work(session)

        return await self._run(reading)

    async def write(self, work: Callable[[Session], T], then: Callable[[T], None] | None = None) -> T:
        """Answer of `work`, committed.

        `then` runs in the same thread after the commit: what memory holds of the rows is set right even if the caller
        was cancelled while waiting.
        """

        def writing() -> T:
            with Session(self._writing) as session, session.begin():
                answer = work(session)
            if then is not None:
                then(answer)
            return answer

        return await self._run(writing)

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except DBAPIError as error:
                raise StoreUnavailable(f"the accounts database did not answer: {error.orig}") from error

        return await anyio.to_thread.run_sync(guarded, limiter=self._threads)


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, pool_size=THREADS, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own class, sqlite3's or another's
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:  # a file nobody has written yet
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
