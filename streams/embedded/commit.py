"""Group commit: one thread writes the whole embedded file, many requests in one transaction.

While one transaction becomes durable, the next requests gather. So a single reading waits for one ``fsync``, and many
readings share one. Here frames are joined, split by partition and stamped, in their final order.
"""

import sqlite3
import threading
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from streams.clock import Clock, set_back_us
from streams.embedded.checkpoints import Checkpoints
from streams.embedded.retention import Retention
from streams.embedded.schema import OFFSET_BITS
from streams.embedded.wal import WalCheckpoints
from streams.errors import LogUnavailable
from streams.history import SqliteHistory
from streams.log.gathering import READING_BYTES, frames
from streams.log.log import DeadLetter, LogEntry, encode_record, unheard_us
from streams.registry import Registry
from streams.worker.worker import Saved
from twins.records import Columns, Record, Tick

__all__ = ["GroupCommit", "restamp"]

_logger = structlog.get_logger(__name__)

_IDLE_S = 0.05
_COMPACT_UNDER_LOAD = 4_000_000
_RETAIN_EVERY_S = 60.0
_RETAIN_MORE_S = 1.0


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


class AppendRefused(msgspec.Struct):
    """Dead letters waiting for the disk."""

    letters: Sequence[DeadLetter]
    future: "Future[None]"


Waiting = Observed | Ordered | AppendRefused


class _Placed:
    """The records of one commit, each placed at the next offset of its partition."""

    def __init__(self, upcoming: list[int]) -> None:
        self.upcoming = upcoming
        self.entries: list[LogEntry] = []

    def one(self, partition: int, record: Record) -> tuple[int, int]:
        """Place a record; returns where."""
        offset = self.upcoming[partition]
        self.upcoming[partition] += 1
        self.entries.append(LogEntry(partition, offset, record))
        return partition, offset

    def everywhere(self, record: Record) -> tuple[int, int]:
        """Place a record in every partition; returns its place in the last one."""
        return [self.one(partition, record) for partition in range(len(self.upcoming))][-1]

    def ordered(self, item: Ordered, received: int) -> tuple[int, int]:
        """Place a fact or command with this received time."""
        item.record.received = received
        return self.one(item.partition, item.record) if item.partition >= 0 else self.everywhere(item.record)


Answer = tuple["Future[Any]", Any]
"""A waiting item and its answer: a result or an exception."""


