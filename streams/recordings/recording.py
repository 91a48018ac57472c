"""Recorded files: CSV or CSV.gz with the columns ``patient,time,signal,value,unit``, read into columns."""

import csv
import gzip
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple, cast

import msgspec
import numpy as np

from streams.errors import RecordingError
from streams.log import times as moments
from streams.log.identity import composed
from twins.arrays import F8, I8, U2, U4
from twins.records import Columns
from twins.signals import BY_NAME, SIGNALS
from twins.units import examples, factor

__all__ = ["COLUMNS", "Recording", "cut", "read", "write"]

COLUMNS = ("patient", "time", "signal", "value", "unit")
"""The header of a recorded file; the columns may stand in any order."""

_CHUNK = 65_536

Progress = Callable[[int], None]


class _Meaning(NamedTuple):
    """The meaning of a (signal, unit) pair: canonical value = value x scale + offset."""

    code: int
    scale: float
    offset: float


class Recording(msgspec.Struct, frozen=True):
    """The readings of one file in its order; times are µs, values are in the signals' own units."""

    name: str
    columns: Columns

    def __len__(self) -> int:
        return len(self.columns)

    def by_time(self) -> "Recording":
        """The same readings in order of effective time; readings of one instant keep the file's order."""
        return self._take(np.argsort(self.columns.time, kind="stable"))

    def of_patients(self, wanted: Collection[str] | None = None, at_most: int | None = None) -> "Recording":
        """The readings of the ``wanted`` patients (``None``: all), at most of the first ``at_most`` of them."""
        names = [name for name in self.columns.patients if wanted is None or name in wanted][:at_most]
        kept = np.array([name in set(names) for name in self.columns.patients], dtype=bool)
        part = self._take(np.flatnonzero(kept[self.columns.patient]))
        renumber = (np.cumsum(kept) - 1).astype(np.uint32)
        columns = part.columns
        return Recording(
            self.name, Columns(names, renumber[columns.patient], columns.signal, columns.time, columns.value)
        )

    def of_signals(self, wanted: Collection[str]) -> "Recording":
        """The readings of the signals named in ``wanted``."""
        codes = [BY_NAME[name].code for name in wanted]
        return self._take(np.flatnonzero(np.isin(self.columns.signal, codes)))

    def first(self, count: int) -> "Recording":
        """The first ``count`` readings."""
        return self._take(np.arange(min(count, len(self))))

    def together(self) -> "Recording":
        """The same readings, shifted so that every patient begins at the file's first moment."""
        columns = self.columns
        begin = np.full(len(columns.patients), np.iinfo(np.int64).max)
        np.minimum.at(begin, columns.patient, columns.time)
        time = columns.time - begin[columns.patient] + columns.time.min()
        return Recording(self.name, Columns(columns.patients, columns.patient, columns.signal, time, columns.value))

    def _take(self, rows: np.typing.NDArray[np.intp]) -> "Recording":
        columns = self.columns
        return Recording(
            self.name,
            Columns(
                columns.patients, columns.patient[rows], columns.signal[rows], columns.time[rows], columns.value[rows]
            ),
        )


def cut(columns: Columns, first: int, last: int) -> Columns:
    """The readings from ``first`` to before ``last``, with only their patients."""
    rows = slice(first, last)
    used, local = np.unique(columns.patient[rows], return_inverse=True)
    names = [columns.patients[number] for number in used.tolist()]
    return Columns(names, local.astype(np.uint32), columns.signal[rows], columns.time[rows], columns.value[rows])


def read(path: Path, progress: Progress | None = None) -> Recording:
    """Read a whole recorded file.

    ``progress`` is called from time to time with the number of bytes read so far.

    Raises ``RecordingError`` with the line number for anything that is not a reading: a wrong header or number of
    columns, an unknown signal or unit, a time without a zone, a value that is no finite number.
    """
    try:
        with path.open("rb") as raw:
            return _read(path.name, raw, progress)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path.name}: cannot be read: {error}") from error


def write(path: Path, rows: Iterable[str], progress: Progress | None = None) -> int:
    """Write finished lines below the header to a CSV or CSV.gz file; returns their number.

    ``progress`` is called from time to time with the number of lines written so far.
    """
    count = 0
    with path.open("wb") as raw, _compressed(path, raw) as binary, io.TextIOWrapper(binary, newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        for line in rows:
            file.write(line)
            count += 1
            if progress is not None and count % _CHUNK == 0:
                progress(count)
    return count


def _compressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    # The same readings give the same bytes: the gzip header has no time of writing.
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile("", "wb", 6, raw, mtime=0))
    return raw


def _read(name: str, raw: IO[bytes], progress: Progress | None) -> Recording:
    gzipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    binary = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if gzipped else raw
    with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        reader = _Reader(name, _header(name, next(rows, [])))
        line = rows.line_num + 1
        while chunk := list(islice(rows, _CHUNK)):
            reader.add(chunk, line)
            line = rows.line_num + 1
            if progress is not None:
                progress(raw.tell())
        return Recording(name, reader.columns())


