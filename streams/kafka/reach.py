"""Check whether Kafka can be reached, also while there is no traffic."""

import asyncio
from collections.abc import Iterable

import aiokafka
import aiokafka.errors

__all__ = ["Reach"]

_EVERY_S = 1.5
_WITHIN_S = 4.0


class Reach:
    """Asks the leaders of ``topic``'s partitions for their ends; ``trouble`` says why they do not answer, empty if they do."""

    def __init__(self, topic: str, partitions: Iterable[int]) -> None:
        self._places = [aiokafka.TopicPartition(topic, partition) for partition in partitions]
        self.trouble = ""
        self.ends: dict[int, int] = {}
        """The offset after the last record, by partition, from the last answer."""

    async def run(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        """Ask repeatedly until cancelled."""
        while True:
            try:
                ends = await asyncio.wait_for(consumer.end_offsets(self._places), _WITHIN_S)
            except (aiokafka.errors.KafkaError, TimeoutError) as error:
                self.trouble = f"Kafka does not answer{f': {error}' if str(error) else ''}"
            else:
                self.ends = {place.partition: end for place, end in ends.items()}
                self.trouble = ""
            await asyncio.sleep(_EVERY_S)
