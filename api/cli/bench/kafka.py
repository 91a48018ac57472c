"""``bench kafka``: readings a second through one worker on a real broker, twins and checkpoints on, beside two peers.

The worker starts behind a backlog that a door took, so that it is the worker that is measured. The peers get one JSON record a
reading, as one would begin: a Faust agent with filterpy in a table, and Quix Streams with filterpy in its state.
"""

import asyncio
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from api.cli.bench.cluster import Cluster, until
from api.cli.bench.house import House
from api.cli.bench.load import FRAME_TYPE, Ward, post_all, requests
from api.cli.bench.wire import Wire
from api.cli.output import Failure, say
from streams.kafka.connect import options, producer
from streams.settings import Settings
from twins.records import Columns
from twins.signals import SIGNALS

__all__ = ["run"]

_PATIENTS = 10_000
_BATCH = 1_000


def run(*, quick: bool = False) -> dict[str, Any]:
    """Readings a second of one worker, its CPU seconds per million readings, those of the peers, and the ratios.

    ``outcomes_at_the_door``: what went through Kafka and back meanwhile.
    """
    if any(find_spec(name) is None for name in ("filterpy", "quixstreams")):
        raise Failure(
            "bench kafka measures against filterpy and Quix Streams: pip install 'vitaltwin[bench,distributed]'"
        )
    with Cluster() as cluster:
        figures = _ours(cluster, 200_000 if quick else 4_000_000)
        settings = cluster.settings
        count = 2_000 if quick else 20_000
        ward = Ward(1_000)
        asyncio.run(_fill(settings, "naive", ward.batches(count * 4 // 1_000, 1_000)))
        for worker in cluster.workers:
            worker.stop()
        say("a Faust agent with filterpy in a table, one JSON record a reading")
        figures["naive_faust_per_s"] = count / _peer("naive_faust", settings, "naive", count)
        say("Quix Streams with filterpy in its state, one JSON record a reading")
        figures["quix_per_s"] = 4 * count / _peer("naive_quix", settings, "naive", 4 * count)
    figures["ratio"] = {
        "naive_faust": figures["readings_per_s"] / figures["naive_faust_per_s"],
        "quix": figures["readings_per_s"] / figures["quix_per_s"],
    }
    return figures


def _ours(cluster: Cluster, count: int) -> dict[str, Any]:
    house, (worker,) = cluster.house, cluster.workers
    key, ward = house.key(), Ward(_PATIENTS)
    say("10,000 patients are admitted and known to the worker")
    post_all(house.port, requests(ward.batches(ward.channels // _BATCH, _BATCH), FRAME_TYPE, key), 8)
    until(lambda: _taken(worker) >= ward.channels, 120, "the first readings", [worker])
    time.sleep(6.0)  # every block is in a checkpoint
    worker.stop()
    say(f"{count:,} readings wait in the log")
    for _ in range(count // 500_000 or 1):
        post_all(house.port, requests(ward.batches(min(count, 500_000) // _BATCH, _BATCH), FRAME_TYPE, key), 32)
    heard = _figure(house, "vitaltwin_hub_outcomes")
    worker.begin()
    until(lambda: _taken(worker) > 0, 60, "the worker to begin", [worker])
    first, began, cpu = _taken(worker), time.monotonic(), worker.cpu_s()
    records = _figure(worker, "vitaltwin_worker_records_total")
    last, ended = first, began
    while last < count and time.monotonic() - began < 120:
        time.sleep(0.02)
        now = _taken(worker)
        if now > last:
            last, ended = now, time.monotonic()
    if last < count:
        raise Failure(f"only {last} of {count} readings were taken")
    used = worker.cpu_s() - cpu
    moved = last - first
    return {
        "readings_per_s": moved / (ended - began),
        "cpu_s_per_million": used / moved * 1e6,
        "readings": moved,
        "readings_per_record": moved / max(1.0, _figure(worker, "vitaltwin_worker_records_total") - records),
        "checkpoint_bytes": _figure(worker, "vitaltwin_worker_checkpoint_bytes_total"),
        "outcomes_at_the_door": _figure(house, "vitaltwin_hub_outcomes") - heard,
    }


def _taken(worker: House) -> float:
    """Readings the worker has taken, whatever became of them."""
    try:
        return sum(value for name, value in _figures(worker) if name.startswith("vitaltwin_readings_total{"))
    except OSError:
        return 0.0


def _figure(house: House, name: str) -> float:
    return dict(_figures(house)).get(name, 0.0)


def _figures(house: House) -> list[tuple[str, float]]:
    with Wire(house.port, timeout_s=30.0) as wire:
        lines = wire.ask("GET", "/metrics")[1].decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return [(name, float(value)) for name, _, value in pairs]


async def _fill(settings: Settings, topic: str, batches: list[Columns]) -> None:
    """One JSON record a reading, keyed by patient."""
    client = AIOKafkaAdminClient(**options(settings))
    await client.start()
    await client.create_topics([NewTopic(topic, settings.kafka_partitions, 1)])
    await client.close()
    out = producer(settings)
    await out.start()
    for columns in batches:
        for patient, signal, moment, value in zip(
            columns.patient.tolist(),
            columns.signal.tolist(),
            columns.time.tolist(),
            columns.value.tolist(),
            strict=True,
        ):
            name = columns.patients[patient]
            one = {"patient": name, "signal": SIGNALS[signal].name, "time": moment / 1e6, "value": value}
            await out.send(topic, msgspec.json.encode(one), key=name.encode())
    await out.stop()


def _peer(name: str, settings: Settings, topic: str, count: int) -> float:
    """Seconds a peer took from its first to its last record."""
    program = Path(__file__).with_name(f"{name}.py")
    given = [settings.kafka_servers, topic, str(settings.kafka_partitions), str(count)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin", "HOME": "/tmp"}  # noqa: S108
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(program), *given],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        raise Failure(f"{name} ended without a figure: {ran.stderr[-1500:]}")
    return float(json.loads(lines[-1])["seconds"])