def _header(name: str, header: Sequence[str]) -> tuple[int, ...]:
    found = [column.strip() for column in header]
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise RecordingError(f"{name}: line 1: the header must name {','.join(COLUMNS)}; missing: {', '.join(missing)}")
    return tuple(found.index(column) for column in COLUMNS)


class _Reader:
    """Gathers chunks of rows into columns; searches for the wrong line only if a chunk fails."""

    def __init__(self, name: str, order: tuple[int, ...]) -> None:
        self._name = name
        self._order = order
        self._patients: dict[str, int] = {}
        self._meanings: dict[tuple[str, str], _Meaning] = {}
        self._parts: list[tuple[U4, U2, I8, F8]] = []

    def add(self, rows: list[list[str]], line: int) -> None:
        """Add rows, the first of which is on ``line``; empty rows are skipped."""
        filled = [row for row in rows if row]
        if not filled:
            return
        try:
            self._parts.append(self._parse(filled))
        except (ValueError, KeyError, IndexError, TypeError):
            self._blame(rows, line)
            raise

    def columns(self) -> Columns:
        """Everything added so far."""
        if not self._parts:
            raise RecordingError(f"{self._name}: has no readings")
        patient, signal, time, value = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return Columns(list(self._patients), patient, signal, time, value)

    def _parse(self, rows: list[list[str]]) -> tuple[U4, U2, I8, F8]:
        turned = list(zip(*rows, strict=True))
        patient, time, signal, value, unit = (turned[index] for index in self._order)
        patient = tuple(map(composed, patient))
        known = self._patients
        for one in dict.fromkeys(patient):
            if not one:
                raise ValueError("no patient")
            known.setdefault(one, len(known))
        pairs = list(zip(signal, unit, strict=True))
        numbers: dict[tuple[str, str], int] = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        meanings = [self._meaning(pair) for pair in numbers]
        which = np.fromiter(map(numbers.__getitem__, pairs), np.intp, len(pairs))
        scale = np.array([meaning.scale for meaning in meanings])[which]
        offset = np.array([meaning.offset for meaning in meanings])[which]
        codes = np.array([meaning.code for meaning in meanings], np.uint16)[which]
        try:
            values = np.array(value, dtype=np.str_).astype(np.float64) * scale + offset
        except ValueError:
            values = np.array(list(map(_value, value, codes.tolist(), scale.tolist(), offset.tolist())))
        if not np.isfinite(values).all():
            raise ValueError("not finite")
        return np.fromiter(map(known.__getitem__, patient), np.uint32, len(rows)), codes, _times(time), values

    def _meaning(self, pair: tuple[str, str]) -> _Meaning:
        meaning = self._meanings.get(pair)
        if meaning is None:
            name, unit = pair
            signal = BY_NAME.get(name)
            if signal is None:
                raise ValueError(f"unknown signal {name!r}")
            if not unit and signal.unit_needed:
                raise ValueError(f"{name} needs its unit; one of: {', '.join(examples(signal))}")
            conversion = factor(signal, unit) if unit else (1.0, 0.0)
            if conversion is None:
                raise ValueError(f"{name} has no unit {unit!r}; known: {', '.join(examples(signal))}")
            meaning = self._meanings[pair] = _Meaning(signal.code, *conversion)
        return meaning

    def _blame(self, rows: list[list[str]], line: int) -> None:
        for number, row in enumerate(rows, start=line):
            if not row:
                continue
            if len(row) != len(rows[0]) or len(row) <= max(self._order):
                raise RecordingError(
                    f"{self._name}: line {number}: {len(row)} columns where {len(rows[0])} were expected"
                )
            try:
                self._parse([row])
            except (ValueError, KeyError, IndexError, TypeError) as error:
                fields = dict(zip(COLUMNS, (row[index] for index in self._order), strict=True))
                raise RecordingError(f"{self._name}: line {number}: {_reason(fields, error)}") from error


def _reason(fields: dict[str, str], error: Exception) -> str:
    if not fields["patient"]:
        return "no patient"
    try:
        if not np.isfinite(float(fields["value"])):
            return f"value {fields['value']!r} is not a finite number"
    except ValueError:
        signal = BY_NAME.get(fields["signal"])
        if signal is None or signal.end_of_range(fields["value"]) is None:
            return f"value {fields['value']!r} is not a number"
    said = str(error)
    return f"time {fields['time']!r}: {_TIMES[said]}" if said in _TIMES else said


_TIMES = {
    "time_unreadable": "not ISO 8601, like 2026-01-01T00:00:00Z",
    "time_without_zone": "it has no zone; end it with Z or an offset",
}


def _times(texts: Sequence[str]) -> I8:
    """µs since 1970 of ISO 8601 texts with a zone."""
    return moments.column([text.strip() for text in texts])


def _value(text: str, code: int, scale: float, offset: float) -> float:
    """A number in the signal's own unit, or the value that "LOW" or "HIGH" stands for."""
    word = SIGNALS[code].end_of_range(text)
    return float(text) * scale + offset if word is None else word
