"""Whether Kafka can be reached, asked while nothing else is asked of it."""

import asyncio
from collections.abc import Iterable

import aiokafka
import aiokafka.errors

__all__ = ["Reach"]

_EVERY_S = 1.5
_WITHIN_S = 4.0


class Reach:
    """Asks the leaders of partitions of ``topic`` where they end; ``trouble`` says why they do not answer, empty if they do."""

    def __init__(self, topic: str, partitions: Iterable[int]) -> None:
        self._places = [aiokafka.TopicPartition(topic, partition) for partition in partitions]
        self.trouble = ""
        self.ends: dict[int, int] = {}
        """The offset after the last record, by partition, when last told."""

    async def run(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Ask again and again until cancelled."""
        while True:
            try:
                ends = await asyncio.wait_for(consumer.end_offsets(self._places), _WITHIN_S)
            except (aiokafka.errors.KafkaError, TimeoutError) as error:
                self.trouble = f"Kafka does not answer{f': {error}' if str(error) else ''}"
            else:
                self.ends = {place.partition: end for place, end in ends.items()}
                self.trouble = ""
            await asyncio.sleep(_EVERY_S)
