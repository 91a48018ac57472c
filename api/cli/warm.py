"""``vitaltwin warm``: compiles the kernels now instead of at the first start."""

import os
import time
from typing import Annotated

import typer

from api.cli.output import failures, print_json, progress, say

__all__ = ["warm"]


def warm(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compile the numerical kernels, unless they are compiled already. Needed once per version."""
    started = time.monotonic()
    names = []
    with failures(), progress() as bars:
        task = bars.add_task("loading the compiler", total=None)
        from twins.warm_up import warm as kernels

        for name in kernels():
            names.append(name)
            bars.update(task, description=f"compiled {name}")
    seconds = time.monotonic() - started
    if as_json:
        print_json({"kernels": names, "seconds": seconds, "cache": os.environ.get("NUMBA_CACHE_DIR")})
    else:
        say(f"{len(names)} kernels ready in {seconds:.1f} s")
