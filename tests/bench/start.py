"""``infra/bench start``: from the start of the process to the first answered request, with 1,000 patients to restore."""

import os
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from api.cli.output import say
from tests.support.load import FRAME_TYPE, SimulatedWard, post_all, requests
from tests.support.service import ServiceUnderTest

__all__ = ["run"]


def run(*, quick: bool = False) -> dict[str, Any]:
    """``warm_s``: median of several starts with compiled kernels; ``cold_s``: one start without, which compiles them.

    ``files_cold_s``: median of starts with compiled kernels whose files are no longer in memory; ``files_cold_by`` says
    how they were dropped. ``warm_cpu_s``: CPU seconds of a start, which other work on the machine does not lengthen much.
    ``…first_estimate_s`` ends when a reading posted directly after that has been processed by its twin.
    """
    patients = 50 if quick else 1_000
    with ServiceUnderTest() as service:
        service.start()
        ward = SimulatedWard(patients)
        batches = ward.batches(-(-10 * ward.channels // 1_000), 1_000)
        post_all(service.port, requests(batches, FRAME_TYPE, service.key()), 4)
        service.stop()
        warm = [_started(service, ward, "warm") for _ in range(2 if quick else 9)]
        cpu = _cpu_s(service)
        unread, how = [], ""
        for _ in range(1 if quick else 5):
            how = _forget_files()
            unread.append(_started(service, ward, "files cold"))
        figures: dict[str, Any] = {
            "patients": patients,
            "warm_s": statistics.median(answer for answer, _ in warm),
            "warm_s_worst": max(answer for answer, _ in warm),
            "warm_first_estimate_s": statistics.median(estimate for _, estimate in warm),
            "warm_cpu_s": cpu,
            "files_cold_s": statistics.median(answer for answer, _ in unread),
            "files_cold_s_worst": max(answer for answer, _ in unread),
            "files_cold_by": how,
        }
        if not quick:
            service.environment["NUMBA_CACHE_DIR"] = str(service.folder / "no-kernels-yet")
            figures["cold_s"], figures["cold_first_estimate_s"] = _started(service, ward, "cold")
    return figures


def _cpu_s(service: ServiceUnderTest) -> float:
    """CPU seconds of one start: where other work shares the machine, the time on the wall says little."""
    service.start()
    used = service.cpu_s()
    service.stop()
    return used


def _forget_files() -> str:
    """Have the next start read its files from the disk; says how: the whole machine's cache, or that of the files alone.

    Without the right to drop the cache, a file that another process has mapped stays in memory.
    """
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return "drop_caches"
    for folder in {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])}:
        for file in Path(folder).rglob("*"):
            with suppress(OSError):
                descriptor = os.open(file, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)
    return "fadvise"


def _started(service: ServiceUnderTest, ward: SimulatedWard, name: str) -> tuple[float, float]:
    answer = service.start()
    began = time.monotonic()
    post_all(service.port, requests(ward.batches(1, 1), FRAME_TYPE, service.key()), 1)
    while service.lag():
        time.sleep(0.005)
    estimate = answer + time.monotonic() - began
    say(f"{name} start: {answer:.2f} s to the first answer, {estimate:.2f} s to the first estimate")
    service.stop()
    return answer, estimate
