"""The topics: their purpose and configuration; created once, and checked at every start."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka.errors
import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.errors import KafkaUnusable
from streams.kafka.administrator import Administrator
from streams.kafka.connect import MOST_BYTES
from streams.settings import Settings

__all__ = ["Topics", "brokers", "differences", "make", "mismatches", "shown"]

_HOUR_MS = 3_600_000
_ATTEMPTS, _ATTEMPT_S = 200, 0.1
_STAMP = "message.timestamp.type"
_CHANGED = 1
"""Kafka's code for a topic setting that was set explicitly."""


class Topics(msgspec.Struct, frozen=True):
    """The topic names of one installation."""

    inputs: str
    estimates: str
    alarms: str
    twins: str
    manifests: str
    dead_letters: str
    roll_calls: str

    @classmethod
    def of(cls, settings: Settings) -> "Topics":
        """The names with the settings' prefix."""
        return cls(*(settings.kafka_prefix + name.replace("_", "-") for name in cls.__struct_fields__))


class _Wanted(msgspec.Struct, frozen=True):
    partitions: int
    configuration: dict[str, str]


def _wanted(settings: Settings) -> dict[str, _Wanted]:
    topics, count = Topics.of(settings), settings.kafka_partitions
    # The broker stamps every record with its own time: a client's wrong clock cannot block a partition or its retention.
    often = {"max.message.bytes": str(MOST_BYTES), _STAMP: "LogAppendTime"}
    compacted = often | {
        # The newest block may be one whose manifest never came: compaction keeps the one before it for a while.
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


class _There(msgspec.Struct, frozen=True):
    """An existing topic: the replicas of its partitions, and its settings as (value, set explicitly)."""

    partitions: int
    copies: int
    configuration: dict[str, tuple[str, bool]]

    def value(self, key: str) -> str:
        return self.configuration.get(key, ("", False))[0]


async def make(settings: Settings) -> dict[str, bool]:
    """Create missing topics; by name, whether each was created now.

    Topics of an earlier version are adapted to this version if that loses nothing.

    Raises:
        KafkaUnusable: no broker answers, it refuses, or an existing topic has the wrong form.
    """
    wanted = _wanted(settings)
    try:
        async with Administrator(settings) as client:
            there = await _there(client, wanted)
            wrong = _wrong(wanted, there)
            if wrong:
                raise KafkaUnusable("; ".join(wrong))
            await _stamp(client, wanted, there)
            missing = [
                NewTopic(name, one.partitions, settings.kafka_replication, topic_configs=_configuration(settings, one))
                for name, one in wanted.items()
                if name not in there
            ]
            if missing:
                answer = await client.create_topics(missing, timeout_ms=20_000)
                _raise_refusals(answer.topic_errors)
                await shown(client, wanted)
            return {name: name not in there for name in wanted}
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


async def shown(client: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    """Return once the brokers know new topics: it is not enough that the controller has them."""
    for _ in range(_ATTEMPTS):
        if set(names) <= set(await client.list_topics()):
            return
        await asyncio.sleep(_ATTEMPT_S)


async def mismatches(settings: Settings) -> list[str]:
    """A sentence for everything missing or wrong; raises ``KafkaUnusable`` if no broker answers."""
    wanted, there = await _looked(settings)
    missing = [f"topic {name} is missing: vitaltwin init creates it" for name in wanted if name not in there]
    old = [
        f"topic {name} is of an earlier version, without the broker's time: vitaltwin init changes that"
        for name, one in there.items()
        if one.value(_STAMP) != wanted[name].configuration[_STAMP]
    ]
    return missing + _wrong(wanted, there) + old


async def differences(settings: Settings) -> list[str]:
    """A sentence for every topic that works, but has another retention or number of replicas than the settings.

    Nothing changes this by itself: a shorter retention deletes records, and replicas need disk. Raises ``KafkaUnusable``.
    """
    wanted, there = await _looked(settings)
    found = []
    for name, one in there.items():
        asked, kept = wanted[name].configuration.get("retention.ms"), one.value("retention.ms")
        if asked is not None and kept != asked:
            now = f"{int(kept) / _HOUR_MS:g} hours" if kept.isdigit() else "for ever"
            change = (
                f"kafka-configs --alter --entity-type topics --entity-name {name} --add-config retention.ms={asked}"
            )
            found.append(f"topic {name} keeps records {now}, not {int(asked) / _HOUR_MS:g} hours as asked: `{change}`")
        if one.copies != settings.kafka_replication:
            asked_copies = f"not {settings.kafka_replication} as VITALTWIN_KAFKA_REPLICATION asks"
            found.append(
                f"topic {name} has {one.copies} copies, {asked_copies}: kafka-reassign-partitions changes that"
            )
    return found


async def _looked(settings: Settings) -> tuple[dict[str, _Wanted], dict[str, _There]]:
    wanted = _wanted(settings)
    try:
        async with Administrator(settings) as client:
            return wanted, await _there(client, wanted)
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


async def brokers(settings: Settings) -> int:
    """The number of brokers; raises ``KafkaUnusable`` if none answers."""
    try:
        async with Administrator(settings) as client:
            return len((await client.describe_cluster())["brokers"])
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error


def _configuration(settings: Settings, wanted: _Wanted) -> dict[str, str]:
    # With three replicas and one broker away, the loss of another broker still loses nothing acknowledged.
    return wanted.configuration | {"min.insync.replicas": str(2 if settings.kafka_replication >= 3 else 1)}


def _raise_refusals(errors: list[tuple[Any, ...]]) -> None:
    refused = []
    for name, code, *words in errors:
        kind = aiokafka.errors.for_code(code)
        # Another `init` at the same time created it first: that is no refusal.
        if code and kind is not aiokafka.errors.TopicAlreadyExistsError:
            refused.append(f"{name}: {(words and words[0]) or kind.__name__}")
    if refused:
        raise KafkaUnusable("Kafka refused to create " + "; ".join(refused))


async def _there(client: AIOKafkaAdminClient, wanted: Mapping[str, _Wanted]) -> dict[str, _There]:
    listed = sorted(set(await client.list_topics()) & set(wanted))
    if not listed:
        return {}
    configurations: dict[str, dict[str, tuple[str, bool]]] = {}
    for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in listed]):
        for _, _, _, name, entries in answer.resources:
            configurations[name] = {entry[0]: (entry[1] or "", int(entry[3]) == _CHANGED) for entry in entries}
    return {
        one["topic"]: _There(
            len(one["partitions"]),
            min((len(part["replicas"]) for part in one["partitions"]), default=0),
            configurations.get(one["topic"], {}),
        )
        for one in await client.describe_topics(listed)
    }


