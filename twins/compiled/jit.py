"""One typed decorator for every compiled kernel.

Options are fixed here so that all kernels behave alike: cached on disk, without the GIL, with IEEE arithmetic (no
fastmath: NaN means "missing" everywhere) and with numpy's answer to a division by zero (inf or NaN) instead of an
exception.

**What a call costs.** Numba passes an array as seven separate values, and all after the first few go over the stack.
Passing 15 arrays takes longer than most of the work on one reading. So functions called for each reading are inlined
(``forceinline=True``), and for rare work the caller checks first whether a call is needed.

**The read-only trap.** Columns made with ``np.frombuffer`` are read-only, and numba treats that as another type: a
kernel called with both kinds is compiled twice.

**The cache trap.** The cache on disk only notices edits of the kernel's own file. After an edit of a module whose
functions or constants are compiled into a kernel, delete ``__pycache__/*.nbi`` beside the kernel.

With ``NUMBA_DISABLE_JIT=1`` the decorator returns the plain Python function, which is how branches are measured.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.np import linalg

__all__ = ["kernel"]

P = ParamSpec("P")
R = TypeVar("R")


def _import_without_blas() -> None:
    """Import numba's array functions without scipy's BLAS, which they ask for only to know whether it is there.

    It is a tenth of what a start imports, and no kernel here uses it. A kernel that does (a site's model) loads it then.
    """
    ask = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        import numba.np.arraymath  # noqa: F401, PLC0415
    finally:
        linalg.ensure_blas = ask


_import_without_blas()


def kernel(*signatures: str, allocates: bool = False, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: ANN401 (numba's options)
    """Compile a function and keep its Python type.

    Without a signature, it is compiled (or loaded from the cache) for the types of its first call. With a signature,
    that happens on import, and a program that only wants to start has to wait for it. ``options`` are numba's and
    override the defaults. A kernel that ``allocates`` makes arrays of its own. All others run without reference
    counting: an atomic increment for every row took two thirds of the time of the walk over a frame.
    """
    chosen: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "error_model": "numpy"}
    chosen |= {"_nrt": allocates} | options

    def compile_kernel(function: Callable[P, R]) -> Callable[P, R]:
        try:
            return _compiled(function, list(signatures), chosen)
        except RuntimeError:  # numba's word for a cache that has no directory it can write to
            return _compiled(function, list(signatures), chosen | {"cache": False})

    return compile_kernel


def _compiled(function: Callable[P, R], signatures: list[str], chosen: dict[str, Any]) -> Callable[P, R]:
    """A dispatcher that also works when its code cannot be saved, because the disk is full or the directory is gone."""
    made = (numba.njit(signatures, **chosen) if signatures else numba.njit(**chosen))(function)
    cache = getattr(made, "_cache", None)
    if cache is not None and chosen["cache"]:
        keep = cache.save_overload

        def keep_if_possible(signature: object, code: object) -> None:
            with suppress(OSError):
                keep(signature, code)

        cache.save_overload = keep_if_possible
    return cast("Callable[P, R]", made)
