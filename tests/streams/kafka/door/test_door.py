"""A door's producer on a real broker: how it becomes unusable, and that another one takes over."""

import asyncio

import aiokafka
import numpy as np
import pytest

from streams.errors import LogUnavailable
from streams.history.nothing import NoHistory
from streams.kafka import topics
from streams.kafka.door.service import KafkaService
from streams.settings import Settings
from twins.records import Columns

pytestmark = [pytest.mark.slow]


async def test_a_producer_the_broker_refuses_for_good_is_replaced(settings: Settings) -> None:
    """As after a record that got a sequence number and was never sent: the broker then refuses every later record."""
    await topics.make(settings)
    door = KafkaService(settings, NoHistory())
    await door.start()
    reading = Columns(["a"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([door.clock.now()]), np.array([80.0]))
    await door.observe(reading, "monitor")
    made = door._producer
    assert made is not None
    for partition in range(2):
        place = aiokafka.TopicPartition(door.topics.inputs, partition)
        made._txn_manager.increment_sequence_number(place, 7)
    with pytest.raises(LogUnavailable, match="OutOfOrderSequence"):
        await door.observe(reading, "monitor")
    assert not door.health()["ready"]
    async with asyncio.timeout(20):
        while True:
            try:
                await door.observe(reading, "monitor")
                break
            except LogUnavailable:
                await asyncio.sleep(0.2)
    assert door._producer is not made
    assert door.health()["log"] == "ok"
    await door.stop()
