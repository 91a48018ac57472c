"""Columns as bytes: a header in msgpack, then each column raw and little-endian, padded to eight bytes.

A *lot* holds rows of many patients in order of arrival (level 0). A *chunk* holds rows of one patient sorted by
(signal, time) without doubles (level 1 and up); larger chunks keep each column in the narrowest type that gives every
bit back.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "ESTIMATES", "KINDS", "OBSERVATIONS", "Column", "Kind", "Lot",
    "chunk_bytes", "chunk_rows", "joined", "lot_bytes", "lot_rows", "settle",
]

Column = npt.NDArray[Any]

PACK_ROWS = 512
"""Chunks smaller than this are stored as they are: they are about to be merged."""


class Kind(NamedTuple):
    """A kind of row: every one begins with signal and time."""

    code: int
    dtypes: tuple[str, ...]


OBSERVATIONS = Kind(0, ("<u2", "<i8", "<f8", "|u1"))
"""signal, time, value, status"""
ESTIMATES = Kind(1, ("<u2", "<i8", "<f8", "<f8", "<f4"))
"""signal, time, mean, sd, quality"""
KINDS = (OBSERVATIONS, ESTIMATES)


class Lot(NamedTuple):
    """Rows of many patients in order of arrival; ``patient`` indexes ``patients``, which may name one twice."""

    patients: list[str]
    patient: Column
    columns: tuple[Column, ...]


class _Stored(msgspec.Struct, array_like=True):
    """How a column is stored: value = base + scale · stored; an empty type means that every value is ``base``."""

    dtype: str
    base: int = 0
    scale: int = 1


class _Header(msgspec.Struct, array_like=True):
    version: int
    rows: int
    columns: list[_Stored]
    patients: list[str] = []
    signals: list[int] = []
    starts: list[int] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Header).decode


def lot_bytes(lot: Lot, kind: Kind) -> bytes:
    """The stored form of a lot."""
    dtypes = ("<u4", *kind.dtypes)
    header = _Header(1, len(lot.patient), [_Stored(dtype) for dtype in dtypes], lot.patients)
    columns = (lot.patient, *lot.columns)
    return _join(header, [column.astype(dtype, copy=False) for column, dtype in zip(columns, dtypes, strict=True)])


def lot_rows(body: bytes, patient: str | None = None) -> Lot | None:
    """A stored lot as read-only views; ``None`` at little cost when it holds nothing of ``patient``."""
    length = int.from_bytes(body[:4], "little")
    if patient is not None and body.find(patient.encode(), 4, 4 + length) < 0:
        return None
    header, begin = _head(body)
    columns = _split(header, body, begin, 0, header.rows)
    return Lot(header.patients, columns[0], tuple(columns[1:]))


def chunk_bytes(columns: Sequence[Column]) -> bytes:
    """The stored form of one patient's rows, which ``settle`` has sorted."""
    rows = len(columns[0])
    starts = np.flatnonzero(np.diff(columns[0], prepend=np.int64(-1)))
    signals: list[int] = columns[0][starts].tolist()
    if rows < PACK_ROWS:
        stored, kept = [_Stored(column.dtype.str) for column in columns[1:]], list(columns[1:])
    else:
        packed = [_pack(column) for column in columns[1:]]
        stored, kept = [how for how, _ in packed], [column for _, column in packed]
    return _join(_Header(1, rows, stored, [], signals, starts.tolist()), kept)


def chunk_rows(body: bytes, signal: int | None = None) -> tuple[Column, ...]:
    """A stored chunk's columns, signal first; with ``signal`` only the rows of that one."""
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


def settle(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Rows sorted by (signal, time); of rows with the same identity only the one that came last."""
    signal, time = columns[0], columns[1]
    if len(time) < 2:
        return tuple(columns)
    step, turn = time[1:] > time[:-1], signal[1:] > signal[:-1]
    if bool((turn | (step & (signal[1:] == signal[:-1]))).all()):
        return tuple(columns)
    order = np.lexsort((time, signal))
    signal, time = signal[order], time[order]
    last = np.append((signal[1:] != signal[:-1]) | (time[1:] != time[:-1]), True)
    order = order[last]
    return tuple(column[order] for column in columns)


def _join(header: _Header, columns: Sequence[Column]) -> bytes:
    head = _encode(header)
    parts: list[Any] = [len(head).to_bytes(4, "little"), head, bytes(-(4 + len(head)) % 8)]
    for column in columns:
        parts += (np.ascontiguousarray(column).data, bytes(-column.nbytes % 8))
    return b"".join(parts)


def _head(body: bytes) -> tuple[_Header, int]:
    """The header, and where the first column begins."""
    end = 4 + int.from_bytes(body[:4], "little")
    return _decode(memoryview(body)[4:end]), -(-end // 8) * 8


def _split(header: _Header, body: bytes, begin: int, first: int, last: int) -> list[Column]:
    """Rows ``first:last`` of every column, restored."""
    columns: list[Column] = []
    for how in header.columns:
        if not how.dtype:
            columns.append(np.full(last - first, how.base, "<i8"))
            continue
        dtype = np.dtype(how.dtype)
        column: Column = np.frombuffer(body, dtype, last - first, begin + first * dtype.itemsize)
        begin += -(-header.rows * dtype.itemsize // 8) * 8
        columns.append(column if how.scale == 1 and not how.base else column * np.int64(how.scale) + how.base)
    return columns


def _pack(column: Column) -> tuple[_Stored, Column]:
    return _pack_float(column) if column.dtype.kind == "f" else _pack_int(column)


def _pack_int(column: Column) -> tuple[_Stored, Column]:
    base = int(column.min())
    top = int(column.max())
    if top == base:
        return _Stored("", base), column[:0]
    if column.dtype.itemsize < 8 or top - base >= 1 << 62:
        return _Stored(column.dtype.str), column
    rest = column - base
    scale = next(scale for scale in (1_000_000, 1_000, 1) if not (rest % scale).any())
    rest //= scale
    dtype = next((dtype for dtype in ("<u2", "<u4") if rest.max() <= np.iinfo(dtype).max), "<i8")
    return _Stored(dtype, base, scale), rest.astype(dtype)


def _pack_float(column: Column) -> tuple[_Stored, Column]:
    """The narrowest float that gives back the same bits, NaN included."""
    bits = f"<u{column.dtype.itemsize}"
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for dtype in ("<f2", "<f4"):
            narrow = column.astype(dtype)
            if np.array_equal(narrow.astype(column.dtype).view(bits), column.view(bits)):
                return _Stored(dtype), narrow
    return _Stored(column.dtype.str), column
