"""A window of the embedded log, read beside the running service."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streams.embedded.schema import OFFSET_BITS, check_format, open_for_reading, sound
from streams.log.log import decode_record
from twins.records import Record

__all__ = ["LogWindow", "window_of"]


class LogWindow(msgspec.Struct):
    """A window of the log: ``begin`` (µs), from which on every partition is complete, and the records by partition."""

    path: Path
    begin: int
    spans: list[tuple[int, int]]
    """Ids of the records, by partition: from the first to before the second."""

    def __len__(self) -> int:
        return sum(last - first for first, last in self.spans)

    def records(self) -> Iterator[Record]:
        """The records, by partition and in order; one that cannot be read is left out."""
        connection = open_for_reading(self.path)
        try:
            with sound(self.path):
                for span in self.spans:
                    for (raw,) in connection.execute(
                        "SELECT record FROM log WHERE id >= ? AND id < ? ORDER BY id", span
                    ):
                        try:
                            yield decode_record(raw)
                        except msgspec.MsgspecError:
                            continue
        finally:
            connection.close()


def window_of(path: Path, start_us: int, end_us: int) -> LogWindow:
    """The records received in [start, end), as far as the log reaches back; raises ``LogUnavailable``."""
    connection = open_for_reading(path)
    try:
        with sound(path):
            partitions = check_format(connection, path).get("partitions", 0)
            begin = start_us
            spans = []
            for partition in range(partitions):
                base, last = partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS
                row = connection.execute(
                    "SELECT id, received FROM log WHERE id >= ? AND id < ? ORDER BY id LIMIT 1", (base, last)
                ).fetchone()
                if row is not None and row[0] > base:  # the oldest records have been deleted
                    begin = max(begin, min(row[1], end_us))
                spans.append((_place(connection, base, last, start_us), _place(connection, base, last, end_us)))
            return LogWindow(path, begin, spans)
    finally:
        connection.close()


def _place(connection: sqlite3.Connection, base: int, last: int, time_us: int) -> int:
    """The id of a partition's first record received at ``time_us`` or later, by bisection: times never decrease."""
    (low, high) = connection.execute(
        "SELECT min(id), max(id) FROM log WHERE id >= ? AND id < ?", (base, last)
    ).fetchone()
    if low is None:
        return base
    high += 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT received FROM log WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < time_us:
            low = middle + 1
        else:
            high = middle
    return int(low)
