"""Checkpoints in the embedded file: each has a checksum, and an older one (by up to hours) is stored as a fallback.

Disks can corrupt bytes silently. A checkpoint with a wrong checksum is not used: its patients' twins start from the older
one, and the log adds what came since.
"""

import sqlite3
import time
from collections.abc import Iterable
from zlib import crc32

import msgspec

from streams.embedded.schema import OFFSET_BITS
from streams.worker.worker import Blob

__all__ = ["Checkpoints", "UsableCheckpoints", "find"]

_BEFORE_S = 3600.0
_BEFORE_AT_ONCE = 8
_COLUMNS = "partition, number, offset, block, checksum"


class UsableCheckpoints(msgspec.Struct):
    """What a partition starts from: the stored blobs, and the offset from which its log has to be read.

    ``older`` counts blocks taken from the fallback, ``lost`` those without any usable checkpoint.
    """

    blobs: list[bytes]
    committed: int
    older: int = 0
    lost: int = 0


class Checkpoints:
    """Writes checkpoints, on the connection and in the transaction of the thread that writes the file."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], float] = {}

    def write(self, connection: sqlite3.Connection, blobs: Iterable[Blob]) -> None:
        """Store the blobs in place of the previous ones; once an hour a previous one becomes the fallback, a few at a time."""
        now, copied = time.monotonic(), 0
        for partition, number, offset, block in blobs:
            place = (partition, number)
            if copied < _BEFORE_AT_ONCE and now - self._before.get(place, -_BEFORE_S) >= _BEFORE_S:
                connection.execute(
                    f"INSERT OR REPLACE INTO checkpoints_before ({_COLUMNS})"  # noqa: S608
                    f" SELECT {_COLUMNS} FROM checkpoints WHERE partition = ? AND number = ? AND checksum IS NOT NULL", place,
                )  # fmt: skip
                self._before[place] = now
                copied += 1
            row = (partition, number, offset, block, checksum(partition, number, offset, block))
            connection.execute(f"INSERT OR REPLACE INTO checkpoints ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608


def checksum(partition: int, number: int, offset: int, block: bytes) -> int:
    """The checksum of a checkpoint's bytes and of its place."""
    return crc32(block, crc32(f"{partition} {number} {offset}".encode()))


def find(connection: sqlite3.Connection, partition: int, committed: int) -> UsableCheckpoints:
    """The usable checkpoints of a partition; ``committed`` is the offset from which its log is needed."""
    known = "checksum" in {row[1] for row in connection.execute("PRAGMA table_info(checkpoints)")}
    query = (
        f"SELECT number, offset, block, {'checksum' if known else 'NULL'} FROM {{}} WHERE partition = ? ORDER BY number"  # noqa: S608
    )
    found = UsableCheckpoints([], committed)
    before: dict[int, tuple[int, bytes]] | None = None
    for number, offset, block, kept in connection.execute(query.format("checkpoints"), (partition,)):
        if kept is None or kept == checksum(partition, number, offset, block):
            found.blobs.append(block)
            continue
        if before is None:
            rows = connection.execute(query.format("checkpoints_before"), (partition,)).fetchall()
            before = {row[0]: row[1:3] for row in rows if row[3] == checksum(partition, *row[:3])}
        if number in before:
            older, kept_before = before[number]
            found.blobs.append(kept_before)
            found.committed = min(found.committed, older)
            found.older += 1
        else:
            found.committed = min(found.committed, _first(connection, partition) - 1)
            found.lost += 1
    return found


def _first(connection: sqlite3.Connection, partition: int) -> int:
    """The oldest offset of a partition in the log, 0 if there is none."""
    base, end = partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS
    (first,) = connection.execute("SELECT min(id) FROM log WHERE id >= ? AND id < ?", (base, end)).fetchone()
    return 0 if first is None else first - base