class GroupCommit:
    """The writing thread.

    ``deliver`` gets the durable entries of each commit, then ``answer`` gets the items that waited for it; both run on this
    thread. The futures belong to an event loop, so ``answer`` must settle them there. If the thread ends for another
    reason than a failed commit, ``died`` gets the error.
    """

    def __init__(
        self, connection: sqlite3.Connection, history: SqliteHistory, registry: Registry, clock: Clock, *,
        next_offsets: list[int], last_received: int, deliver: Callable[[list[LogEntry]], None],
        answer: Callable[[list[Answer]], None], tick_seconds: float,
        wal: WalCheckpoints, dead_letter_limit: int, retention: Retention, committed: dict[int, int],
        died: Callable[[BaseException], None],
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
        self.retention = retention
        self.committed = committed
        self._died = died
        self.set_back = 0
        self.commits = 0
        self.records = 0
        self.dead_letters = 0
        self.failures = 0
        self._checkpoints = Checkpoints()
        self._unwritten = ""
        self._untidied = ""
        self.waiting_bytes = 0
        self._queue: list[Waiting] = []
        self._taken: list[Waiting] = []
        self._saved: list[Saved] = []
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    @property
    def trouble(self) -> str:
        """Why the last commit or clean-up failed; empty while both succeed."""
        return self._unwritten or self._untidied

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def last_received(self) -> int:
        """Log time of the newest record, µs."""
        return self._last_received

    def finish(self, then: Callable[[], None]) -> None:
        """Write what is waiting, let ``then`` submit the last checkpoints, write those, and end."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()
        then()
        self._commit([], list(self._saved), ticking=False)

    def submit(self, waiting: Waiting) -> None:
        """Queue for the next commit; the item's future is done when it is durable."""
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
        try:
            self._write_on()
        except BaseException as error:  # noqa: BLE001 - whatever the reason: nothing may wait for this thread any more
            self._end_with(error)

    def _end_with(self, error: BaseException) -> None:
        with self._condition:
            self._stopping = True
            left, self._queue = [*self._taken, *self._queue], []
        self._unwritten = f"the thread that writes the log has ended: {error!r}"
        text = LogUnavailable(f"the log cannot be written: {self._unwritten}")
        self._answer([(item.future, text) for item in left])
        self._died(error)

    def _write_on(self) -> None:
        next_tick = time.monotonic()
        next_retain = time.monotonic() + _RETAIN_EVERY_S
        while True:
            now = time.monotonic()
            with self._condition:
                if not self._queue and not self._saved and not self._stopping and now < next_tick:
                    self._condition.wait(min(next_tick - now, _IDLE_S))
                items, self._queue = self._queue, []
                self._taken = items
                saved = list(self._saved)
                stopping = self._stopping
            now = time.monotonic()
            ticking = now >= next_tick
            if ticking:
                next_tick = now + self._tick_seconds
            if items or saved or ticking:
                self._commit(items, saved, ticking=ticking)
            self._taken = []
            if self._wal.due:
                self._wal.finish(self._connection)
            if not items or self._history.backlog > _COMPACT_UNDER_LOAD:
                retain = now >= next_retain
                more = self._tidy(retain=retain)
                if retain:
                    next_retain = now + min(_RETAIN_EVERY_S, _RETAIN_MORE_S if more else _RETAIN_EVERY_S)
            if stopping and not items:
                return

    def _commit(self, items: list[Waiting], saved: list[Saved], *, ticking: bool) -> None:
        now = self._clock.now()
        back = set_back_us(self._last_received, now)
        received = now if back else max(now, self._last_received)
        observed = [item for item in items if isinstance(item, Observed)]
        letters = [letter for item in items if isinstance(item, AppendRefused) for letter in item.letters]
        try:
            placed = _Placed(list(self._next))
            for tick in self._first(received, back):
                placed.everywhere(tick)
            # Commands first: a patient admitted in this commit is known to the readings of the same commit.
            positions = [placed.ordered(item, received) for item in items if isinstance(item, Ordered)]
            for partition, record in frames(
                [(item.columns, item.source) for item in observed], self._registry, received
            ):
                placed.one(partition, record)
            if ticking:
                placed.everywhere(Tick(received))
            entries = placed.entries
            size = self._write(entries, received, letters, saved, back=back)
        except Exception as error:  # noqa: BLE001 - the thread that writes the log must survive a failed commit
            self._fail(items, error)
            return
        self._unwritten = ""
        self._next = placed.upcoming
        self._last_received = received
        self.retention.log_bytes += size
        if back:
            self.set_back += 1
            _logger.warning("the clock was set back, and the log's time with it", seconds=back / 1e6)
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

    def _first(self, received: int, back: int) -> list[Tick]:
        """The ticks to write before everything else: only a tick declares a sensor silent, so none may come before these."""
        if back:
            return [Tick(received, back=back)]
        unheard = unheard_us(self._last_received, received, self._tick_seconds * self._clock.speed)
        return [Tick(received, unheard)] if unheard else []

    def _write(
        self, entries: list[LogEntry], received: int, letters: list[DeadLetter], saved: list[Saved], *, back: int = 0
    ) -> int:
        connection = self._connection
        rows = [
            (entry.partition << OFFSET_BITS | entry.offset, received, encode_record(entry.record)) for entry in entries
        ]
        connection.execute("BEGIN IMMEDIATE")
        try:
            if back:
                restamp(connection, received)
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
                # History first, in the same transaction: a checkpoint must never be ahead of the history.
                self._history.flush(connection)
                for each in saved:
                    self._checkpoints.write(connection, each.blobs)
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

    def _tidy(self, *, retain: bool) -> bool:
        """Compact the history and delete by retention, in slices between commits; whether there is more to do."""
        connection = self._connection
        more = False
        try:
            if self._history.backlog > 0 or retain:
                connection.execute("BEGIN IMMEDIATE")
                self._history.compact(connection, 0.01)
                if retain:
                    more = self.retention.run(connection, self.committed, 0.02)
                connection.execute("COMMIT")
            self._untidied = ""
        except Exception as error:
            self._untidied = f"history cannot be cleaned up: {error}"
            self.failures += 1
            _logger.exception("history cannot be cleaned up")
            time.sleep(0.05)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return more


def restamp(connection: sqlite3.Connection, now: int) -> None:
    """Give no record of the log a time after ``now``, in the caller's transaction: retention counts age from it."""
    (newest,) = connection.execute("SELECT max(id) FROM log").fetchone()
    for partition in range((newest or 0) >> OFFSET_BITS, -1, -1):
        base, end = partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS
        rows = connection.execute("SELECT id, received FROM log WHERE id >= ? AND id < ? ORDER BY id DESC", (base, end))
        right = next((number for number, received in rows if received <= now), base - 1)
        rows.close()
        connection.execute("UPDATE log SET received = ? WHERE id > ? AND id < ?", (now, right, end))
