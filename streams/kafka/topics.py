"""The topics: what each is for and how it is kept, made once and compared ever after."""

from collections.abc import Mapping
from typing import Any

import aiokafka.errors
import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.errors import KafkaUnusable
from streams.kafka.administrator import Administrator
from streams.kafka.connect import MOST_BYTES
from streams.settings import Settings

__all__ = ["Topics", "brokers", "make", "mismatches"]

_HOUR_MS = 3_600_000


class Topics(msgspec.Struct, frozen=True):
    """Names of the topics of one installation."""

    inputs: str
    estimates: str
    alarms: str
    twins: str
    manifests: str
    dead_letters: str
    roll_calls: str

    @classmethod
    def of(cls, settings: Settings) -> "Topics":
        """With the settings' prefix."""
        return cls(*(settings.kafka_prefix + name.replace("_", "-") for name in cls.__struct_fields__))


class _Wanted(msgspec.Struct, frozen=True):
    partitions: int
    configuration: dict[str, str]


def _wanted(settings: Settings) -> dict[str, _Wanted]:
    topics, count = Topics.of(settings), settings.kafka_partitions
    often = {"max.message.bytes": str(MOST_BYTES)}
    compacted = often | {
        # The newest block may be one whose manifest never came: the one before it is kept for a while.
        "cleanup.policy": "compact", "min.compaction.lag.ms": str(_HOUR_MS // 6), "min.cleanable.dirty.ratio": "0.3",
    }  # fmt: skip
    alarm_ms = round(settings.alarm_retention_days * 24 * _HOUR_MS)

    def kept(hours: float) -> dict[str, str]:
        return often | {"cleanup.policy": "delete", "retention.ms": str(round(hours * _HOUR_MS))}

    return {
        topics.inputs: _Wanted(count, kept(settings.kafka_log_retention_hours)),
        topics.estimates: _Wanted(count, kept(6.0)),
        topics.alarms: _Wanted(count, often | {"cleanup.policy": "delete", "retention.ms": str(alarm_ms)}),
        topics.twins: _Wanted(count, compacted | {"segment.bytes": str(64 << 20)}),
        topics.manifests: _Wanted(count, compacted | {"segment.bytes": str(4 << 20)}),
        topics.dead_letters: _Wanted(1, kept(14 * 24.0)),
        topics.roll_calls: _Wanted(1, kept(1.0)),
    }  # fmt: skip


async def make(settings: Settings) -> dict[str, bool]:
    """Make what topics are missing; by name, whether each was made now.

    Raises:
        KafkaUnusable: no broker answers, it refuses, or a topic is there but is not as it must be.
    """
    wanted = _wanted(settings)
    try:
        async with Administrator(settings) as client:
            there = await _there(client, wanted)
            wrong = await _mismatches(client, wanted, there)
            if wrong:
                raise KafkaUnusable("; ".join(wrong))
            missing = [
                NewTopic(name, one.partitions, settings.kafka_replication, topic_configs=_configuration(settings, one))
                for name, one in wanted.items()
                if name not in there
            ]
            if missing:
                answer = await client.create_topics(missing, timeout_ms=20_000)
                _raise_refusals(answer.topic_errors)
            return {name: name not in there for name in wanted}
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


async def mismatches(settings: Settings) -> list[str]:
    """What is missing or not as it must be, a sentence each; raises ``KafkaUnusable`` when no broker answers."""
    wanted = _wanted(settings)
    try:
        async with Administrator(settings) as client:
            there = await _there(client, wanted)
            missing = [f"topic {name} is missing: vitaltwin init makes it" for name in wanted if name not in there]
            return missing + await _mismatches(client, wanted, there)
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


async def brokers(settings: Settings) -> int:
    """How many brokers there are; raises ``KafkaUnusable`` when none answers."""
    try:
        async with Administrator(settings) as client:
            return len((await client.describe_cluster())["brokers"])
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


def _configuration(settings: Settings, wanted: _Wanted) -> dict[str, str]:
    # With three copies one broker may be away and still nothing acknowledged is lost with the next.
    return wanted.configuration | {"min.insync.replicas": str(2 if settings.kafka_replication >= 3 else 1)}


def _raise_refusals(errors: list[tuple[Any, ...]]) -> None:
    refused = []
    for name, code, *words in errors:
        kind = aiokafka.errors.for_code(code)
        # Another `init` at the same time made it first: that is no refusal.
        if code and kind is not aiokafka.errors.TopicAlreadyExistsError:
            refused.append(f"{name}: {(words and words[0]) or kind.__name__}")
    if refused:
        raise KafkaUnusable("Kafka would not make " + "; ".join(refused))


async def _there(client: AIOKafkaAdminClient, wanted: Mapping[str, _Wanted]) -> dict[str, int]:
    listed = set(await client.list_topics()) & set(wanted)
    described = await client.describe_topics(sorted(listed)) if listed else []
    return {one["topic"]: len(one["partitions"]) for one in described}


async def _mismatches(
    client: AIOKafkaAdminClient, wanted: Mapping[str, _Wanted], there: Mapping[str, int]
) -> list[str]:
    wrong = [
        f"topic {name} has {there[name]} partitions, not {wanted[name].partitions}: the number is fixed when a topic is made "
        "(set VITALTWIN_KAFKA_PARTITIONS to it, or another VITALTWIN_KAFKA_PREFIX)"
        for name in there
        if there[name] != wanted[name].partitions
    ]
    if not there:
        return wrong
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in there])
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            held = {entry[0]: entry[1] for entry in entries}
            for key in ("cleanup.policy", "max.message.bytes"):
                asked = wanted[name].configuration[key]
                if held.get(key) != asked:
                    wrong.append(f"topic {name} has {key}={held.get(key)}, not {asked}: change it with kafka-configs")
    return wrong
