"""``vitaltwin init`` on a real broker."""

import pytest
from aiokafka.admin import NewTopic

from streams.errors import KafkaUnusable
from streams.kafka import topics
from streams.kafka.administrator import Administrator
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


async def test_a_topic_of_an_earlier_version_tells_the_brokers_time_and_keeps_what_was_set(settings: Settings) -> None:
    """Earlier records had their producer's time: a record with a wrong one blocked its partition and was never deleted."""
    inputs = topics.Topics.of(settings).inputs
    async with Administrator(settings) as client:
        given = {"retention.ms": "7200000", "max.message.bytes": "8388608", "cleanup.policy": "delete"}
        await client.create_topics([NewTopic(inputs, 2, 1, topic_configs=given)], timeout_ms=20_000)
        await topics.shown(client, [inputs])
    result = await topics.mismatches(settings)
    assert any("broker's time" in one for one in result), result
    made = await topics.make(settings)
    assert made[inputs] is False
    assert await topics.mismatches(settings) == []
    (differing,) = await topics.differences(settings)
    assert f"topic {inputs} keeps records 2 hours, not 72 hours" in differing


async def test_other_hours_and_copies_than_asked_are_told(settings: Settings) -> None:
    await topics.make(settings)
    assert await topics.differences(settings) == []
    other = settings.model_copy(update={"kafka_log_retention_hours": 24.0, "kafka_replication": 3})
    assert await topics.mismatches(other) == []
    found = await topics.differences(other)
    inputs = topics.Topics.of(settings).inputs
    (kept,) = [one for one in found if "retention" in one]
    assert kept.startswith(f"topic {inputs} keeps records 72 hours, not 24 hours as asked: `kafka-configs --alter")
    assert kept.endswith(f"--entity-name {inputs} --add-config retention.ms=86400000`")
    assert sum("has 1 copies, not 3" in one for one in found) == 7


async def test_nobody_there() -> None:
    with pytest.raises(KafkaUnusable, match="127"):
        await topics.make(Settings(kafka_servers="127.0.0.1:1"))
