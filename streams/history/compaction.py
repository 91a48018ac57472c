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

import numpy as np

from streams.history.chunks import FAN, insert_chunk, merge, parted
from streams.history.columns import KINDS, Column, Kind, joined, lot_rows, settle
from streams.history.schema import add_figure, figure

__all__ = ["Compactor"]

GROUP_ROWS = 400_000
"""Lots are cut into chunks this many rows at a time …"""
READY_ROWS = 100_000
READY_LOTS = 32
"""… as soon as a partition has either so many rows, or so many lots."""


class _Group(NamedTuple):
    kind: Kind
    partition: int
    upto: int
    done: str


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
                kind, patient = self._due.pop()
                self._change += merge(connection, KINDS[kind], patient)
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
        names, rank, columns = _load(connection, group)
        yield
        order = columns[0].argsort(kind="stable")
        yield
        order = order[rank[order].argsort(kind="stable")]
        yield
        gathered: list[Column] = []
        for column in columns:
            gathered.append(column[order])
            yield
        ranks, starts = np.unique(rank[order], return_index=True)
        ends = [*starts.tolist()[1:], len(order)]
        for number, first, last in zip(ranks.tolist(), starts.tolist(), ends, strict=False):
            patient = names[number]
            if patient <= group.done:
                continue
            rows = settle([column[first:last] for column in gathered])
            for part in parted(rows):
                self._change += insert_chunk(connection, group.kind, patient, (1, group.upto), part)
            self._note(group.kind.code, patient)
            self._progress = (group.kind.code, group.partition, group.upto, patient)
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


def _ready(connection: sqlite3.Connection) -> _Group | None:
    """The group of lots to cut next: one begun before, else the oldest of the partition with most rows."""
    begun = connection.execute("SELECT kind, partition, upto, done FROM history_progress LIMIT 1").fetchone()
    if begun:
        return _Group(KINDS[begun[0]], *begun[1:])
    heaps = connection.execute(
        "SELECT kind, partition, sum(rows) AS heap FROM history_lot GROUP BY kind, partition"
        " HAVING heap >= ? OR count(*) >= ? ORDER BY heap DESC LIMIT 1", (READY_ROWS, READY_LOTS),
    ).fetchone()
    if not heaps:
        return None
    kind, partition, _ = heaps
    total, upto = 0, 0
    for lot, rows in connection.execute(
        "SELECT lot, rows FROM history_lot WHERE kind = ? AND partition = ? ORDER BY lot", (kind, partition)
    ):
        total += rows
        if upto and total > GROUP_ROWS:
            break
        upto = lot
    return _Group(KINDS[kind], partition, upto, "")


def _load(connection: sqlite3.Connection, group: _Group) -> tuple[list[str], Column, tuple[Column, ...]]:
    """The rows of a group's lots in order of arrival: patients by name, each row's place among them, and columns."""
    bodies = connection.execute(
        "SELECT body FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ? ORDER BY lot",
        (group.kind.code, group.partition, group.upto),
    )
    lots = [lot for (body,) in bodies if (lot := lot_rows(body)) is not None]
    names = sorted(set().union(*(lot.patients for lot in lots)))
    places = {name: place for place, name in enumerate(names)}
    dtype = "<u2" if len(names) <= 1 << 16 else "<u4"  # numpy sorts 16-bit integers by radix
    ranks = [np.asarray([places[name] for name in lot.patients], dtype)[lot.patient] for lot in lots]
    rank = np.concatenate(ranks) if ranks else np.empty(0, dtype)
    return names, rank, joined(group.kind, [lot.columns for lot in lots])


def _drop(connection: sqlite3.Connection, group: _Group) -> int:
    """Delete a group's lots and the note of its progress; returns the bytes freed."""
    key = (group.kind.code, group.partition, group.upto)
    (size,) = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key
    ).fetchone()
    connection.execute("DELETE FROM history_lot WHERE kind = ? AND partition = ? AND lot <= ?", key)
    connection.execute("DELETE FROM history_progress WHERE kind = ? AND partition = ?", key[:2])
    return int(size)
