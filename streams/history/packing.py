"""Store a column in the narrowest type from which every bit can be restored.

Most times are whole milliseconds or seconds within a few hours, and most values are whole numbers or tenths, a device's
step. So two or four bytes are enough instead of eight, and packing is much faster than the disk.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Stored", "coarse", "pack", "unpack"]

Column = npt.NDArray[Any]

_SCALES = (1_000_000, 1_000)
_DIVISORS = (10, 100)


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """How a column is stored: value = (base + scale · stored) / divisor; without a type every value is ``base``."""

    dtype: str
    base: int = 0
    scale: int = 1
    divisor: int = 1


def pack(column: Column) -> tuple[Stored, Column]:
    """How to store a column of one row or more, and the stored numbers.

    >>> how, kept = pack(np.array([36.6, 37.1, 36.9]))
    >>> how.dtype, kept.tolist(), unpack(how, kept).tolist()
    ('<i2', [366, 371, 369], [36.6, 37.1, 36.9])
    """
    return _pack_float(column) if column.dtype.kind == "f" else _pack_int(column)


def unpack(how: Stored, kept: Column) -> Column:
    """The values of a stored column; their type may differ from the packed column's."""
    if how.scale != 1 or how.base:
        kept = kept * np.int64(how.scale)
        kept += how.base
    return kept if how.divisor == 1 else kept / how.divisor


def coarse(values: Column, bits: int) -> npt.NDArray[np.float64]:
    """Each number rounded to ``bits`` binary digits after its first one, so with a relative error up to 2⁻⁽ᵇⁱᵗˢ⁺¹⁾.

    Computed numbers use all bits; the meaningless last ones cannot be compressed, neither here nor by InfluxDB.

    >>> coarse(np.array([78.123456, 0.1, np.nan]), 10).tolist()
    [78.125, 0.0999755859375, nan]
    """
    dropped = np.uint64(52 - bits)
    whole = np.asarray(values, "<f8", copy=True)
    patterns = whole.view("<u8")
    patterns += np.uint64(1) << (dropped - np.uint64(1))
    patterns >>= dropped
    patterns <<= dropped
    return np.where(np.isfinite(values), whole, values)


def _pack_int(column: Column) -> tuple[Stored, Column]:
    base, top = int(column.min()), int(column.max())
    if top == base:
        return Stored("", base), column[:0]
    if column.dtype.itemsize < 8 or top - base >= 1 << 62:
        return Stored(column.dtype.str), column
    rest = column - base
    scale = next((scale for scale in _SCALES if not (rest % scale).any()), 1)
    rest //= scale
    highest = (top - base) // scale
    dtype = "<u2" if highest < 1 << 16 else "<u4" if highest < 1 << 32 else "<i8"
    return Stored(dtype, base, scale), rest.astype(dtype)


def _pack_float(column: Column) -> tuple[Stored, Column]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = column.astype("<f2")
        if _same(narrow.astype(column.dtype), column):
            return Stored("<f2"), narrow
        if column.dtype.itemsize == 8 and (found := _pack_decimal(column)):
            return found
        narrow = column.astype("<f4")
        if _same(narrow.astype(column.dtype), column):
            return Stored("<f4"), narrow
    return Stored(column.dtype.str), column


def _pack_decimal(column: Column) -> tuple[Stored, Column] | None:
    """Tenths or hundredths as whole numbers."""
    for divisor in _DIVISORS:
        whole = np.rint(column * divisor)
        highest = float(np.abs(whole).max())
        if highest < 1 << 31 and _same(whole.astype("<i4") / divisor, column):
            dtype = "<i2" if highest < 1 << 15 else "<i4"
            return Stored(dtype, divisor=divisor), whole.astype(dtype)
    return None


def _same(one: Column, other: Column) -> bool:
    """Whether two float columns agree bit for bit, NaN and the sign of zero included."""
    bits = f"<u{other.dtype.itemsize}"
    return bool((one.view(bits) == other.view(bits)).all())
