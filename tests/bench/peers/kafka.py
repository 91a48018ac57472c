"""The peers of ``infra/bench kafka``: a simple first design, on the same broker, one JSON record per reading.

Each is one process with a backlog produced in advance, measured by the records in its output topic.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple

import aiokafka
import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from api.cli.output import Failure, say
from streams.kafka.connect import options, producer
from streams.settings import Settings
from tests.bench.peers import naive_faust
from tests.support.load import SimulatedWard
from tests.support.service import ServiceUnderTest
from twins.signals import SIGNALS

__all__ = ["measure"]

_PATIENTS = 200
_BATCH = 5_000
_WITHIN_S = 300.0


class _Peer(NamedTuple):
    module: str
    what: str
    quick: int
    full: int
    changelogs: tuple[str, ...]
    """Topics of its state that must exist before it starts."""


_PEERS = {
    "naive_faust": _Peer(
        "naive_faust", "a Faust agent, filterpy in a table", 2_000, 15_000, (naive_faust.changelog(),)
    ),
    "quix": _Peer("naive_quix", "Quix Streams, filterpy in its state", 10_000, 150_000, ()),
}


def measure(settings: Settings, *, quick: bool = False) -> dict[str, dict[str, float]]:
    """By peer: ``readings`` processed, ``readings_per_s`` from its first to its last, ``cpu_s_per_million``."""
    figures = {}
    for name, peer in _PEERS.items():
        count = peer.quick if quick else peer.full
        say(f"{peer.what}: {count:,} records of a reading")
        figures[name] = asyncio.run(_measure(settings, peer, count))
    return figures


async def _measure(settings: Settings, peer: _Peer, count: int) -> dict[str, float]:
    readings, estimates = f"{peer.module}-readings", f"{peer.module}-estimates"
    plain = {readings: "delete", estimates: "delete"}
    await _make(settings, plain | dict.fromkeys(peer.changelogs, "compact"))
    await _fill(settings, readings, count)
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        with ServiceUnderTest(("-m", f"tests.bench.peers.{peer.module}")) as service:
            service.arguments = [
                settings.kafka_servers, readings, estimates, str(service.folder), str(settings.kafka_partitions)
            ]  # fmt: skip
            service.begin()
            first = await _grown(consumer, estimates, settings, service, 0)
            began, cpu = time.monotonic(), service.cpu_s()
            last = first
            while last < count:
                last = await _grown(consumer, estimates, settings, service, last)
            elapsed, used = time.monotonic() - began, service.cpu_s() - cpu
    finally:
        await consumer.stop()
    moved = last - first
    return {"readings": moved, "readings_per_s": moved / elapsed, "cpu_s_per_million": used / moved * 1e6}


async def _make(settings: Settings, kept: Mapping[str, str]) -> None:
    """Create topics with their cleanup policies, all with the same number of partitions, or Faust's table waits for ever."""
    client = AIOKafkaAdminClient(**options(settings))
    await client.start()
    try:
        await client.create_topics([
            NewTopic(name, settings.kafka_partitions, 1, topic_configs={"cleanup.policy": policy})
            for name, policy in kept.items()
        ])  # fmt: skip
    finally:
        await client.close()


async def _fill(settings: Settings, topic: str, count: int) -> None:
    """Readings of 200 patients, five signals each, one per JSON record with the patient as its key."""
    ward, out = SimulatedWard(_PATIENTS), producer(settings, linger_ms=5)
    await out.start()
    try:
        for columns in ward.batches(-(-count // _BATCH), min(count, _BATCH)):
            rows = (columns.patient, columns.signal, columns.time, columns.value)
            for entry, signal, moment, value in zip(*(column.tolist() for column in rows), strict=True):
                patient = columns.patients[entry]
                one = {"patient": patient, "signal": SIGNALS[signal].name, "time": moment / 1e6, "value": value}
                await out.send(topic, msgspec.json.encode(one), key=patient.encode())
    finally:
        await out.stop()


async def _grown(
    consumer: aiokafka.AIOKafkaConsumer, topic: str, settings: Settings, service: ServiceUnderTest, before: int
) -> int:
    """Wait until a topic has more than ``before`` records; returns how many it has."""
    places = [aiokafka.TopicPartition(topic, number) for number in range(settings.kafka_partitions)]
    end = time.monotonic() + _WITHIN_S
    while time.monotonic() < end and service.running:
        now: int = sum((await consumer.end_offsets(places)).values())
        if now > before:
            return now
        await asyncio.sleep(0.02)
    raise Failure(f"a peer stopped at {before:,} readings:\n{service.said()[-2000:]}")
