"""``vitaltwin init`` on a real broker."""

import pytest

from streams.errors import KafkaUnusable
from streams.kafka import topics
from streams.settings import Settings


async def test_made_once(settings: Settings) -> None:
    assert await topics.mismatches(settings)
    assert all((await topics.make(settings)).values())
    assert not any((await topics.make(settings)).values())
    assert await topics.mismatches(settings) == []


async def test_another_partition_count_is_refused(settings: Settings) -> None:
    await topics.make(settings)
    other = settings.model_copy(update={"kafka_partitions": 3})
    with pytest.raises(KafkaUnusable, match=r"has 2 partitions, not 3.*VITALTWIN_KAFKA_PARTITIONS"):
        await topics.make(other)


async def test_nobody_there() -> None:
    with pytest.raises(KafkaUnusable, match="127"):
        await topics.make(Settings(kafka_servers="127.0.0.1:1"))
