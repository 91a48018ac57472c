"""Read the log directly, without Faust: where partitions end, and what the next record is."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiokafka

from streams.kafka.connect import options
from streams.settings import Settings

__all__ = ["ends", "next_offset", "reader"]


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
    """A consumer without a group; it begins where it is set to, or at the first record there is."""
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def ends(settings: Settings, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The offset after the last record of each partition; raises ``KafkaError``."""
    async with reader(settings) as consumer:
        found = await consumer.end_offsets([aiokafka.TopicPartition(topic, one) for one in partitions])
        return {place.partition: end for place, end in found.items()}


async def next_offset(settings: Settings, topic: str, partition: int, offset: int) -> int:
    """The offset of the first record at or after ``offset``, waiting for one; raises ``KafkaError``."""
    place = aiokafka.TopicPartition(topic, partition)
    async with reader(settings) as consumer:
        consumer.assign([place])
        consumer.seek(place, offset)
        while True:
            for records in (await consumer.getmany(place, timeout_ms=500, max_records=1)).values():
                return int(records[0].offset)
