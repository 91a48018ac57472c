"""The embedded service: log, worker and history in one process and one file."""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import TypeVar

import structlog

from streams.clock import Clock
from streams.embedded.commit import Answer, GroupCommit, Observed, Ordered, Refused
from streams.embedded.restore import restore
from streams.embedded.schema import open_file, open_for_reading
from streams.embedded.wal import WalCheckpoints
from streams.errors import LogInUse, LogUnavailable, Overloaded
from streams.history import SqliteHistory
from streams.log import DeadLetter, Entry
from streams.models import site_models
from streams.registry import Registry, partition_of, projected
from streams.settings import Settings
from streams.worker import Worker
from twins.limits import limits_given
from twins.records import Admit, Columns, Command, Discharge, Fact, Frame, Move, Outcome, SetLimits

__all__ = ["EmbeddedService"]

T = TypeVar("T")

_logger = structlog.get_logger(__name__)

_SWEEP_S = 1.0
_LAG_READINGS = 2_000_000
"""So many readings behind, the worker makes the log wait, and the log the doors."""


class EmbeddedService:
    """Everything behind the doors; coroutines run on the event loop that called ``start``."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock(settings.clock_speed)
        self.registry = Registry(settings.partitions)
        self.history = SqliteHistory(
            settings.database, keep_days=settings.history_retention_days, keep_alarm_days=settings.alarm_retention_days
        )
        self.worker = Worker(self.history, site_models(), self._failed)
        self.ready = False
        self._listeners: list[Callable[[Outcome], None]] = []
        self._queue: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._lag = 0
        self._lag_changed = threading.Condition()
        self._lock: TextIOWrapper | None = None
        self._connection: sqlite3.Connection | None = None
        self._commit: GroupCommit | None = None
        self._wal = WalCheckpoints(settings.database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Restore the twins, read on from the checkpoints, and begin to serve.

        Raises:
            LogInUse: another service holds the file.
            LogUnavailable: the file cannot be opened or written.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._restore)
        except BaseException:
            self._let_go()
            raise
        for partition in sorted(self.worker.banks):
            outcome = self.worker.complete(partition)
            for profile in outcome.profiles:
                self.registry.put(profile)
            self._deliver([outcome])
        self.worker.listen(self._gather)
        self._thread.start()
        self._commit_thread.start()
        self._wal.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish what is begun, keep a checkpoint of everything, close the file."""
        if not self.ready:
            return
        self.ready = False
        await asyncio.to_thread(self._close)

    def _restore(self) -> None:
        path = self.settings.database
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_name(f"{path.name}.lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise LogUnavailable(f"cannot use {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise LogInUse(f"{path} is held by another running service (process {holder}); stop it first") from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        count = self.settings.partitions
        connection = self._connection = open_file(path, count)
        try:
            self.history.create(connection)
            restored = restore(connection, self.worker, count)
            (size,) = connection.execute("SELECT total(length(record)) FROM log").fetchone()
        except sqlite3.Error as error:
            raise LogUnavailable(f"cannot read {path}: {error}") from error
        self.clock.advance_to(restored.last_received)
        self._commit = GroupCommit(
            connection, self.history, self.registry, self.clock, next_offsets=restored.next_offsets,
            last_received=restored.last_received,
            deliver=self._hand_over, answer=self._answer, tick_seconds=self.settings.tick_seconds,
            wal=self._wal,
            dead_letter_limit=self.settings.dead_letter_limit,
            keep_us=int(self.settings.log_retention_seconds * 1e6), keep_bytes=self.settings.log_retention_bytes,
            log_bytes=int(size), committed=restored.committed,
        )  # fmt: skip

    def _close(self) -> None:
        self._commit_thread.finish(self._finish_work)
        self._let_go()

    def _let_go(self) -> None:
        self._wal.stop()
        self.history.close()
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _finish_work(self) -> None:
        """End the worker's thread once the last records are through it, and hand out every checkpoint."""
        self._queue.put(None)
        self._thread.join()
        self._commit_thread.keep(self.worker.checkpoint())

    @property
    def _commit_thread(self) -> GroupCommit:
        if self._commit is None:
            raise LogUnavailable("the service has not started")
        return self._commit

    # -- what the doors call ------------------------------------------------------------------------------------

    async def observe(self, columns: Columns, source: str) -> None:
        """Return once the readings are durable.

        Raises:
            Overloaded: too much is waiting.
            LogUnavailable: disk full, read-only, or stopping.
        """
        if not len(columns):
            return
        if self._commit_thread.waiting_bytes > self.settings.max_waiting_bytes:
            raise Overloaded(1.0)
        future: asyncio.Future[None] = self._future()
        self._commit_thread.submit(Observed(columns, source, future))
        await future

    async def append(self, record: Fact | Command) -> tuple[int, int]:
        """Return the record's (partition, offset) once it is durable; raises as ``observe``."""
        everywhere = isinstance(record, SetLimits) and not record.patient
        partition = -1 if everywhere else partition_of(record.patient, self.settings.partitions)
        future: asyncio.Future[tuple[int, int]] = self._future()
        self._commit_thread.submit(Ordered(partition, record, future))
        place = await future
        self._project(record)
        return place

    async def refuse(self, entries: Sequence[DeadLetter]) -> None:
        """Return once the dead letters are durable; raises ``LogUnavailable``."""
        if entries:
            future: asyncio.Future[None] = self._future()
            self._commit_thread.submit(Refused(entries, future))
            await future

    async def dead_letters(self, before: int | None = None, limit: int = 100) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their numbers, newest first, from before number ``before``."""

        def read() -> list[tuple[int, DeadLetter]]:
            connection = open_for_reading(self.settings.database)
            try:
                rows = connection.execute(
                    "SELECT id, received, source, reason, place, detail, body FROM dead_letters WHERE id < ? "
                    "ORDER BY id DESC LIMIT ?", (before if before is not None else 1 << 62, limit),
                ).fetchall()  # fmt: skip
            finally:
                connection.close()
            return [(row[0], DeadLetter(*row[1:])) for row in rows]

        return await asyncio.to_thread(read)

    def listen(self, callback: Callable[[Outcome], None]) -> None:
        """Have every outcome on the loop, the complete state of each partition first; call before ``start``."""
        self._listeners.append(callback)

    def ward_limits(self, ward: str) -> dict[str, dict[str, float]]:
        """What was set for a ward: by signal, then by bound."""
        held = dict(self.worker.banks[0].ward_limits) if self.worker.banks else {}
        return {signal: limits_given(given) for (place, signal), given in held.items() if place == ward}

    def health(self) -> dict[str, object]:
        """What readiness rests on."""
        trouble = (self._commit.trouble or self._wal.trouble) if self._commit else "not started"
        return {
            "ready": self.ready and not trouble,
            "restored": self.ready,
            "log": trouble or "ok",
            "lag_readings": self._lag,
        }

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""
        commit = self._commit
        counters: dict[str, int | float] = {f"readings_{name}": count for name, count in self.worker.counts.items()}
        counters |= self.history.counters()
        counters |= {
            "patients": len(self.registry),
            "worker_lag_readings": self._lag,
            "worker_failures": self.worker.failures,
        }
        if commit:
            counters |= {
                "log_commits": commit.commits,
                "log_records": commit.records,
                "log_failures": commit.failures,
                "log_bytes": commit.log_bytes,
                "log_waiting_bytes": commit.waiting_bytes,
                "log_wal_pages": self._wal.pages,
                "dead_letters": commit.dead_letters,
            }
        return counters

    def _future(self) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().create_future()

    def _project(self, record: Fact | Command) -> None:
        """Let the registry know at once what the log now holds; the outcome will say the same."""
        if isinstance(record, Admit | Move | Discharge):
            self.registry.put(projected(record, self.registry.get(record.patient)))

    # -- threads ------------------------------------------------------------------------------------------------

    def _hand_over(self, entries: list[Entry]) -> None:
        readings = sum(len(entry.record.signal) // 2 for entry in entries if isinstance(entry.record, Frame))
        with self._lag_changed:
            self._lag += readings
        self._queue.put(entries)
        with self._lag_changed:
            while self._lag > _LAG_READINGS:
                self._lag_changed.wait(1.0)

    def _answer(self, answers: list[Answer]) -> None:
        """Settle what waited for a commit, all in one go: waking the loop costs more than a result."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)

    def _gather(self, outcome: Outcome) -> None:
        self._gathered.append(outcome)

    def _failed(self, partition: int, offset: int, error: Exception) -> None:
        _logger.error("a record could not be taken", partition=partition, offset=offset, exc_info=error)

    def _work(self) -> None:
        self._gathered: list[Outcome] = []
        next_sweep = time.monotonic() + _SWEEP_S
        share = min(1.0, _SWEEP_S / self.settings.checkpoint_seconds)
        while True:
            try:
                entries = self._queue.get(timeout=max(0.0, next_sweep - time.monotonic()))
            except queue.Empty:
                entries = []
            if entries is None:
                break
            for entry in entries:
                self.worker.take(entry.partition, entry.offset, entry.record)
                if isinstance(entry.record, Frame):
                    with self._lag_changed:
                        self._lag -= len(entry.record.signal) // 2
                        self._lag_changed.notify()
            self._send()
            if time.monotonic() >= next_sweep:
                self._commit_thread.keep(self.worker.checkpoint(share))
                next_sweep = time.monotonic() + _SWEEP_S
        self._send()

    def _send(self) -> None:
        if self._gathered and self._loop is not None and not self._loop.is_closed():
            outcomes, self._gathered = self._gathered, []
            self._loop.call_soon_threadsafe(self._deliver, outcomes)

    def _deliver(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            for profile in outcome.profiles:
                self.registry.put(profile)
            for callback in self._listeners:
                try:
                    callback(outcome)
                except Exception:
                    _logger.exception("a listener failed", partition=outcome.partition, offset=outcome.offset)


def _settle(answers: list[Answer]) -> None:
    for future, result in answers:
        if future.done():
            continue  # its caller has gone
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
