"""``infra/bench restore``: a cold start of one distributed worker with checkpoints of 100,000 patients in Kafka."""

import asyncio
import json
import statistics
import time
from typing import Any

import aiokafka
import msgspec

from api.cli.output import Failure, say
from streams.history.nothing import NoHistory
from streams.kafka.topics import Topics
from streams.kafka.worker import checkpoints, log_reader
from streams.settings import Settings
from streams.worker.worker import Worker
from tests.support.cluster import Cluster, figure, until
from tests.support.load import COURSE, FRAME_TYPE, SimulatedWard, post_all, requests
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest

__all__ = ["run"]

_PARTITIONS = 32
_BATCH = 5_000
_WITHIN_S = 180.0


class _Covered(msgspec.Struct):
    covered: int


def run(*, quick: bool = False, runs: int = 0) -> dict[str, Any]:
    """Patients with six vital signs in 32 partitions; a start is timed from the beginning of the process until it is ready.

    ``restore_s`` is the time from the assignment until the last partition is restored; ``read_s`` and ``assign_s`` are its two
    halves, measured alone in the benchmark's process. ``records_behind``: records after the checkpoints, which are read again.
    """
    patients = 2_000 if quick else 100_000
    # Nothing is sent between the starts: without ticks no sensor counts as silent meanwhile.
    with Cluster(kafka_partitions=str(_PARTITIONS), tick_seconds="86400") as cluster:
        (worker,), settings = cluster.workers, cluster.settings
        _fill(cluster, patients)
        starts = []
        for number in range(runs or (1 if quick else 3)):
            worker.stop()
            begin = asyncio.run(_kept(settings))
            starts.append(_start(worker) | begin)
            say(f"start {number + 1}: {json.dumps(starts[-1])}")
            if figure(worker, "vitaltwin_patients") != patients:
                raise Failure("not every patient was restored")
            time.sleep(1.0)
        return {"patients": patients, "channels": patients * 6, "starts": len(starts)} | {
            name: {"p50": statistics.median(one[name] for one in starts), "max": max(one[name] for one in starts)}
            for name in starts[0]
        }


def _fill(cluster: Cluster, patients: int) -> None:
    """Admit all patients, send two rounds of readings, and wait until checkpoints cover them."""
    (worker,), settings = cluster.workers, cluster.settings
    ward = SimulatedWard(patients, course=COURSE | {"diastolic_bp": (76.0, 3.0)})
    for round_ in range(2):
        say(f"round {round_ + 1} of the readings of {patients:,} patients")
        batches = ward.batches(-(-ward.channels // _BATCH), min(_BATCH, ward.channels))
        post_all(cluster.door.port, requests(batches, FRAME_TYPE, cluster.door.key()), 4)
    topic, partitions = Topics.of(settings).inputs, range(_PARTITIONS)
    ends = asyncio.run(log_reader.ends(settings, topic, partitions))

    def covered() -> bool:
        found = asyncio.run(_covered(settings))
        return all(found[partition] >= ends[partition] - 1 for partition in partitions)

    say(f"checkpoints cover them after {until(covered, _WITHIN_S, 'the checkpoints', [worker]):.1f} s")


async def _covered(settings: Settings) -> dict[int, int]:
    """The offset up to which each partition's newest manifest covers it; −1 without one."""
    topic = Topics.of(settings).manifests
    found = dict.fromkeys(range(settings.kafka_partitions), -1)
    async with log_reader.reader(settings) as consumer:
        places = [aiokafka.TopicPartition(topic, partition) for partition in found]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            if ends[place]:
                consumer.seek(place, ends[place] - 1)
                record = await consumer.getone(place)
                found[place.partition] = msgspec.msgpack.decode(record.value, type=_Covered).covered
    return found


async def _kept(settings: Settings) -> dict[str, float]:
    """The size of what a restore reads, and the times to read it and to turn it into twins, each alone."""
    partitions = range(settings.kafka_partitions)
    ends = await log_reader.ends(settings, Topics.of(settings).inputs, partitions)
    began = time.monotonic()
    kept = await checkpoints.read(settings, partitions)
    read = time.monotonic()
    worker = Worker(NoHistory())
    for partition, found in kept.items():
        worker.assign(partition, found.blobs, found.manifest.covered)
    return {
        "read_s": read - began,
        "assign_s": time.monotonic() - read,
        "blocks": sum(len(one.blobs) for one in kept.values()),
        "bytes": sum(len(blob) for one in kept.values() for blob in one.blobs),
        "records_behind": sum(ends[number] - 1 - one.manifest.covered for number, one in kept.items()),
    }


def _start(worker: ServiceUnderTest) -> dict[str, float]:
    began = time.monotonic()
    worker.begin()
    assigned = restored = 0.0
    while time.monotonic() - began < _WITHIN_S:
        parts, now = _parts(worker), time.monotonic() - began
        assigned = assigned or (now if parts.get("assigned") else 0.0)
        if assigned and not restored and parts["restored"] == _PARTITIONS:
            restored = now
        if restored and parts["ready"]:
            return {"cold_start_s": now, "assigned_s": assigned, "restore_s": restored - assigned}
        time.sleep(0.02)
    raise Failure(f"the worker was not ready within {_WITHIN_S:g} s:\n{worker.said()[-2000:]}")


def _parts(worker: ServiceUnderTest) -> dict[str, Any]:
    """The parts of the worker's readiness; empty before it answers."""
    if not worker.running:
        raise Failure(f"the worker ended:\n{worker.said()[-2000:]}")
    try:
        with RawConnection(worker.port, timeout_s=30.0) as wire:
            parts: dict[str, Any] = json.loads(wire.ask("GET", "/health/ready")[1])["parts"]
            return parts
    except OSError:
        return {}
