"""From lots to chunks, and from small chunks to large, a slice at a time.

Idea: as in a log-structured merge tree, rows are written once as they come (level 0), then cut into chunks by patient
(level 1), and small chunks are merged into larger ones (``chunks.py``). What a slice has done is recorded in the same
transaction as its rows; after a crash or a rollback the work goes on from what the database says.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import structlog

from streams.history.columns import KINDS, Kind, Lot, lot_rows, settle
from streams.history.sqlite.chunks import FAN, MOST_ROWS, Place, insert_chunk, merge, parted
from streams.history.sqlite.schema import add_figure, figure
from streams.history.sqlite.sorting import Part, Sorting

__all__ = ["Compactor"]

_logger = structlog.get_logger(__name__)

GROUP_ROWS = 600_000
"""Lots are cut into chunks up to this many rows at a time …"""
READY_ROWS = 400_000
READY_LOTS = 32
"""… as soon as a partition has either so many rows, or so many lots."""


class _Group(NamedTuple):
    kind: Kind
    partition: int
    upto: int
    done: str
    lots: list[int]


class Compactor:
    """The work of one history file; everything is called by the thread that writes it, inside its transactions."""

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
        """Look for work again: ``rows`` were written to lots, or (``None``) nobody knows how many."""
        if rows is None:
            (rows,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM history_lot").fetchone()
            self.backlog = 0
        self.backlog += int(rows or 0)
        self._idle = False

    def slice(self, connection: sqlite3.Connection, budget_s: float) -> bool:
        """Work for about ``budget_s``; whether there is more to do now."""
        slices = figure(connection, "slices")
        if slices != self._slices:  # another writer, or a rollback: begin again from what is stored
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
        """Say in this transaction what the slice did in it."""
        if self._progress is not None:
            connection.execute("INSERT OR REPLACE INTO history_progress VALUES (?, ?, ?, ?)", self._progress)
        add_figure(connection, "bytes", self._change)
        add_figure(connection, "slices", 1)
        self._slices += 1
        self._progress, self._change = None, 0

    def _advance(self, connection: sqlite3.Connection) -> bool:
        """One step; whether there was anything to do."""
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
        """Write the chunks of a group of lots, then delete the lots; every ``yield`` may end a transaction."""
        lots: list[Lot] = []
        for number in group.lots:
            stored = connection.execute("SELECT patients, body FROM history_lot WHERE lot = ?", (number,)).fetchone()
            lots += _read(number, *stored) if stored else []
            yield
        sorting = Sorting(group.kind, lots)
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


def _read(number: int, patients: bytes, body: bytes) -> list[Lot]:
    """A lot's rows; none where its bytes are damaged: the others are not to wait for it."""
    try:
        return [lot_rows(patients, body)]
    except Exception as error:  # noqa: BLE001 - whatever the bytes hold
        _logger.error("rows of the history are damaged and left out", lot=number, reason=repr(error))  # noqa: TRY400
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
    """The group of lots to cut next: one begun before, else the oldest of the partition with most rows."""
    begun = connection.execute("SELECT kind, partition, upto, done FROM history_progress LIMIT 1").fetchone()
    if begun:
        kind, partition, upto, done = begun
        lots = [lot for lot, _ in _lots(connection, kind, partition) if lot <= upto]
        return _Group(KINDS[kind], partition, upto, done, lots)
    heap = connection.execute(
        "SELECT kind, partition, sum(rows) AS heap FROM history_lot GROUP BY kind, partition"
        " HAVING heap >= ? OR count(*) >= ? ORDER BY heap DESC LIMIT 1", (READY_ROWS, READY_LOTS),
    ).fetchone()  # fmt: skip
    if not heap:
        return None
    lots, total = [], 0
    for lot, rows in _lots(connection, *heap[:2]):
        total += rows
        if lots and total > GROUP_ROWS:
            break
        lots.append(lot)
    return _Group(KINDS[heap[0]], heap[1], lots[-1], "", lots)


def _lots(connection: sqlite3.Connection, kind: int, partition: int) -> list[tuple[int, int]]:
    """The numbers of lots and their rows, oldest first."""
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
    """Delete a group's lots and the note of its progress; returns the bytes freed."""
    key = (group.kind.code, group.partition, group.upto)
    (size,) = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key
    ).fetchone()
    connection.execute("DELETE FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key)
    connection.execute("DELETE FROM history_progress WHERE kind = ? AND partition = ?", key[:2])
    return int(size)
