"""``infra/bench start``: from the start of the process to the first answered request, with 1,000 patients to restore."""

import statistics
import time
from typing import Any

from api.cli.output import say
from tests.support.load import FRAME_TYPE, SimulatedWard, post_all, requests
from tests.support.service import ServiceUnderTest

__all__ = ["run"]


def run(*, quick: bool = False) -> dict[str, Any]:
    """``warm_s``: median of several starts with compiled kernels; ``cold_s``: one start without, which compiles them.

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
        figures: dict[str, Any] = {
            "patients": patients,
            "warm_s": statistics.median(answer for answer, _ in warm),
            "warm_s_worst": max(answer for answer, _ in warm),
            "warm_first_estimate_s": statistics.median(estimate for _, estimate in warm),
        }
        if not quick:
            service.environment["NUMBA_CACHE_DIR"] = str(service.folder / "no-kernels-yet")
            figures["cold_s"], figures["cold_first_estimate_s"] = _started(service, ward, "cold")
    return figures


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
