"""Columns as bytes: a header in msgpack, then each column little-endian, padded to eight bytes.

A *segment* has rows of many patients in order of arrival (level 0); the names of its patients are stored beside it. A
*chunk* has rows of one patient sorted by (signal, time) without duplicates (level 1 and up).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.history.base import BESIDE, KEPT_HORIZONS_MIN, KEPT_QUANTILES
from streams.history.packing import Column, Stored, pack, unpack
from twins.arrays import F4, U4
from twins.records import Status

__all__ = [
    "ESTIMATES",
    "FORECASTS",
    "KINDS",
    "OBSERVATIONS",
    "Column",
    "Kind",
    "Runs",
    "Segment",
    "chunk_bytes",
    "chunk_rows",
    "joined",
    "quantile_columns",
    "quantiles_of",
    "runs_of",
    "segment_bytes",
    "segment_of",
    "segment_rows",
    "settle",
    "standing",
]  # fmt: skip

PACK_ROWS = 512
"""Chunks smaller than this are stored as they are: they are about to be merged."""


class Kind(NamedTuple):
    """A kind of row; every kind begins with signal and time."""

    code: int
    dtypes: tuple[str, ...]


OBSERVATIONS = Kind(0, ("<u2", "<i8", "<f8", "|u1"))
"""signal, time, value, status"""
ESTIMATES = Kind(1, ("<u2", "<i8", "<f8", "<f8", "<f4"))
"""signal, time, mean, sd, quality"""
FORECASTS = Kind(2, ("<u2", "<i8", *["<f4"] * (len(KEPT_HORIZONS_MIN) * len(KEPT_QUANTILES))))
"""signal, time made, quantiles of the first horizon, of the second, and so on"""
KINDS = (OBSERVATIONS, ESTIMATES, FORECASTS)


class Segment(NamedTuple):
    """Rows of many patients in order of arrival; ``patient`` indexes ``patients``, which may name one twice."""

    patients: list[str]
    patient: Column
    columns: tuple[Column, ...]


class Runs(NamedTuple):
    """The signals of a chunk, in order, and the row where each begins."""

    signals: list[int]
    starts: list[int]


class _Header(msgspec.Struct, array_like=True):
    version: int
    rows: int
    columns: list[Stored]
    signals: list[int] = []
    starts: list[int] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Header).decode
_names = msgspec.msgpack.Decoder(list[str]).decode


def segment_of(patients: Sequence[str], patient: U4, columns: tuple[Column, ...]) -> Segment:
    """Columns as a segment; raises ValueError if they cannot be stored and read again."""
    if any(len(column) != len(patient) for column in columns):
        raise ValueError("columns of unequal length")
    if len(patient) and int(patient.max()) >= len(patients):
        raise ValueError("a row of a patient who is not listed")
    return Segment(patients if isinstance(patients, list) else list(patients), patient, columns)


def quantile_columns(quantiles: F4) -> tuple[Column, ...]:
    """Quantiles by (row, horizon, quantile) as the columns of ``FORECASTS`` behind its time."""
    width = len(KEPT_HORIZONS_MIN) * len(KEPT_QUANTILES)
    return tuple(np.ascontiguousarray(quantiles.reshape(len(quantiles), width).T))


def quantiles_of(columns: Sequence[Column]) -> F4:
    """The inverse of ``quantile_columns``."""
    shape = (len(columns[0]), len(KEPT_HORIZONS_MIN), len(KEPT_QUANTILES))
    return np.stack(columns, axis=1).astype(np.float32, copy=False).reshape(shape)


def segment_bytes(segments: Sequence[Segment], kind: Kind) -> tuple[bytes, bytearray]:
    """Several segments stored as one: the patients' names, and the rows. A list shared by several segments is stored once."""
    names: list[str] = []
    begins: dict[int, int] = {}
    for segment in segments:
        if id(segment.patients) not in begins:
            begins[id(segment.patients)] = len(names)
            names += segment.patients
    rows = sum(len(segment.patient) for segment in segments)
    dtypes = [np.dtype(dtype) for dtype in ("<u4", *kind.dtypes)]
    head = _framed(_Header(1, rows, [Stored(dtype.str) for dtype in dtypes]))
    body = bytearray(len(head) + sum(_padded(rows * dtype.itemsize) for dtype in dtypes))
    body[: len(head)] = head
    begin, at = len(head), 0
    places = np.frombuffer(body, "<u4", rows, begin)
    for segment in segments:
        np.add(segment.patient, np.uint32(begins[id(segment.patients)]), out=places[at : at + len(segment.patient)])
        at += len(segment.patient)
    for number, dtype in enumerate(dtypes[1:]):
        begin += _padded(rows * dtypes[number].itemsize)
        place = np.frombuffer(body, dtype, rows, begin)
        np.concatenate([segment.columns[number] for segment in segments], out=place, casting="unsafe")
    return _encode(names), body


