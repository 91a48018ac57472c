"""Sort the rows of many segments by patient and signal, one segment per step.

Every segment is sorted by a key of patient and signal (a radix sort while the keys fit into 16 bits). Its rows are then
put into their place among those of all segments: a counting sort across segments. Within a key, rows stay in order of
arrival, which is nearly always the order of time.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from streams.history.columns import Column, Kind, Runs, Segment

__all__ = ["Part", "Sorting"]


class Part(NamedTuple):
    """One patient's rows; ``settled`` if they are in order of (signal, time) without duplicates."""

    patient: str
    columns: tuple[Column, ...]
    runs: Runs
    span: tuple[int, int]
    settled: bool


class Sorting:
    """The rows of ``segments``: first all of ``steps``, then ``parts``, patient by patient in order of name."""

    def __init__(self, kind: Kind, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._rows = sum(len(segment.patient) for segment in segments)
        self._columns = tuple(np.empty(self._rows, dtype) for dtype in kind.dtypes)
        self._names: list[str] = []
        self._counts: Column = np.empty(0, np.int64)
        self._width = 1
        self._starts: Column = np.empty(0, np.int64)
        self._rank: Column = np.empty(0, np.int64)
        self._back: Column = np.empty(0, np.bool_)

    def steps(self) -> Iterator[None]:
        """Sort, one segment at a time."""
        self._names = sorted(set().union(*(segment.patients for segment in self._segments)))
        ranks = {name: rank for rank, name in enumerate(self._names)}
        yield
        present = np.zeros(1 << 16, np.bool_)
        for segment in self._segments:
            present[segment.columns[0]] = True
        numbers = np.cumsum(present) - 1
        self._width = max(1, int(present.sum()))
        size = len(self._names) * self._width
        dtype = "<u2" if size <= 1 << 16 else "<i8"
        keys, counts = [], []
        for segment in self._segments:
            rank = np.fromiter(map(ranks.__getitem__, segment.patients), np.int64, len(segment.patients))
            keys.append((rank[segment.patient] * self._width + numbers[segment.columns[0]]).astype(dtype))
            counts.append(np.bincount(keys[-1], minlength=size))
            yield
        self._counts = np.zeros(size, np.int64)
        for count in counts:
            self._counts += count
        place = np.cumsum(self._counts) - self._counts
        for segment, key, count in zip(self._segments, keys, counts, strict=True):
            order = key.argsort(kind="stable")
            target = np.arange(len(key)) + (place - (np.cumsum(count) - count))[key[order]]
            yield
            for column, own in zip(self._columns, segment.columns, strict=True):
                column[target] = own[order]
            place += count
            yield
        used = np.flatnonzero(self._counts)
        self._starts = (np.cumsum(self._counts) - self._counts)[used]
        self._rank = used // self._width
        self._back = self._columns[1][1:] <= self._columns[1][:-1]
        self._back[self._starts[1:] - 1] = False

    def parts(self) -> Iterator[Part]:
        """Every patient who has rows."""
        if not self._rows:
            return
        starts, rank, time = self._starts, self._rank, self._columns[1]
        first_run = np.flatnonzero(np.diff(rank, prepend=-1))
        first_row = starts[first_run]
        lowest, highest = np.minimum.reduceat(time, first_row).tolist(), np.maximum.reduceat(time, first_row).tolist()
        back = np.flatnonzero(self._back) + 1
        disorder = set(np.unique(np.searchsorted(first_row, back, "right") - 1).tolist())
        signals, begins = self._columns[0][starts].tolist(), starts.tolist()
        runs, rows = [*first_run.tolist(), len(rank)], [*first_row.tolist(), self._rows]
        for number, who in enumerate(rank[first_run].tolist()):
            first, last = rows[number : number + 2]
            run = slice(*runs[number : number + 2])
            yield Part(
                self._names[who],
                tuple(column[first:last] for column in self._columns),
                Runs(signals[run], [begin - first for begin in begins[run]]),
                (lowest[number], highest[number]),
                number not in disorder,
            )
