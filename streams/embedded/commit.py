"""Group commit: one thread writes everything the embedded file holds, many requests to a transaction.

While a transaction is being made durable the next requests gather; so one reading waits for one ``fsync`` and a flood
shares it. Frames are joined, split by partition and stamped here, in the order they will have for ever.
"""

import sqlite3
import threading
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from streams.clock import Clock
from streams.embedded.schema import OFFSET_BITS
from streams.embedded.wal import WalCheckpoints
from streams.errors import LogUnavailable
from streams.gathering import READING_BYTES, frames
from streams.history import SqliteHistory
from streams.log import DeadLetter, Entry, encode_record, unheard_us
from streams.registry import Registry
from streams.worker import Saved
from twins.records import Columns, Record, Tick

__all__ = ["GroupCommit"]

_logger = structlog.get_logger(__name__)

_IDLE_S = 0.05
_COMPACT_UNDER_LOAD = 4_000_000
_RETAIN_EVERY_S = 60.0


class Observed(msgspec.Struct):
    """Readings waiting for the disk."""

    columns: Columns
    source: str
    future: "Future[None]"


class Ordered(msgspec.Struct):
    """A fact or command waiting for the disk, for one partition or (−1) all of them."""

    partition: int
    record: Record
    future: "Future[tuple[int, int]]"


class Refused(msgspec.Struct):
    """Dead letters waiting for the disk."""

    letters: Sequence[DeadLetter]
    future: "Future[None]"


Waiting = Observed | Ordered | Refused

Answer = tuple["Future[Any]", Any]
"""What waits and what it is to get: a result, or an exception."""


