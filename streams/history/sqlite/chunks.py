"""Chunks: one patient's rows of one kind in one database row, and the merging of small chunks.

``FAN`` neighbouring chunks of one level become one of the next, until a chunk is full: about an hour of five 1 Hz
signals, or a day of a sparse one. Only neighbours in the order of writing are merged. So of two rows with the same
identity the later one is always known.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from streams.history.columns import Column, Kind, Runs, chunk_bytes, chunk_rows, joined, runs_of, settle
from streams.history.sqlite.schema import FINAL

__all__ = ["FAN", "Place", "insert_chunk", "merge", "parted"]

FAN = 8
FULL_ROWS = 16_384
MOST_ROWS = 50_000
DAY_US = 86_400_000_000
DAY_ROWS = 256

Rows = tuple[Column, ...]


class Place(NamedTuple):
    """The patient of a chunk, and its place among the patient's chunks."""

    kind: Kind
    patient: str
    level: int
    sequence: int


def insert_chunk(
    connection: sqlite3.Connection,
    place: Place,
    rows: Rows,
    runs: Runs | None = None,
    span: tuple[int, int] | None = None,
) -> int:
    """Write one patient's settled rows; returns the bytes used. Runs and span are computed if not given."""
    start, end = span or (int(rows[1].min()), int(rows[1].max()))
    count = len(rows[0])
    full = count >= FULL_ROWS or (end - start >= DAY_US and count >= DAY_ROWS)
    body = chunk_bytes(rows, runs or runs_of(rows[0]))
    connection.execute(
        "INSERT INTO history_chunk (kind, patient, level, sequence, rows, start_us, end_us, size, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            place.kind.code, place.patient, FINAL if full else place.level, place.sequence,
            count, start, end, len(body), body,
        ),
    )  # fmt: skip
    return len(body)


def parted(rows: Rows) -> Iterator[Rows]:
    """Settled rows in parts of about ``MOST_ROWS`` or fewer, in order of time."""
    count = -(-len(rows[0]) // MOST_ROWS)
    if count < 2:
        yield rows
        return
    edges = np.sort(rows[1])[np.linspace(0, len(rows[1]), count, endpoint=False, dtype=np.intp)[1:]]
    numbers = np.searchsorted(edges, rows[1], "right")
    for number in range(count):
        chosen = numbers == number
        if chosen.any():
            yield tuple(column[chosen] for column in rows)


def merge(connection: sqlite3.Connection, kind: Kind, patient: str) -> int | None:
    """Merge the oldest run of ``FAN`` neighbours of one level, as far as one chunk may grow.

    Returns the growth of the chunks in bytes, ``None`` if there was nothing to merge.
    """
    known = connection.execute(
        "SELECT sequence, level, rows, chunk FROM history_chunk WHERE kind = ? AND patient = ? ORDER BY sequence",
        (kind.code, patient),
    ).fetchall()
    for level, run in groupby(known, key=lambda row: int(row[1])):
        chunks = list(run)
        if level == FINAL or len(chunks) < FAN:
            continue
        total, count = 0, 0
        while count < min(len(chunks), 2 * FAN) and (count < 2 or total + chunks[count][2] <= MOST_ROWS):
            total += chunks[count][2]
            count += 1
        place = Place(kind, patient, min(level + 1, FINAL - 1), int(chunks[count - 1][0]))
        return _merge_run(connection, place, [chunk[3] for chunk in chunks[:count]])
    return None


def _merge_run(connection: sqlite3.Connection, place: Place, chunks: list[int]) -> int:
    bodies = [
        connection.execute("SELECT body FROM history_chunk WHERE chunk = ?", (chunk,)).fetchone()[0] for chunk in chunks
    ]
    rows = settle(place.kind, joined(place.kind, [chunk_rows(body) for body in bodies]))
    connection.executemany("DELETE FROM history_chunk WHERE chunk = ?", [(chunk,) for chunk in chunks])
    return insert_chunk(connection, place, rows) - sum(len(body) for body in bodies)