def segment_rows(names: bytes, body: bytes) -> Segment:
    """A stored segment as read-only views."""
    header, begin = _head(body)
    columns = _split(header, body, begin, 0, header.rows)
    return Segment(_names(names), columns[0], tuple(columns[1:]))


def chunk_bytes(columns: Sequence[Column], runs: Runs) -> bytes:
    """The stored form of one patient's settled rows."""
    rows = len(columns[0])
    if rows < PACK_ROWS:
        stored, kept = [Stored(column.dtype.str) for column in columns[1:]], list(columns[1:])
    else:
        packed = [pack(column) for column in columns[1:]]
        stored, kept = [how for how, _ in packed], [column for _, column in packed]
    parts: list[Any] = [_framed(_Header(1, rows, stored, *runs))]
    for column in kept:
        parts.append(column.tobytes())
        if column.nbytes % 8:
            parts.append(bytes(-column.nbytes % 8))
    return b"".join(parts)


def chunk_rows(body: bytes, signal: int | None = None) -> tuple[Column, ...]:
    """A stored chunk's columns, signal first; with ``signal`` only the rows of that signal."""
    header, begin = _head(body)
    if signal is None:
        counts = np.diff(np.asarray([*header.starts, header.rows]))
        signals = np.repeat(np.asarray(header.signals, "<u2"), counts)
        return (signals, *_split(header, body, begin, 0, header.rows))
    if signal not in header.signals:
        return (np.empty(0, "<u2"), *_split(header, body, begin, 0, 0))
    place = header.signals.index(signal)
    first, last = [*header.starts, header.rows][place : place + 2]
    return (np.full(last - first, signal, "<u2"), *_split(header, body, begin, first, last))


def joined(kind: Kind, parts: Sequence[Sequence[Column]]) -> tuple[Column, ...]:
    """Several runs of rows one after the other, each column in its own type."""
    if not parts:
        return tuple(np.empty(0, dtype) for dtype in kind.dtypes)
    return tuple(
        np.concatenate(columns, dtype=dtype, casting="unsafe")
        for columns, dtype in zip(zip(*parts, strict=True), kind.dtypes, strict=True)
    )


def settle(kind: Kind, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Rows sorted by (signal, time); of rows with the same identity the last one, of readings every one that differs.

    So the originals of corrected readings stay; ``standing`` picks the one that counts.
    """
    signal, time = columns[0], columns[1]
    if len(time) < 2:
        return tuple(columns)
    step, turn = time[1:] > time[:-1], signal[1:] > signal[:-1]
    if bool((turn | (step & (signal[1:] == signal[:-1]))).all()):
        return tuple(columns)
    order = np.lexsort((time, signal))
    signal, time = signal[order], time[order]
    last = np.append((signal[1:] != signal[:-1]) | (time[1:] != time[:-1]), True)
    if kind is OBSERVATIONS:
        value, status = columns[2][order].astype("<f8").view("<i8"), columns[3][order]
        last[:-1] |= (value[1:] != value[:-1]) | (status[1:] != status[:-1])
    order = order[last]
    return tuple(column[order] for column in columns)


def standing(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The settled reading that counts at each moment: the last that may replace others, unless it is a retraction mark."""
    signal, time, _, status = columns
    beside = np.isin(status, BESIDE)
    same = (signal[1:] == signal[:-1]) & (time[1:] == time[:-1])
    if same.any():
        turn = np.append(True, ~same)
        # Within a moment: first statuses of BESIDE, then the others, each in order of arrival. The last one counts.
        order = np.lexsort((~beside, np.cumsum(turn)))
        columns = tuple(column[order] for column in columns)
        last = np.append(~same, True)
        columns = tuple(column[last] for column in columns)
    kept = columns[3] != Status.RETRACTED
    return columns if kept.all() else tuple(column[kept] for column in columns)


def runs_of(signal: Column) -> Runs:
    """The row at which each signal of settled rows begins."""
    starts = np.flatnonzero(signal[1:] != signal[:-1]) + 1
    firsts = [0, *starts.tolist()]
    return Runs(signal[firsts].tolist(), firsts)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def _framed(header: _Header) -> bytes:
    head = _encode(header)
    return len(head).to_bytes(4, "little") + head + bytes(-(4 + len(head)) % 8)


def _head(body: bytes) -> tuple[_Header, int]:
    """The header, and where the first column begins."""
    end = 4 + int.from_bytes(body[:4], "little")
    return _decode(memoryview(body)[4:end]), _padded(end)


def _split(header: _Header, body: bytes, begin: int, first: int, last: int) -> list[Column]:
    """Rows ``first:last`` of every column, restored."""
    columns: list[Column] = []
    for how in header.columns:
        if how.dtype:
            size = np.dtype(how.dtype).itemsize
            kept = np.frombuffer(body, how.dtype, last - first, begin + first * size)
            columns.append(unpack(how, kept))
            begin += _padded(header.rows * size)
        else:
            columns.append(np.full(last - first, how.base, "<i8"))
    return columns
