"""Rows that lie on cache lines, and asking for one before it is needed: memory answers while others are worked on.

Over a million rows in random order a walk waits for memory most of its time: 200 ns a reading as against 30 with both.
Either alone helps little: a row that straddles one line more than it fills is waited for all the same. Asked for into the
second cache, a row takes 5 ns of such a walk that does nothing else, into the first, or to be written, 15: the first
can wait for few lines at once.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["AHEAD", "aligned", "prefetch"]

AHEAD = 24
"""Rows between the one asked for and the one worked on."""

_LINE = 64
_ROW_LINES = 2
_LLVM: Any = cgutils
_CONFIG: Any = numba.config
_FOR_READING, _IN_SECOND_CACHE, _DATA = 0, 2, 1


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Zeros that begin on a cache line of 64 bytes, or a pair of them; memory is claimed when first written.

    >>> aligned((3, 16)).ctypes.data % 128
    0
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + _ROW_LINES * _LINE, np.uint8)
    begin = -raw.ctypes.data % (_ROW_LINES * _LINE)
    return raw[begin : begin + size].view(dtype).reshape(shape)


def _prefetch(array: npt.NDArray[Any], row: int) -> None:
    """Ask for the first two cache lines of ``array[row]``; ``row`` is looked at by nobody."""


def _typed(_: Any, array: Any, row: Any) -> Any:  # noqa: ANN401 - numba's objects have no types
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        held = _LLVM.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        at = context.cast(builder, arguments[1], row, numba.types.intp)
        start = builder.mul(at, builder.extract_value(held.strides, 0))
        first = builder.gep(builder.bitcast(held.data, _LLVM.voidptr_t), [start])
        word = _LLVM.int32_t
        kind = _LLVM.ir.FunctionType(_LLVM.ir.VoidType(), [_LLVM.voidptr_t, word, word, word])
        ask = _LLVM.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for line in range(_ROW_LINES):
            place = builder.gep(first, [context.get_constant(numba.types.intp, line * _LINE)])
            builder.call(ask, [place, word(_FOR_READING), word(_IN_SECOND_CACHE), word(_DATA)])
        return context.get_dummy_value()

    return numba.types.void(array, row), generate


# Without compilation, which is how branches are measured, there is nothing to ask.
prefetch = cast("Callable[[npt.NDArray[Any], int], None]", _prefetch if _CONFIG.DISABLE_JIT else intrinsic(_typed))
