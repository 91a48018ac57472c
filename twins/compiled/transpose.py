"""Transpose eight rows of a table into eight columns and back, so that one instruction works on eight rows.

Works with loads, shuffles and stores of whole vectors: two dozen shuffles transpose eight by eight numbers. Moving the
numbers one by one takes longer than the arithmetic on them. On a machine with narrower vectors the compiler splits
each vector into halves or quarters.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import cgutils
from numba.extending import intrinsic

from twins.arrays import F8, I8

__all__ = ["LANES", "WIDE", "columns_of", "distinct", "rows_of"]

WIDE = 8
LANES = 2 * WIDE
"""Rows laid out side by side: two vectors, so that the processor works on one while the other waits."""

Rows = npt.NDArray[np.int64] | npt.NDArray[np.uint16]

_ALIGNED = 8
"""Bytes: rows are not aligned to more than this."""
_LLVM: Any = cgutils
_CONFIG: Any = numba.config
_UNPACKED = (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)
_PAIRED = (0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15)


def _columns_of(table: F8, rows: Rows, k: int, first: int, lanes: F8, at: int) -> None:
    """Write fields ``first`` to ``first + 7`` of the eight ``rows`` from place ``k`` to ``lanes``, a field a column.

    Columns lie ``LANES`` apart, the first at ``at``. ``rows`` are not negative.
    """
    for lane in range(WIDE):
        for field in range(WIDE):
            lanes[at + LANES * field + lane] = table[rows[k + lane], first + field]


def _rows_of(table: F8, rows: Rows, k: int, first: int, lanes: F8, at: int) -> None:
    """The inverse of ``columns_of``; ``rows`` are all different."""
    for lane in range(WIDE):
        for field in range(WIDE):
            table[rows[k + lane], first + field] = lanes[at + LANES * field + lane]


def _distinct(rows: I8, k: int) -> bool:
    """Whether the eight ``rows`` from place ``k`` are not negative and each differs from the 15 after it; reads 23."""
    own = rows[k : k + WIDE]
    return bool((own >= 0).all()) and not any((own == rows[k + off : k + off + WIDE]).any() for off in range(1, LANES))


def _turned(builder: Any, vectors: list[Any]) -> list[Any]:  # noqa: ANN401 - numba's objects have no types
    """The transpose of eight vectors of eight, in three rounds of shuffles; each is a single processor instruction."""
    ir = _LLVM.ir
    chosen = ir.VectorType(_LLVM.int32_t, WIDE)

    def pick(one: Any, other: Any, places: tuple[int, ...]) -> Any:  # noqa: ANN401
        return builder.shuffle_vector(one, other, ir.Constant(chosen, list(places)))

    # Round 1 makes pairs of rows 2i and 2i + 1, for columns 0, 2, 4, 6 (or 1, 3, 5, 7). Rounds 2 and 3 join the pairs.
    columns: list[Any] = [None] * WIDE
    for odd, places in enumerate(_UNPACKED):
        pairs = [pick(vectors[2 * i], vectors[2 * i + 1], places) for i in range(4)]
        for half, apart in enumerate(_PAIRED):
            upper, lower = pick(pairs[0], pairs[1], apart), pick(pairs[2], pairs[3], apart)
            for quarter, together in enumerate(_PAIRED):
                columns[odd + 2 * half + 4 * quarter] = pick(upper, lower, together)
    return columns


def _whole(*arrays: Any) -> None:  # noqa: ANN401
    """Refuse arrays that are not contiguous: vectors are read from consecutive memory."""
    if any(array.layout != "C" for array in arrays):
        raise numba.TypingError("vector loads need contiguous tables and columns")


def _typed(way_in: bool) -> Callable[..., Any]:  # noqa: FBT001 - which of two
    def typed(_: Any, table: Any, rows: Any, k: Any, first: Any, lanes: Any, at: Any) -> Any:  # noqa: ANN401
        _whole(table, rows, lanes)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            ir = _LLVM.ir
            one, vector, word = ir.DoubleType(), ir.VectorType(ir.DoubleType(), WIDE), numba.types.intp
            held, named, laid = (
                _LLVM.create_struct_proxy(signature.args[i])(context, builder, arguments[i]) for i in (0, 1, 4)
            )
            begin, left, start = (context.cast(builder, arguments[i], signature.args[i], word) for i in (2, 3, 5))
            stride = builder.extract_value(held.strides, 0)

            def own(lane: int) -> Any:  # noqa: ANN401
                row = builder.load(builder.gep(named.data, [builder.add(begin, context.get_constant(word, lane))]))
                offset = builder.mul(context.cast(builder, row, rows.dtype, word), stride)
                line = builder.gep(builder.bitcast(held.data, _LLVM.voidptr_t), [offset])
                return builder.bitcast(
                    builder.gep(builder.bitcast(line, one.as_pointer()), [left]), vector.as_pointer()
                )

            def column(field: int) -> Any:  # noqa: ANN401
                place = builder.add(start, context.get_constant(word, LANES * field))
                return builder.bitcast(builder.gep(laid.data, [place]), vector.as_pointer())

            source, target = (own, column) if way_in else (column, own)
            read = [builder.load(source(i), align=_ALIGNED) for i in range(WIDE)]
            for i, turned in enumerate(_turned(builder, read)):
                builder.store(turned, target(i), align=_ALIGNED)
            return context.get_dummy_value()

        return numba.types.void(table, rows, k, first, lanes, at), generate

    return typed


def _compared(_: Any, rows: Any, k: Any) -> Any:  # noqa: ANN401
    _whole(rows)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        ir = _LLVM.ir
        vector, bits, word = ir.VectorType(ir.IntType(64), WIDE), ir.IntType(WIDE), numba.types.intp
        held = _LLVM.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        begin = context.cast(builder, arguments[1], k, word)

        def after(off: int) -> Any:  # noqa: ANN401
            at = builder.gep(held.data, [builder.add(begin, context.get_constant(word, off))])
            return builder.load(builder.bitcast(at, vector.as_pointer()), align=_ALIGNED)

        own = after(0)
        found = builder.icmp_signed("<", own, ir.Constant(vector, [0] * WIDE))
        for off in range(1, LANES):
            found = builder.or_(found, builder.icmp_signed("==", own, after(off)))
        return builder.icmp_signed("==", builder.bitcast(found, bits), ir.Constant(bits, 0))

    return numba.types.boolean(rows, k), generate


# Without compilation, which is how branches are measured, the plain functions do the same.
_Turn = Callable[[F8, Rows, int, int, F8, int], None]
distinct = cast("Callable[[I8, int], bool]", _distinct if _CONFIG.DISABLE_JIT else intrinsic(_compared))
columns_of = cast("_Turn", _columns_of if _CONFIG.DISABLE_JIT else intrinsic(_typed(way_in=True)))
rows_of = cast("_Turn", _rows_of if _CONFIG.DISABLE_JIT else intrinsic(_typed(way_in=False)))
