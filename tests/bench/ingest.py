"""``infra/bench ingest``: readings a second through the HTTP door of a running service, durable and processed by twins."""

import importlib.util
import time
from collections import Counter
from typing import Any

from api.cli.output import Failure, say
from tests.support.load import FRAME_TYPE, JSON_TYPE, SimulatedWard, post_all, requests
from tests.support.service import ServiceUnderTest

__all__ = ["run"]

_BATCH = 1_000
_CONNECTIONS = 64


def run(*, quick: bool = False) -> dict[str, Any]:
    """Frames and JSON of 1,000 readings over 10,000 patients × 5 signals; the naive peer over 200 × 5, in one run.

    The clock stops when the last reading is durable, answered, and processed by its twin. ``cpu_s_per_million`` is that of
    the server only.
    """
    if importlib.util.find_spec("filterpy") is None:
        raise Failure("bench ingest measures against filterpy; install it with: pip install 'vitaltwin[bench]'")
    patients = 500 if quick else 10_000
    figures: dict[str, Any] = {"patients": patients, "readings_a_request": _BATCH, "connections": _CONNECTIONS}
    with ServiceUnderTest() as service:
        service.start()
        key = service.key()
        ward = SimulatedWard(patients)
        # Every patient and channel exists before the clock starts.
        _measure(service, ward, key, FRAME_TYPE, -(-ward.channels // _BATCH))
        figures["frame"] = _measure(service, ward, key, FRAME_TYPE, 30 if quick else 6_000)
        figures["json"] = _measure(service, ward, key, JSON_TYPE, 20 if quick else 2_000)
    with ServiceUnderTest(command=("-m", "tests.bench.peers.naive")) as service:
        service.start()
        ward = SimulatedWard(200)
        _measure(service, ward, "", JSON_TYPE, 1, twins=False)
        figures["naive"] = _measure(service, ward, "", JSON_TYPE, 2 if quick else 40, twins=False)
    naive = figures["naive"]["readings_per_s"]
    figures["ratio"] = {kind: figures[kind]["readings_per_s"] / naive for kind in ("frame", "json")}
    return figures


def _measure(
    service: ServiceUnderTest, ward: SimulatedWard, key: str, kind: str, batches: int, *, twins: bool = True
) -> dict[str, float]:
    say(f"{batches} × {_BATCH} readings as {kind}")
    prepared = requests(ward.batches(batches, _BATCH), kind, key)
    answers: Counter[int] = Counter()
    cpu_before = service.cpu_s()
    began = time.monotonic()
    post_all(service.port, prepared, _CONNECTIONS, lambda _, status: answers.update([status]))
    if set(answers) != {200}:
        raise Failure(f"not every request was taken: {dict(answers)}")
    while twins and service.lag():
        time.sleep(0.01)
    elapsed = time.monotonic() - began
    readings = batches * _BATCH
    cpu_s = service.cpu_s() - cpu_before
    return {"readings": readings, "readings_per_s": readings / elapsed, "cpu_s_per_million": 1e6 * cpu_s / readings}
