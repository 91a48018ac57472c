"""``bench start``: from the start of the process to the first answered request, with 1,000 patients to restore."""

import shutil
import statistics
from typing import Any

from api.cli.bench.house import House
from api.cli.bench.load import FRAME_TYPE, Ward, post_all, requests
from api.cli.output import say

__all__ = ["run"]


def run(*, quick: bool = False) -> dict[str, Any]:
    """``warm_s``: median of several starts with compiled kernels; ``cold_s``: one start that compiles them first."""
    patients = 50 if quick else 1_000
    with House() as house:
        house.start()
        ward = Ward(patients)
        batches = ward.batches(-(-10 * ward.channels // 1_000), 1_000)
        post_all(house.port, requests(batches, FRAME_TYPE, house.key()), 4)
        house.stop()
        warm = []
        for number in range(2 if quick else 7):
            warm.append(house.start())
            say(f"warm start {number + 1}: {warm[-1]:.2f} s")
            house.stop()
        figures: dict[str, Any] = {"patients": patients, "warm_s": statistics.median(warm), "warm_s_worst": max(warm)}
        if quick:
            return figures
        cache = house.folder / "no-kernels-yet"
        house.environment["NUMBA_CACHE_DIR"] = str(cache)
        figures["cold_s"] = house.start()
        say(f"cold start: {figures['cold_s']:.1f} s")
        house.stop()
        shutil.rmtree(cache)
    return figures