class GroupCommit:
    """The writing thread.

    ``deliver`` gets the durable entries of each commit and ``answer`` then all that waited for it, both on this thread;
    the futures belong to an event loop, so ``answer`` has to settle them there.
    """

    def __init__(
        self, connection: sqlite3.Connection, history: SqliteHistory, registry: Registry, clock: Clock, *,
        next_offsets: list[int], last_received: int, deliver: Callable[[list[Entry]], None],
        answer: Callable[[list[Answer]], None], tick_seconds: float,
        wal: WalCheckpoints, dead_letter_limit: int, keep_us: int, keep_bytes: int, log_bytes: int, committed: dict[int, int],
    ) -> None:  # fmt: skip
        self._connection = connection
        self._history = history
        self._registry = registry
        self._clock = clock
        self._next = next_offsets
        self._last_received = last_received
        self._deliver = deliver
        self._answer = answer
        self._tick_seconds = tick_seconds
        self._wal = wal
        self._dead_letter_limit = dead_letter_limit
        self._keep_us = keep_us
        self._keep_bytes = keep_bytes
        self.log_bytes = log_bytes
        self.committed = committed
        self.commits = 0
        self.records = 0
        self.dead_letters = 0
        self.failures = 0
        self._unwritten = ""
        self._untidied = ""
        self.waiting_bytes = 0
        self._queue: list[Waiting] = []
        self._saved: list[Saved] = []
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    @property
    def trouble(self) -> str:
        """Why the last commit or the last clearing up failed; empty while both go well."""
        return self._unwritten or self._untidied

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def finish(self, then: Callable[[], None]) -> None:
        """Write what is waiting, let ``then`` hand out the last checkpoints, write those, and end."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()
        then()
        self._commit([], list(self._saved), ticking=False)

    def submit(self, waiting: Waiting) -> None:
        """Queue for the next commit; the item's future tells when it is durable."""
        with self._condition:
            if self._stopping:
                raise LogUnavailable("the service is stopping")
            self._queue.append(waiting)
            if isinstance(waiting, Observed):
                self.waiting_bytes += READING_BYTES * len(waiting.columns)
            self._condition.notify()

    def keep(self, saved: Saved) -> None:
        """Queue checkpoints for the next commit; they stay queued until they are durable."""
        with self._condition:
            self._saved.append(saved)
            self._condition.notify()

    # -- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        next_tick = time.monotonic()
        next_retain = time.monotonic() + _RETAIN_EVERY_S
        while True:
            now = time.monotonic()
            with self._condition:
                if not self._queue and not self._saved and not self._stopping and now < next_tick:
                    self._condition.wait(min(next_tick - now, _IDLE_S))
                items, self._queue = self._queue, []
                saved = list(self._saved)
                stopping = self._stopping
            now = time.monotonic()
            ticking = now >= next_tick
            if ticking:
                next_tick = now + self._tick_seconds
            if items or saved or ticking:
                self._commit(items, saved, ticking=ticking)
            if self._wal.due:
                self._wal.finish(self._connection)
            if not items or self._history.backlog > _COMPACT_UNDER_LOAD:
                self._tidy(retain=now >= next_retain)
                if now >= next_retain:
                    next_retain = now + _RETAIN_EVERY_S
            if stopping and not items:
                return

    def _commit(self, items: list[Waiting], saved: list[Saved], *, ticking: bool) -> None:
        received = max(self._clock.now(), self._last_received)
        upcoming = list(self._next)
        entries: list[Entry] = []
        positions: list[tuple[int, int]] = []
        observed = [item for item in items if isinstance(item, Observed)]
        letters = [letter for item in items if isinstance(item, Refused) for letter in item.letters]

        def place(partition: int, record: Record) -> tuple[int, int]:
            offset = upcoming[partition]
            upcoming[partition] += 1
            entries.append(Entry(partition, offset, record))
            return partition, offset

        try:
            # First of all: only a tick takes a sensor for silent, and none may before this one.
            unheard = unheard_us(self._last_received, received, self._tick_seconds * self._clock.speed)
            for partition in range(len(upcoming)) if unheard else ():
                place(partition, Tick(received, unheard))
            # Commands first: a patient admitted in this commit is known to the readings beside it.
            for item in items:
                if isinstance(item, Ordered):
                    item.record.received = received
                    partitions = [item.partition] if item.partition >= 0 else range(len(upcoming))
                    positions.append([place(partition, item.record) for partition in partitions][-1])
            for partition, record in frames(
                [(item.columns, item.source) for item in observed], self._registry, received
            ):
                place(partition, record)
            if ticking:
                for partition in range(len(upcoming)):
                    place(partition, Tick(received))
            size = self._write(entries, received, letters, saved)
        except Exception as error:  # noqa: BLE001 - the thread that writes the log must outlive any one commit
            self._fail(items, error)
            return
        self._unwritten = ""
        self._next = upcoming
        self._last_received = received
        self.log_bytes += size
        self.commits += 1
        self.records += len(entries)
        self.dead_letters += len(letters)
        with self._condition:
            del self._saved[: len(saved)]
            self.waiting_bytes -= READING_BYTES * sum(len(item.columns) for item in observed)
        self._deliver(entries)
        places = iter(positions)
        if items:
            self._answer([(item.future, next(places) if isinstance(item, Ordered) else None) for item in items])

    def _write(self, entries: list[Entry], received: int, letters: list[DeadLetter], saved: list[Saved]) -> int:
        connection = self._connection
        rows = [
            (entry.partition << OFFSET_BITS | entry.offset, received, encode_record(entry.record)) for entry in entries
        ]
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT INTO log VALUES (?, ?, ?)", rows)
            if letters:
                connection.executemany(
                    "INSERT INTO dead_letters (received, source, reason, place, detail, body) VALUES (?, ?, ?, ?, ?, ?)",
                    [(x.received, x.source, x.reason, x.where, x.detail, x.body) for x in letters],
                )
                connection.execute(
                    "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?",
                    (self._dead_letter_limit,),
                )
            committed = dict(self.committed)
            if saved:
                # History first, in the same transaction: a checkpoint must never be ahead of it.
                self._history.flush(connection)
                for each in saved:
                    connection.executemany("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", each.blobs)
                    committed.update(each.committed)
                connection.executemany("INSERT OR REPLACE INTO committed VALUES (?, ?)", sorted(committed.items()))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.committed = committed
        return sum(len(row[2]) for row in rows)

    def _fail(self, items: list[Waiting], error: Exception) -> None:
        self._unwritten = str(error) or type(error).__name__
        self.failures += 1
        _logger.error("the log cannot be written", reason=self._unwritten, waiting=len(items))
        with self._condition:
            self.waiting_bytes -= READING_BYTES * sum(len(item.columns) for item in items if isinstance(item, Observed))
        if items:
            text = f"the log cannot be written: {self._unwritten}"
            self._answer([(item.future, LogUnavailable(text)) for item in items])
        time.sleep(0.05)

    def _tidy(self, *, retain: bool) -> None:
        """History's compaction and the retention of log and history, in slices between commits."""
        connection = self._connection
        try:
            if self._history.backlog > 0 or retain:
                connection.execute("BEGIN IMMEDIATE")
                self._history.compact(connection, 0.01)
                if retain:
                    self._history.retain(connection, self._clock.now(), 0.02)
                    self._forget(connection)
                connection.execute("COMMIT")
            self._untidied = ""
        except Exception as error:
            self._untidied = f"history cannot be cleared up: {error}"
            self.failures += 1
            _logger.exception("history cannot be cleared up")
            time.sleep(0.05)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _forget(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest log records by age and size, never what a checkpoint does not cover yet."""
        cutoff = self._clock.now() - self._keep_us
        for partition, committed in self.committed.items():
            base = partition << OFFSET_BITS
            oldest = connection.execute(
                "SELECT id, received FROM log WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1", (base, base + committed)
            ).fetchone()
            if oldest is None or (oldest[1] >= cutoff and self.log_bytes <= self._keep_bytes):
                continue
            before = cutoff if self.log_bytes <= self._keep_bytes else 1 << 62
            chosen = "id >= ? AND id < ? AND id <= ? AND received < ?"
            bounds = (base, oldest[0] + 2000, base + committed, before)
            (size,) = connection.execute(f"SELECT total(length(record)) FROM log WHERE {chosen}", bounds).fetchone()  # noqa: S608
            connection.execute(f"DELETE FROM log WHERE {chosen}", bounds)  # noqa: S608
            self.log_bytes -= int(size)
