"""``infra/bench kafka``: readings a second through one worker on a real broker, with twins and checkpoints, and two peers.

The worker starts with a backlog from a door, so that only the worker is measured. It gets frames of ``readings_per_record``.
The peers, on the same broker in the same run, get one JSON record per reading, the obvious first design.
"""

import time
from importlib.util import find_spec
from typing import Any

from api.cli.output import Failure, say
from tests.support.cluster import Cluster, until
from tests.support.load import FRAME_TYPE, SimulatedWard, post_all, requests
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest

__all__ = ["run"]

_PATIENTS = 10_000
_BATCH = 1_000
_NEEDED = ("aiokafka", "faust", "filterpy", "quixstreams")


def run(*, quick: bool = False) -> dict[str, Any]:
    """Readings a second of one worker and its CPU seconds per million; ``outcomes_at_the_door`` went through Kafka and back.

    ``naive_faust_per_s``, ``quix_per_s``: the peers' readings a second, one process each; ``ratio`` is ours divided by theirs.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise Failure(f"bench kafka needs {', '.join(missing)}: pip install 'vitaltwin[bench,distributed]'")
    from tests.bench.peers import kafka as kafka_peers

    with Cluster() as cluster:
        figures = _ours(cluster, 200_000 if quick else 4_000_000)
        for ours in (cluster.door, *cluster.workers):
            ours.stop()
        peers = kafka_peers.measure(cluster.settings, quick=quick)
    speed = {name: peer.pop("readings_per_s") for name, peer in peers.items()}
    figures |= {f"{name}_per_s": value for name, value in speed.items()}
    figures["peers"] = peers
    figures["ratio"] = {name: figures["readings_per_s"] / value for name, value in speed.items()}
    return figures


def _ours(cluster: Cluster, count: int) -> dict[str, Any]:
    service, (worker,) = cluster.door, cluster.workers
    key, ward = service.key(), SimulatedWard(_PATIENTS)
    say("10,000 patients are admitted and known to the worker")
    post_all(service.port, requests(ward.batches(ward.channels // _BATCH, _BATCH), FRAME_TYPE, key), 8)
    until(lambda: _taken(worker) >= ward.channels, 120, "the first readings", [worker])
    time.sleep(6.0)  # every block is in a checkpoint
    worker.stop()
    say(f"{count:,} readings wait in the log")
    for _ in range(count // 500_000 or 1):
        post_all(service.port, requests(ward.batches(min(count, 500_000) // _BATCH, _BATCH), FRAME_TYPE, key), 32)
    heard = _figure(service, "vitaltwin_hub_outcomes_total")
    worker.begin()
    until(lambda: _taken(worker) > 0, 60, "the worker to begin", [worker])
    (first, records), began, cpu = _progress(worker), time.monotonic(), worker.cpu_s()
    (last, passed), ended = (first, records), began
    while last < count and time.monotonic() - began < 120:
        time.sleep(0.02)
        now = _progress(worker)
        if now[0] > last:
            (last, passed), ended = now, time.monotonic()
    if last < count:
        raise Failure(f"only {last} of {count} readings were taken")
    used = worker.cpu_s() - cpu
    moved = last - first
    return {
        "readings_per_s": moved / (ended - began),
        "cpu_s_per_million": used / moved * 1e6,
        "readings": moved,
        "readings_per_record": moved / max(1.0, passed - records),
        "checkpoint_bytes": _figure(worker, "vitaltwin_worker_checkpoint_bytes_total"),
        "outcomes_at_the_door": _figure(service, "vitaltwin_hub_outcomes_total") - heard,
    }


def _taken(worker: ServiceUnderTest) -> float:
    """Readings the worker has processed, with any status."""
    return _progress(worker)[0]


def _progress(worker: ServiceUnderTest) -> tuple[float, float]:
    """Readings the worker has processed and the number of their records, at one moment."""
    try:
        figures = _figures(worker)
    except OSError:
        return 0.0, 0.0
    taken = sum(value for name, value in figures if name.startswith("vitaltwin_readings_total{"))
    return taken, dict(figures).get("vitaltwin_worker_records_total", 0.0)


def _figure(service: ServiceUnderTest, name: str) -> float:
    return dict(_figures(service)).get(name, 0.0)


def _figures(service: ServiceUnderTest) -> list[tuple[str, float]]:
    with RawConnection(service.port, timeout_s=30.0) as wire:
        lines = wire.ask("GET", "/metrics")[1].decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return [(name, float(value)) for name, _, value in pairs]
