"""From segments to chunks, and from small chunks to large, a slice at a time.

The idea is that of a log-structured merge tree: rows are written first in order of arrival (level 0), then cut into
chunks by patient (level 1), and small chunks are merged into larger ones (``chunks.py``). A slice records its progress
in the same transaction as its rows. After a crash or a rollback the work continues from what the database says.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import structlog

from streams.history.columns import KINDS, Kind, Segment, segment_rows, settle
from streams.history.sqlite.chunks import FAN, MOST_ROWS, Place, insert_chunk, merge, parted
from streams.history.sqlite.schema import add_figure, figure
from streams.history.sqlite.sorting import Part, Sorting

__all__ = ["Compactor"]

_logger = structlog.get_logger(__name__)

GROUP_ROWS = 600_000
"""Segments are cut into chunks up to this many rows at a time …"""
READY_ROWS = 400_000
READY_SEGMENTS = 32
"""… as soon as a partition has this many rows or this many segments."""


class _Group(NamedTuple):
    kind: Kind
    partition: int
    upto: int
    done: str
    segments: list[int]


class Compactor:
    """The compaction of one history file; the thread that writes the file calls it inside its transactions."""

    def __init__(self) -> None:
        self.backlog = 0
        self._work: Iterator[None] | None = None
        self._fresh: Counter[tuple[int, str]] = Counter()
        self._due: list[tuple[int, str]] = []
        self._slices = -1
        self._idle = False
        self._progress: tuple[int, int, int, str] | None = None
        self._change = 0

    def wake(self, connection: sqlite3.Connection, rows: int | None = None) -> None:
        """Look for work again: ``rows`` were written to segments, or (``None``) an unknown number."""
        if rows is None:
            (rows,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM history_lot").fetchone()
            self.backlog = 0
        self.backlog += int(rows or 0)
        self._idle = False

    def slice(self, connection: sqlite3.Connection, budget_s: float) -> bool:
        """Work for about ``budget_s``; returns whether there is more to do now."""
        slices = figure(connection, "slices")
        if slices != self._slices:  # another writer, or a rollback: start again from the database
            self._forget()
            self._slices = slices
        if self._idle:
            return False
        deadline = time.monotonic() + budget_s
        before = connection.total_changes
        try:
            while self._advance(connection):
                if time.monotonic() >= deadline:
                    break
            if connection.total_changes != before:
                self._record(connection)
        except BaseException:
            self._forget()
            raise
        return not self._idle

    def _forget(self) -> None:
        self._work, self._progress, self._change, self._idle = None, None, 0, False

    def _record(self, connection: sqlite3.Connection) -> None:
        """Record the slice's progress in its own transaction."""
        if self._progress is not None:
            connection.execute("INSERT OR REPLACE INTO history_progress VALUES (?, ?, ?, ?)", self._progress)
        add_figure(connection, "bytes", self._change)
        add_figure(connection, "slices", 1)
        self._slices += 1
        self._progress, self._change = None, 0

    def _advance(self, connection: sqlite3.Connection) -> bool:
        """One step; returns whether there was anything to do."""
        if self._work is None:
            if self._due:
                kind, patient = self._due[-1]
                change = _merged(connection, KINDS[kind], patient)
                if change is None:
                    self._due.pop()
                self._change += change or 0
                return True
            group = _ready(connection)
            if group is None:
                self._idle = True
                return False
            self._work = self._cut(connection, group)
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        return True

    def _cut(self, connection: sqlite3.Connection, group: _Group) -> Iterator[None]:
        """Write the chunks of a group of segments, then delete the segments; every ``yield`` may end a transaction."""
        segments: list[Segment] = []
        for number in group.segments:
            stored = connection.execute("SELECT patients, body FROM history_lot WHERE lot = ?", (number,)).fetchone()
            segments += _read(number, *stored) if stored else []
            yield
        sorting = Sorting(group.kind, segments)
        for _ in sorting.steps():
            yield
        for part in sorting.parts():
            if part.patient > group.done:
                self._change += _insert(connection, group, part)
                self._note(group.kind.code, part.patient)
                self._progress = (group.kind.code, group.partition, group.upto, part.patient)
                yield
        self._change -= _drop(connection, group)
        self._progress = None
        self.wake(connection)
        yield

    def _note(self, kind: int, patient: str) -> None:
        self._fresh[kind, patient] += 1
        if self._fresh[kind, patient] >= FAN:
            del self._fresh[kind, patient]
            self._due.append((kind, patient))


def _read(number: int, patients: bytes, body: bytes) -> list[Segment]:
    """A segment's rows; none if its bytes are damaged: it must not block the others."""
    try:
        return [segment_rows(patients, body)]
    except Exception as error:  # noqa: BLE001 - whatever the bytes hold
        _logger.error("rows of the history are damaged and left out", segment=number, reason=repr(error))  # noqa: TRY400
        return []


def _merged(connection: sqlite3.Connection, kind: Kind, patient: str) -> int | None:
    """``merge``; chunks that are damaged stay as they are. They are read before anything is written."""
    try:
        return merge(connection, kind, patient)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the bytes hold
        _logger.error("chunks of the history are damaged and stay as they are", kind=kind.code, reason=repr(error))  # noqa: TRY400
        return None


def _ready(connection: sqlite3.Connection) -> _Group | None:
    """The next group of segments to cut: an unfinished one, else the oldest of the partition with most rows."""
    begun = connection.execute("SELECT kind, partition, upto, done FROM history_progress LIMIT 1").fetchone()
    if begun:
        kind, partition, upto, done = begun
        segments = [segment for segment, _ in _segments(connection, kind, partition) if segment <= upto]
        return _Group(KINDS[kind], partition, upto, done, segments)
    heap = connection.execute(
        "SELECT kind, partition, sum(rows) AS heap FROM history_lot GROUP BY kind, partition"
        " HAVING heap >= ? OR count(*) >= ? ORDER BY heap DESC LIMIT 1", (READY_ROWS, READY_SEGMENTS),
    ).fetchone()  # fmt: skip
    if not heap:
        return None
    segments, total = [], 0
    for segment, rows in _segments(connection, *heap[:2]):
        total += rows
        if segments and total > GROUP_ROWS:
            break
        segments.append(segment)
    return _Group(KINDS[heap[0]], heap[1], segments[-1], "", segments)


def _segments(connection: sqlite3.Connection, kind: int, partition: int) -> list[tuple[int, int]]:
    """The numbers of segments and their rows, oldest first."""
    return connection.execute(
        "SELECT lot, rows FROM history_lot WHERE kind = ? AND partition = ? ORDER BY lot", (kind, partition)
    ).fetchall()


def _insert(connection: sqlite3.Connection, group: _Group, part: Part) -> int:
    """Write one patient's rows of a group; returns the bytes they take."""
    place = Place(group.kind, part.patient, 1, group.upto)
    if part.settled and len(part.columns[0]) <= MOST_ROWS:
        return insert_chunk(connection, place, part.columns, part.runs, part.span)
    return sum(insert_chunk(connection, place, rows) for rows in parted(settle(group.kind, part.columns)))


def _drop(connection: sqlite3.Connection, group: _Group) -> int:
    """Delete a group's segments and its progress record; returns the bytes freed."""
    key = (group.kind.code, group.partition, group.upto)
    (size,) = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key
    ).fetchone()
    connection.execute("DELETE FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key)
    connection.execute("DELETE FROM history_progress WHERE kind = ? AND partition = ?", key[:2])
    return int(size)
