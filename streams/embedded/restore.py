"""Twins from the embedded file: checkpoints first, then the log behind them; for the service and for looking into a file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streams.embedded.schema import OFFSET_BITS, open_for_reading
from streams.errors import LogUnavailable
from streams.history import SqliteHistory
from streams.log import Entry, decode_record
from streams.worker import Worker

__all__ = ["Restored", "Stored", "restore", "stored"]


class Restored(msgspec.Struct):
    """How far a restored file goes: next offset and checkpointed offset by partition, newest log time (µs)."""

    next_offsets: list[int]
    committed: dict[int, int]
    last_received: int


def restore(connection: sqlite3.Connection, worker: Worker, partitions: int) -> Restored:
    """Give ``worker`` every partition as it stood when the last record was durable."""
    committed = dict.fromkeys(range(partitions), -1)
    committed.update(connection.execute("SELECT partition, offset FROM committed").fetchall())
    offsets = []
    last = 0
    for partition in range(partitions):
        rows = connection.execute("SELECT block FROM checkpoints WHERE partition = ? ORDER BY number", (partition,))
        offset = worker.assign(partition, [row[0] for row in rows], committed[partition])
        for entry in _entries(connection, partition, offset):
            worker.take(partition, entry.offset, entry.record)
            offset = entry.offset + 1
        bank = worker.banks[partition]
        bank.finish_catch_up()
        last = max(last, bank.time)
        offsets.append(offset)
    return Restored(offsets, committed, last)


def _entries(connection: sqlite3.Connection, partition: int, begin: int) -> Iterator[Entry]:
    base = partition << OFFSET_BITS
    rows = connection.execute(
        "SELECT id, record FROM log WHERE id >= ? AND id < ? ORDER BY id", (base + begin, base + (1 << OFFSET_BITS))
    )
    for number, raw in rows:
        yield Entry(partition, number - base, decode_record(raw))


class Stored:
    """An embedded file as it lies there; nothing is written to it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        (self.partitions,) = connection.execute("SELECT value FROM log_facts WHERE name = 'partitions'").fetchone()

    def entries(self, partition: int) -> Iterator[Entry]:
        """Every record of a partition the log still holds, in order."""
        return _entries(self._connection, partition, 0)

    def worker(self) -> Worker:
        """The twins a service starting on this file would have."""
        worker = Worker(SqliteHistory(self._path))
        restore(self._connection, worker, self.partitions)
        return worker


@contextmanager
def stored(path: Path) -> Iterator[Stored]:
    """Look into a file that no running service holds.

    Raises:
        LogUnavailable: there is none, or it cannot be read.
    """
    connection = open_for_reading(path)
    try:
        yield Stored(path, connection)
    except sqlite3.Error as error:
        raise LogUnavailable(f"cannot read {path}: {error}") from error
    finally:
        connection.close()
