"""Read rows of one patient and signal from chunks, segments and the buffer together."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from streams.history.buffer import Buffer, Waiting
from streams.history.columns import (
    OBSERVATIONS,
    Column,
    Kind,
    Segment,
    chunk_rows,
    joined,
    segment_rows,
    settle,
    standing,
)
from streams.history.sqlite import schema

__all__ = ["HOUR_US", "Readers", "Window", "rows", "rows_page"]

HOUR_US = 3_600_000_000
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Window = tuple[str, int | None, int, int]
"""patient, signal, start, end"""


class Readers:
    """A few threads, each with its own read-only connection, opened at the first use."""

    def __init__(self, path: str | Path, buffer: Buffer, count: int) -> None:
        self._address = Path(path).absolute().as_uri() + "?mode=ro"
        self._buffer = buffer
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="history")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def ask(
        self,
        question: Callable[Concatenate[sqlite3.Connection, Waiting, Given], Answer],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Answer:
        """Answer from one snapshot of the database and the buffer's rows beyond it."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: self._answer(lambda *snapshot: question(*snapshot, *args, **kwargs))
        )

    def close(self) -> None:
        """End the threads and close their connections."""
        self._pool.shutdown()
        while self._opened:
            self._opened.pop().close()

    def _answer(self, question: Callable[[sqlite3.Connection, Waiting], Answer]) -> Answer:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._address, uri=True, isolation_level=None, check_same_thread=False)
            self._local.connection = connection
            self._opened.append(connection)
        snapshot = self._buffer.snapshot()
        connection.execute("BEGIN")
        try:
            return question(connection, snapshot.beyond(schema.covered(connection)))
        finally:
            connection.execute("ROLLBACK")


def rows(connection: sqlite3.Connection, waiting: Waiting, kind: Kind, window: Window) -> tuple[Column, ...]:
    """The columns of a window, by time, without duplicates and retracted readings; signal first."""
    settled = _settled(connection, waiting, kind, window)
    return standing(settled) if kind is OBSERVATIONS else settled


def versions(connection: sqlite3.Connection, waiting: Waiting, window: Window) -> tuple[Column, ...]:
    """Readings of a window as they were sent, also replaced and retracted ones; signal first."""
    return _settled(connection, waiting, OBSERVATIONS, window)


def _settled(connection: sqlite3.Connection, waiting: Waiting, kind: Kind, window: Window) -> tuple[Column, ...]:
    patient, signal, start, end = window
    span = (start, end)
    parts = [
        chunk_rows(body, signal)
        for (body,) in connection.execute(
            "SELECT body FROM history_chunk WHERE kind = ? AND patient = ? AND end_us >= ? AND start_us < ?"
            " ORDER BY sequence", (kind.code, patient, *span),
        )
    ]  # fmt: skip
    parts += [
        _picked(segment_rows(*stored), patient, signal)
        for stored in connection.execute(
            "SELECT patients, body FROM history_lot WHERE kind = ? AND end_us >= ? AND start_us < ?"
            " AND instr(patients, ?) ORDER BY lot", (kind.code, *span, patient.encode()),
        )
    ]  # fmt: skip
    parts += [_picked(batch.segment, patient, signal) for batch in waiting.batches if batch.kind is kind]
    columns = joined(kind, parts)
    inside = (columns[1] >= start) & (columns[1] < end)
    return settle(kind, columns if inside.all() else [column[inside] for column in columns])


def rows_page(
    connection: sqlite3.Connection, waiting: Waiting, kind: Kind, window: Window, limit: int
) -> tuple[tuple[Column, ...], bool]:
    """The first ``limit`` rows of a window, and whether there are more; it looks at longer and longer spans."""
    patient, signal, start, end = window
    begin, width = _earliest(connection, waiting, kind, window), HOUR_US
    while True:
        until = end if begin is None else min(begin + width, end)
        found = rows(connection, waiting, kind, (patient, signal, start, until))
        if len(found[0]) > limit or until >= end:
            return tuple(column[:limit] for column in found), len(found[0]) > limit
        width *= 4


def _earliest(connection: sqlite3.Connection, waiting: Waiting, kind: Kind, window: Window) -> int | None:
    """A time before which the window has no rows; ``None`` if it is empty."""
    patient, signal, start, end = window
    times = [
        connection.execute(
            "SELECT min(start_us) FROM history_chunk WHERE kind = ? AND patient = ? AND end_us >= ? AND start_us < ?",
            (kind.code, patient, start, end),
        ).fetchone()[0],
        connection.execute(
            "SELECT min(start_us) FROM history_lot WHERE kind = ? AND end_us >= ? AND start_us < ?"
            " AND instr(patients, ?)",
            (kind.code, start, end, patient.encode()),
        ).fetchone()[0],
    ]
    for batch in waiting.batches:
        time = _picked(batch.segment, patient, signal)[1] if batch.kind is kind else ()
        times += [int(np.min(time))] if len(time) else []
    known = [time for time in times if time is not None]
    return max(start, min(known)) if known else None


def _picked(segment: Segment, patient: str, signal: int | None) -> tuple[Column, ...]:
    """A segment's rows of one patient and one or all signals."""
    numbers = [number for number, name in enumerate(segment.patients) if name == patient]
    if not numbers:
        return tuple(column[:0] for column in segment.columns)
    if len(numbers) == 1:
        chosen = segment.patient == numbers[0]
    else:
        wanted = np.zeros(len(segment.patients), np.bool_)
        wanted[numbers] = True
        chosen = wanted[segment.patient]
    if signal is not None:
        chosen &= segment.columns[0] == signal
    return tuple(column[chosen] for column in segment.columns)
