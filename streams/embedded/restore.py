"""Restore twins from the embedded file: first checkpoints, then the log after them. For the service and for inspection."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from streams.embedded.checkpoints import Checkpoints, find
from streams.embedded.schema import OFFSET_BITS, check_format, open_for_reading, sound
from streams.errors import LogUnavailable
from streams.history import SqliteHistory
from streams.log.log import LogEntry, decode_record
from streams.worker.worker import Worker, readable, version_of
from twins.bank.checkpoint import VERSION
from twins.records import Record

__all__ = ["OfflineFile", "Restored", "open_offline", "restore"]

_logger = structlog.get_logger(__name__)


class Restored(msgspec.Struct):
    """How far a restored file reaches: next offset and checkpointed offset by partition, newest log time (µs).

    ``notes`` says in sentences what could not be used, ``rebuilt`` counts patients whose twins come from the log alone,
    ``renewed`` says that every checkpoint must be written again.
    """

    next_offsets: list[int] = []
    committed: dict[int, int] = {}
    last_received: int = 0
    notes: list[str] = []
    rebuilt: int = 0
    renewed: bool = False


def restore(connection: sqlite3.Connection, worker: Worker, partitions: int) -> Restored:
    """Give ``worker`` every partition in its state at the last durable record.

    If checkpoints have another version's columns or are broken, twins are rebuilt from what there is: an older
    checkpoint, or else the log as far as it reaches back.
    """
    found = Restored(committed=dict.fromkeys(range(partitions), -1))
    found.committed.update(connection.execute("SELECT partition, offset FROM committed").fetchall())
    facts = dict(connection.execute("SELECT name, value FROM log_facts").fetchall())
    # Older files do not note the version of the columns: it is in the checkpoints only.
    found.renewed = facts.get("columns", _columns(connection)) < VERSION
    for partition in range(partitions):
        offset = _restore(connection, worker, partition, found)
        bank = worker.banks[partition]
        found.last_received = max(found.last_received, bank.time)
        found.next_offsets.append(offset)
    return found


def _columns(connection: sqlite3.Connection) -> int:
    """The version of the checkpoints' columns, for a file that does not note it."""
    row = connection.execute("SELECT block FROM checkpoints WHERE number >= 0 LIMIT 1").fetchone()
    return VERSION if row is None else version_of(row[0])


def _restore(connection: sqlite3.Connection, worker: Worker, partition: int, found: Restored) -> int:
    """Restore one partition; returns its next offset."""
    kept = find(connection, partition, found.committed[partition])
    if kept.older:
        found.notes.append(
            f"{kept.older} broken checkpoints of partition {partition}: older ones and the log were used"
        )
    if kept.lost:
        found.notes.append(
            f"{kept.lost} broken checkpoints of partition {partition}: their twins were rebuilt from the log alone, from record"
            f" {kept.committed + 1} on"
        )
    if not found.renewed:
        try:
            offset = worker.assign(partition, kept.blobs, kept.committed)
        except Exception as error:
            _logger.exception("checkpoints cannot be read", partition=partition)
            found.notes.append(
                f"the checkpoints of partition {partition} cannot be read ({error!r}): twins rebuilt from the log"
            )
        else:
            return _read_on(connection, worker, partition, offset, found)
    return _rebuild(connection, worker, partition, kept.blobs, found)


def _read_on(connection: sqlite3.Connection, worker: Worker, partition: int, offset: int, found: Restored) -> int:
    for at, record in _records(connection, partition, offset, found.notes):
        if record is None:
            worker.pass_over(partition, at)
        else:
            worker.take(partition, at, record)
        offset = at + 1
    worker.banks[partition].finish_catch_up()
    return offset


def _rebuild(
    connection: sqlite3.Connection, worker: Worker, partition: int, blobs: list[bytes], found: Restored
) -> int:
    """Rebuild twins from the log alone, except what is older than the log."""
    usable = [raw for raw in blobs if readable(raw)]
    if len(usable) < len(blobs):
        found.notes.append(f"{len(blobs) - len(usable)} checkpoints of partition {partition} cannot be read at all")
    records = ((at, record) for at, record in _records(connection, partition, 0, found.notes) if record is not None)
    offset = worker.rebuild(partition, usable, records)
    bank = worker.banks[partition]
    found.rebuilt += int((bank.active != 0).sum())
    found.renewed = True
    (newest,) = connection.execute(
        "SELECT max(id) FROM log WHERE id >= ? AND id < ?", (partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS)
    ).fetchone()
    return offset if newest is None else max(offset, newest - (partition << OFFSET_BITS) + 1)


def _records(
    connection: sqlite3.Connection, partition: int, begin: int, notes: list[str]
) -> Iterator[tuple[int, Record | None]]:
    """Records from ``begin`` on, each with its offset; None for a record whose bytes are broken."""
    for offset, raw in _rows(connection, partition, begin):
        try:
            yield offset, decode_record(raw)
        except msgspec.MsgspecError as error:
            notes.append(f"record {offset} of partition {partition} cannot be read and is skipped: {error}")
            yield offset, None


def _rows(connection: sqlite3.Connection, partition: int, begin: int) -> Iterator[tuple[int, bytes]]:
    base = partition << OFFSET_BITS
    rows = connection.execute(
        "SELECT id, record FROM log WHERE id >= ? AND id < ? ORDER BY id", (base + begin, base + (1 << OFFSET_BITS))
    )
    for number, raw in rows:
        yield number - base, raw


def renew(connection: sqlite3.Connection, worker: Worker, history: SqliteHistory, found: Restored) -> None:
    """Write every checkpoint again, in one transaction, and note the version of their columns."""
    saved = worker.checkpoint()
    connection.execute("BEGIN IMMEDIATE")
    try:
        history.flush(connection)
        connection.execute("DELETE FROM checkpoints")
        connection.execute("DELETE FROM checkpoints_before")
        Checkpoints().write(connection, saved.blobs)
        connection.executemany("INSERT OR REPLACE INTO committed VALUES (?, ?)", sorted(saved.committed.items()))
        connection.execute("INSERT OR REPLACE INTO log_facts VALUES ('columns', ?)", (VERSION,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    found.committed.update(saved.committed)


class OfflineFile:
    """An embedded file opened for reading only."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self.partitions = check_format(connection, path).get("partitions", 0)
        if not self.partitions:
            raise LogUnavailable(f"{path} holds no log")

    def entries(self, partition: int) -> Iterator[LogEntry]:
        """Every record of a partition that is still in the log, in order."""
        for offset, raw in _rows(self._connection, partition, 0):
            yield LogEntry(partition, offset, decode_record(raw))

    def worker(self) -> Worker:
        """The twins that a service would have after starting on this file."""
        worker = Worker(SqliteHistory(self._path))
        restore(self._connection, worker, self.partitions)
        return worker


@contextmanager
def open_offline(path: Path) -> Iterator[OfflineFile]:
    """Inspect a file that no running service uses.

    Raises:
        LogUnavailable: there is no file, or it cannot be read.
    """
    connection = open_for_reading(path)
    try:
        with sound(path):
            stands = OfflineFile(path, connection)
        yield stands
    except sqlite3.Error as error:
        raise LogUnavailable(f"cannot read {path}: {error}") from error
    finally:
        connection.close()