async def _stamp(client: AIOKafkaAdminClient, wanted: Mapping[str, _Wanted], there: Mapping[str, _There]) -> None:
    """Set topics of an earlier version to broker time; their other settings stay."""
    resources = []
    for name, one in there.items():
        asked = wanted[name].configuration[_STAMP]
        if one.value(_STAMP) != asked:
            # Kafka resets every setting that is not named here.
            given = {key: value for key, (value, own) in one.configuration.items() if own}
            resources.append(ConfigResource(ConfigResourceType.TOPIC, name, given | {_STAMP: asked}))
    for answer in await client.alter_configs(resources) if resources else ():
        refused = [f"{name}: {text or code}" for code, text, _, name in answer.resources if code]
        if refused:
            raise KafkaUnusable("Kafka refused to change " + "; ".join(refused))


def _wrong(wanted: Mapping[str, _Wanted], there: Mapping[str, _There]) -> list[str]:
    wrong = [
        f"topic {name} has {one.partitions} partitions, not {wanted[name].partitions}: the number is fixed when a topic is "
        "created (set VITALTWIN_KAFKA_PARTITIONS to it, or use another VITALTWIN_KAFKA_PREFIX)"
        for name, one in there.items()
        if one.partitions != wanted[name].partitions
    ]
    for name, one in there.items():
        for key in ("cleanup.policy", "max.message.bytes"):
            asked = wanted[name].configuration[key]
            if one.value(key) != asked:
                wrong.append(f"topic {name} has {key}={one.value(key)}, not {asked}: change it with kafka-configs")
    return wrong
