"""The embedded service: log, worker and history in one process and one file."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from streams.clock import Clock, span
from streams.embedded.commit import Answer, AppendRefused, GroupCommit, Observed, Ordered
from streams.embedded.lock import FileLock
from streams.embedded.restore import renew, restore
from streams.embedded.retention import Retention
from streams.embedded.schema import open_file, open_for_reading, sound
from streams.embedded.wal import WalCheckpoints
from streams.embedded.worker_thread import WorkerThread
from streams.errors import ClockApart, LogUnavailable, Overloaded
from streams.history import SqliteHistory
from streams.log.log import DeadLetter
from streams.registry import Registry, partition_of
from streams.settings import Settings
from streams.worker.site_models import site_models
from streams.worker.worker import Saved, Worker
from twins.alarms.limit_settings import limits_given
from twins.records import (
    Admit,
    Columns,
    Command,
    Discharge,
    Fact,
    Move,
    Outcome,
    SetLimits,
    SetRules,
    Setting,
    Zone,
    for_everybody,
)

__all__ = ["EmbeddedService"]

T = TypeVar("T")

_logger = structlog.get_logger(__name__)

_MOST_AHEAD_US = 300_000_000
"""The file's newest time may be ahead of the wall clock by this much: clocks drift while a machine is off."""
_LONG_US = 86_400_000_000


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
        self.broken = ""
        """Why the service cannot go on, although it still answers requests."""
        self._broke = asyncio.Event()
        self.notes: list[str] = []
        """Sentences about what could not be used of the file at the start."""
        self.rebuilt = 0
        self._listeners: list[Callable[[Outcome], None]] = []
        self._lock: FileLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._commit: GroupCommit | None = None
        self._wal = WalCheckpoints(settings.database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._twins = WorkerThread(
            self.worker, checkpoint_seconds=settings.checkpoint_seconds, send=self._send,
            keep=self._keep, died=self._died,
        )  # fmt: skip

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Restore the twins from checkpoints and log, and begin to serve.

        Raises:
            ClockApart: the file's time is far ahead of this machine's.
            LogInUse: another service uses the file.
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
            self._deliver([outcome])
        self._twins.start()
        self._commit_thread.start()
        self._wal.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish pending work, write a checkpoint of everything, close the file."""
        if not self.ready:
            return
        self.ready = False
        await asyncio.to_thread(self._close)

    def _restore(self) -> None:
        path = self.settings.database
        self._lock = FileLock(path)
        count = self.settings.partitions
        with sound(path):
            connection = self._connection = open_file(path, count)
            self.history.create(connection)
            restored = restore(connection, self.worker, count)
            if restored.renewed:
                renew(connection, self.worker, self.history, restored)
            (size,) = connection.execute("SELECT total(length(record)) FROM log").fetchone()
        self.notes, self.rebuilt = restored.notes, restored.rebuilt
        for note in restored.notes:
            _logger.error("not all of the file could be used as it was", what=note)
        if restored.rebuilt:
            _logger.warning("twins were rebuilt from the log", patients=restored.rebuilt)
        self._agree(restored.last_received)
        retention = Retention(
            connection, self.history, self.clock, last=restored.last_received,
            keep_us=int(self.settings.log_retention_seconds * 1e6), keep_bytes=self.settings.log_retention_bytes,
            log_bytes=int(size),
        )  # fmt: skip
        self._commit = GroupCommit(
            connection, self.history, self.registry, self.clock, next_offsets=restored.next_offsets,
            last_received=restored.last_received,
            deliver=self._twins.hand_over, answer=self._answer, tick_seconds=self.settings.tick_seconds,
            wal=self._wal,
            dead_letter_limit=self.settings.dead_letter_limit,
            retention=retention, committed=restored.committed, died=self._died,
        )  # fmt: skip

    def _agree(self, last: int) -> None:
        """Make the clock and the file's newest time (µs) agree, or refuse to start.

        A service clock with its own speed continues where the file ends. A wall clock is trusted if it is only a little
        behind, or for a demonstration: then the first commit sets the log's time back.
        """
        if not self.clock.follows_wall:
            self.clock.advance_to(last)
            return
        ahead_us = last - self.clock.now()
        if ahead_us > _MOST_AHEAD_US and not self.settings.demo:
            path = self.settings.database
            raise ClockApart(
                f"the newest record of {path} is {span(ahead_us)} ahead of this machine's clock: every new reading would be"
                f" too late to be judged. If the machine's clock is wrong, set it. If the file was served with a clock that"
                f" was ahead (--clock-speed, or a clock that is right now), run: vitaltwin repair {path}"
            )
        if last and -ahead_us > _LONG_US:
            _logger.warning(
                "the file is far older than this machine's clock: nothing is deleted by age until the clock has proved right",
                behind=span(-ahead_us),
            )

    def _close(self) -> None:
        self._commit_thread.finish(self._finish_work)
        self._let_go()

    def _let_go(self) -> None:
        self._wal.stop()
        self.history.close()
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def _finish_work(self) -> None:
        """End the worker's thread when it has processed the last records, and submit every checkpoint."""
        if self._twins.finish():
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
        self._must_work()
        if self._commit_thread.waiting_bytes > self.settings.max_waiting_bytes:
            raise Overloaded(1.0)
        future: asyncio.Future[None] = self._future()
        self._commit_thread.submit(Observed(columns, source, future))
        await future

    async def append(self, record: Fact | Command) -> tuple[int, int]:
        """Return the record's (partition, offset) once it is durable; raises as ``observe``."""
        self._must_work()
        partition = -1 if for_everybody(record) else partition_of(record.patient, self.settings.partitions)
        future: asyncio.Future[tuple[int, int]] = self._future()
        self._commit_thread.submit(Ordered(partition, record, future))
        place = await future
        if isinstance(record, Admit | Move | Discharge):
            self.registry.foresee(record, place)
        return place

    async def refuse(self, entries: Sequence[DeadLetter]) -> None:
        """Return once the dead letters are durable; raises ``LogUnavailable``."""
        if entries:
            future: asyncio.Future[None] = self._future()
            self._commit_thread.submit(AppendRefused(entries, future))
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
        """Get every outcome on the loop, first the complete state of each partition; call before ``start``."""
        self._listeners.append(callback)

    def ward_limits(self, ward: str) -> dict[str, dict[str, float]]:
        """The limits set for a ward: by signal, then by bound."""
        found = dict(self.worker.banks[0].ward_limits) if self.worker.banks else {}
        return {signal: limits_given(given) for (place, signal), given in found.items() if place == ward}

    def ward_settings(self, ward: str) -> dict[str, SetLimits]:
        """The commands that set the limits of a ward, by signal."""
        return self.worker.banks[0].ward_settings(ward) if self.worker.banks else {}

    async def failed(self) -> str:
        """Return only if the service cannot go on, with the reason: it should be stopped and started again."""
        await self._broke.wait()
        return self.broken

    def ward_scores(self, ward: str) -> bool:
        """Whether NEWS2 is used in a ward."""
        return self.worker.banks[0].ward_scores.get(ward, True) if self.worker.banks else True

    def rules(self) -> SetRules | None:
        """The command that set the site's rules; ``None`` if nobody has set any."""
        return self.worker.banks[0].rules.command if self.worker.banks else None

    def zone(self, ward: str) -> Zone:
        """The time zone of a ward."""
        return self.worker.banks[0].rules.zone_of(ward) if self.worker.banks else Zone()

    def site_settings(self) -> dict[tuple[str, ...], Setting]:
        """What the site has set that belongs to no patient, by key."""
        return dict(self.worker.banks[0].settings.by_key) if self.worker.banks else {}

    def health(self) -> dict[str, object]:
        """The facts that readiness is decided from."""
        trouble = (self._commit.trouble or self._wal.trouble) if self._commit else "not started"
        twins, lag_s = self._twins.state, self._twins.lag_s
        current = twins == "ok" and lag_s <= self.settings.ready_lag_seconds
        return {
            "ready": self.ready and not trouble and not self.broken and current,
            "restored": self.ready,
            "log": trouble or "ok",
            "twins": twins,
            "lag_readings": self._twins.lag_readings,
            "lag_s": round(lag_s, 3),
            "estimate_age_s": round(self._estimate_age_us() / 1e6, 3),
            "clock_apart_s": round(self._apart_us() / 1e6, 3),
            "retention": self._retention(),
            "restore": "; ".join(self.notes) or "ok",
        }

    def _estimate_age_us(self) -> int:
        """How far (µs) the newest outcome of the slowest partition is behind now; 0 before the first outcome."""
        oldest = min((bank.time for bank in self.worker.banks.values()), default=0)
        return max(0, self.clock.now() - oldest) if oldest else 0

    def _apart_us(self) -> int:
        """How far (µs) the log's time is ahead of wall time; negative: behind."""
        ahead = max(0, self._commit.last_received - self.clock.now()) if self._commit else 0
        return self.clock.apart() + ahead

    def _retention(self) -> str:
        """What an operator should know about retention; ``ok`` if nothing."""
        if self._commit is None:
            return "not started"
        retention = self._commit.retention
        if retention.behind_us > _LONG_US:
            return f"the clock has jumped by {span(retention.behind_us)}: nothing is deleted by age until it was right for a day"
        if retention.by_size:
            found = span(max(0, self.clock.now() - retention.oldest))
            wanted = span(round(self.settings.log_retention_seconds * 1e6))
            return f"the log is at its largest size: it reaches back {found}, not {wanted}"
        return "ok"

    def _must_work(self) -> None:
        if self.broken:
            raise LogUnavailable(f"the service cannot take anything: {self.broken}")

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""
        commit = self._commit
        counters: dict[str, int | float] = {f"readings_{name}": count for name, count in self.worker.counts.items()}
        counters |= self.history.counters()
        counters |= {
            "patients": len(self.registry),
            "worker_lag_readings": self._twins.lag_readings,
            "worker_lag_seconds": self._twins.lag_s,
            "estimate_age_seconds": self._estimate_age_us() / 1e6,
            "clock_apart_seconds": self._apart_us() / 1e6,
            "twins_rebuilt": self.rebuilt,
            "worker_failures": self.worker.failures,
            "model_failures": self.worker.model_failures,
            "models_begun_anew": self.worker.models_begun,
        }
        if commit:
            counters |= {
                "log_commits": commit.commits,
                "log_records": commit.records,
                "log_failures": commit.failures,
                "log_bytes": commit.retention.log_bytes,
                "clock_set_back": commit.set_back,
                "log_waiting_bytes": commit.waiting_bytes,
                "log_wal_pages": self._wal.pages,
                "dead_letters": commit.dead_letters,
            }
        return counters

    def _future(self) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().create_future()

    # -- threads ------------------------------------------------------------------------------------------------

    def _answer(self, answers: list[Answer]) -> None:
        """Settle everything that waited for a commit in one call: waking the loop costs more than setting a result."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)

    def _failed(self, partition: int, offset: int, error: Exception) -> None:
        _logger.error("a record could not be processed", partition=partition, offset=offset, exc_info=error)

    def _keep(self, saved: Saved) -> None:
        self._commit_thread.keep(saved)

    def _send(self, outcomes: list[Outcome]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, outcomes)

    def _died(self, error: BaseException) -> None:
        """A thread has ended by itself: take nothing more, and let ``failed`` return."""
        _logger.critical("a thread of the service has ended", reason=repr(error))
        self.broken = self.broken or repr(error)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._broke.set)

    def _deliver(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.registry.take(outcome)
            for callback in self._listeners:
                try:
                    callback(outcome)
                except Exception:
                    _logger.exception("a listener failed", partition=outcome.partition, offset=outcome.offset)


def _settle(answers: list[Answer]) -> None:
    for future, result in answers:
        if future.done():
            continue  # the caller was cancelled
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
