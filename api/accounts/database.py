"""Short transactions against the accounts tables, off the event loop.

Writing transactions run one after the other, in whichever process they begin, and each sees the result of the one before.
On SQLite the tables share a file with the log, whose writer commits every few milliseconds. A write here takes the file's
lock at once (`BEGIN IMMEDIATE`: upgrading a reader could fail), waits up to ten seconds for it, and holds it for one small
transaction. The log decides the file's journal mode and page size. On PostgreSQL a write takes an advisory lock in the
same way. A door that hangs while it holds the lock loses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from api.accounts.errors import StoreUnavailable
from api.accounts.migrate import migrate
from streams.private import keep_private

BUSY_TIMEOUT_MS = 10_000
STANDSTILL_MS = 10_000
"""A PostgreSQL transaction that is idle for so long is rolled back, so that others can go on."""
THREADS = 4
_WRITING = 0x76697461
"""The number of the writers' advisory lock. Any number works that no other program uses in this database."""
_GONE = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "tcp_user_timeout": 10_000}
"""Settings of libpq, in seconds and ms: give up a server whose machine is gone, instead of waiting a quarter of an hour."""

T = TypeVar("T")


class Database:
    """One database by its SQLAlchemy URL; `read` and `write` run a function of a session in a worker thread.

    `work` must return plain values: rows do not outlive their session. Raises `StoreUnavailable` when the database is
    locked, full, read-only or gone; the next call tries again. An invalid URL raises it too.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._file = _file(self._engine.url)
        self._writing = self._engine.execution_options(writes=True)
        self._reading = self._engine
        if self._engine.dialect.name == "postgresql":  # several statements see the same state, as in SQLite
            self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._threads = anyio.CapacityLimiter(THREADS)

    @property
    def is_server(self) -> bool:
        """Whether the database is a server, which may be unreachable."""
        return self._engine.dialect.name == "postgresql"

    async def open(self) -> bool:
        """Bring the tables up to date and create missing ones. Returns whether there was anything to do."""
        if self._file is not None:
            await anyio.to_thread.run_sync(keep_private, self._file, "-wal", "-shm")
        return await self._run(lambda: migrate(self._reading, self._writing))

    async def close(self) -> None:
        """Close the connections. One whose caller gave up waiting is closed when its work is done."""
        await anyio.to_thread.run_sync(self._let_go)

    async def read(self, work: Callable[[Session], T]) -> T:
        """The result of `work` on one consistent view."""

        def reading() -> T:
            with Session(self._reading) as session:
                return work(session)

        return await self._run(reading)

    async def write(self, work: Callable[[Session], T], then: Callable[[T], None] | None = None) -> T:
        """The result of `work`, committed.

        `then` runs in the same thread after the commit: it updates copies of the rows in memory even if the caller was
        cancelled while waiting.
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

    def _let_go(self) -> None:
        pool = self._engine.pool
        end = time.monotonic() + STANDSTILL_MS / 1000
        while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < end:
            time.sleep(0.01)
        self._engine.dispose()


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
        kind = place.get_backend_name()
        if kind == "sqlite":
            return _sqlite(place)
        if kind == "postgresql":
            return _postgresql(place)
    except (ArgumentError, ImportError) as error:  # ArgumentError: not a URL, or of an unknown kind
        raise StoreUnavailable(f"the accounts database cannot be used: {error}") from error
    raise StoreUnavailable(f"accounts are kept in SQLite or PostgreSQL, not in {kind}")


def _file(place: URL) -> Path | None:
    """The database's file, if it has one."""
    name = place.database if place.get_backend_name() == "sqlite" else None
    return None if not name or name.startswith((":", "file:")) else Path(name)


def _sqlite(place: URL) -> Engine:
    engine = create_engine(place, pool_size=THREADS, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(place: URL) -> Engine:
    given = {name: value for name, value in _GONE.items() if name not in place.query}
    # Test every connection before use: connections from before a restart of the server are replaced.
    engine = create_engine(place, pool_size=THREADS, max_overflow=0, pool_pre_ping=True, connect_args=given)
    event.listen(engine, "connect", _bound)
    event.listen(engine, "begin", _take_turns)
    return engine


def _bound(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own class, as below
    connection.autocommit = True  # in a transaction the settings would be lost at its end
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {STANDSTILL_MS}")
    connection.autocommit = False


def _take_turns(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  the driver's own class, sqlite3's or another's
    connection.isolation_level = None  # the driver begins no transaction by itself: `_begin` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")  # no other folder may be writable
    if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:  # a file that has not been written yet
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
