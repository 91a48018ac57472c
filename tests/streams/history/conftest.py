"""A history file with its writer's connection, and functions to fill it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from streams.history import SqliteHistory
from twins.records import Transition

SECOND = 1_000_000


class File:
    """A history on a file, its writer's connection, and the next offset."""

    def __init__(self, path: Path, **options) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=OFF")
        self.history = SqliteHistory(path, **options)
        self.history.create(self.connection)
        self.offset = max(self.history.covered(self.connection).values(), default=-1) + 1

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def observe(self, patient: str, time, value, *, signal: int = 0, status: int = 0, complete: bool = True) -> None:
        """Add readings of one patient and signal in partition 0, as one record."""
        time, value = np.atleast_1d(np.asarray(time, "i8")), np.atleast_1d(np.asarray(value, "f8"))
        count = len(time)
        self.history.add_observations(
            0, self.offset, [patient], np.zeros(count, "u4"), np.full(count, signal, "u2"), time, value,
            np.full(count, status, "u1"),
        )  # fmt: skip
        if complete:
            self.history.complete(0, self.offset)
        self.offset += 1

    def flush(self) -> int:
        with self.transaction() as connection:
            return self.history.flush(connection)

    def compact(self) -> None:
        more = True
        while more:
            with self.transaction() as connection:
                more = self.history.compact(connection, 0.001)

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (a table's name)

    def check_bytes(self) -> None:
        """Check that the stored figure of bytes is right."""
        (stored,) = self.connection.execute(
            "SELECT (SELECT total(length(body)) FROM history_chunk) + "
            "(SELECT total(length(patients) + length(body)) FROM history_lot)"
        ).fetchone()
        kept = self.connection.execute("SELECT value FROM history_figure WHERE name = 'bytes'").fetchone()
        assert (kept[0] if kept else 0) == stored

    def close(self) -> None:
        self.history.close()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    opened = File(tmp_path / "service.db")
    yield opened
    opened.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small thresholds, so that few rows go through all levels."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "columns.PACK_ROWS": 4, "sqlite.history.SEGMENT_ROWS": 16,
        "sqlite.compaction.GROUP_ROWS": 40, "sqlite.compaction.READY_ROWS": 12, "sqlite.compaction.READY_SEGMENTS": 2,
        "sqlite.compaction.FAN": 2, "sqlite.chunks.FAN": 2, "sqlite.chunks.FULL_ROWS": 24, "sqlite.chunks.MOST_ROWS": 32,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"streams.history.{name}", value)


def transition(patient: str, number: int, time: int, *, alarm: str = "", presence: str = "on") -> Transition:
    return Transition(
        id=f"{patient}-{number}", alarm=alarm or f"{patient}-alarm", patient=patient, condition="limit.high",
        presence=presence, onset=0, time=time,
    )  # fmt: skip
