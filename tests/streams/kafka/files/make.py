"""Make the kept topics of today's format: ``python -m tests.streams.kafka.files.make``, once for every new format.

A real worker on a real broker writes them. The frames at the end are in no checkpoint.
"""

import asyncio
import lzma
import tempfile
from pathlib import Path

import aiokafka
import msgspec

from streams.clock import Clock
from streams.kafka import topics
from streams.kafka.connect import producer
from streams.kafka.format import FORMAT, headers
from streams.kafka.messages import decode_transition
from streams.kafka.worker.log_reader import reader
from streams.log.frame import as_record
from streams.log.log import encode_record
from streams.registry import partition_of
from streams.settings import Settings
from tests.support.cluster import Brokers, command_of
from tests.support.kept_ward import PATIENTS, STEP_US, STEPS, begin, readings
from tests.support.service import ServiceUnderTest
from twins.bank.checkpoint import VERSION
from twins.records import Acknowledge, Columns, Record

__all__ = ["AFTER", "KEPT", "NAME", "Kept", "load", "on_partition"]

NAME = f"topics-format-{FORMAT}-columns-{VERSION}.msgpack.xz"
"""Of the format of the topics, and of the columns in their checkpoints."""
KEPT = ("inputs", "twins", "manifests", "alarms")
AFTER = 4
"""Steps of the ward that no checkpoint covers."""


class Kept(msgspec.Struct):
    """A record of a topic, in the order of its partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def load(file: Path) -> list[Kept]:
    """The records of a kept file."""
    return msgspec.msgpack.decode(lzma.decompress(file.read_bytes()), type=list[Kept])


def on_partition(columns: Columns, partition: int) -> Columns:
    """The readings of those patients who belong to one of two partitions."""
    mine = [number for number, name in enumerate(columns.patients) if partition_of(name, 2) == partition]
    chosen = [at for at, number in enumerate(columns.patient.tolist()) if number in mine]
    return Columns(
        columns.patients, columns.patient[chosen], columns.signal[chosen], columns.time[chosen], columns.value[chosen]
    )


async def read(settings: Settings, topic: str, least: int = 0, partitions: int = 2) -> list[aiokafka.ConsumerRecord]:
    """What a topic holds, waiting until it has so many records."""
    async with reader(settings) as consumer, asyncio.timeout(120):
        places = [aiokafka.TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(places)
        found: list[aiokafka.ConsumerRecord] = []
        while True:
            ends = await consumer.end_offsets(places)
            if len(found) >= max(least, sum(ends.values())):
                return found
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records


async def write(settings: Settings, records: list[tuple[int, Record]]) -> None:
    """Write records to the log, each to its partition."""
    writing = producer(settings)
    await writing.start()
    inputs = topics.Topics.of(settings).inputs
    for partition, record in records:
        await writing.send(inputs, encode_record(record), partition=partition, headers=headers() or None)
    await writing.stop()


def _records(origin: int) -> list[tuple[int, Record]]:
    found: list[tuple[int, Record]] = []
    for one in begin(origin):
        everywhere = not one.patient
        found += [
            (number, one) for number in range(2) if everywhere or partition_of(one.patient, 2) == number
        ]  # fmt: skip
    for step, columns in enumerate(readings(origin)):
        parts = ((number, on_partition(columns, number)) for number in range(2))
        found += [(number, as_record(part, origin + step * STEP_US)) for number, part in parts if len(part)]
    return found


async def _made(settings: Settings, worker: ServiceUnderTest) -> list[Kept]:
    names = topics.Topics.of(settings)
    await topics.make(settings)
    records = _records(Clock().now() - STEPS * STEP_US)
    left = AFTER * sum(any(partition_of(name, 2) == number for name in PATIENTS) for number in range(2))
    await write(settings, records[:-left])
    await asyncio.to_thread(worker.start)
    result: list[str] = []
    while not result:
        transitions = [decode_transition(record.value) for record in await read(settings, names.alarms, 1)]
        result = [one.alarm for one in transitions if one.condition == "news2.high"]
    acknowledged = Acknowledge(patient="ada", alarm=result[0], by="nurse", note="seen", received=Clock().now())
    await write(settings, [(partition_of("ada", 2), acknowledged)])
    presence = ""
    while presence != "acknowledged":
        of_alarm = [decode_transition(record.value) for record in await read(settings, names.alarms)]
        presence = [one.presence for one in of_alarm if one.alarm == result[0]][-1]
    await asyncio.to_thread(worker.stop)
    await write(settings, records[-left:])
    kept = []
    for name in KEPT:
        for record in await read(settings, getattr(names, name)):
            one = Kept(name, record.partition, record.key, record.value, list(record.headers))
            kept.append(one)
    return kept


def main() -> None:
    """Write the file beside this script."""
    given = {"kafka_prefix": "kept.", "kafka_partitions": "2", "kafka_session_seconds": "3", "tick_seconds": "5"}
    with Brokers() as brokers, tempfile.TemporaryDirectory() as folder:
        given |= {"kafka_servers": brokers.servers, "influx_spill": folder}
        with ServiceUnderTest(command_of("worker"), **given) as worker:
            kept = asyncio.run(_made(Settings.model_validate(given), worker))
    target = Path(__file__).with_name(NAME)
    target.write_bytes(lzma.compress(msgspec.msgpack.encode(kept), preset=9 | lzma.PRESET_EXTREME))
    print(target.name, target.stat().st_size, "bytes", len(kept), "records")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
