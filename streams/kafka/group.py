"""The workers' consumer group as Kafka sees it: who has which partitions, and how far commits are behind the log."""

import asyncio

import aiokafka.errors
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import TopicPartition

from streams.errors import KafkaUnusable
from streams.kafka.administrator import Administrator
from streams.kafka.topics import Topics
from streams.kafka.worker.log_reader import ends
from streams.settings import Settings

__all__ = ["Group", "look", "name_of"]


_ATTEMPTS = 50


class Group(msgspec.Struct):
    """Partitions by worker (its address as Kafka sees it, numbered), and by partition the records not yet committed."""

    members: dict[str, list[int]]
    behind: dict[int, int]


def name_of(settings: Settings) -> str:
    """The group's name."""
    return settings.kafka_prefix + "vitaltwin-worker"


async def look(settings: Settings) -> Group:
    """The group now; raises ``KafkaUnusable`` if no broker answers.

    The group commits what checkpoints cover, so even workers that keep up are some seconds behind.
    """
    topic, partitions = Topics.of(settings).inputs, range(settings.kafka_partitions)
    places = [TopicPartition(topic, partition) for partition in partitions]
    try:
        async with Administrator(settings) as client:
            await _coordinated(client, name_of(settings))
            (answer,) = await client.describe_consumer_groups([name_of(settings)])
            offsets = await client.list_consumer_group_offsets(name_of(settings), partitions=places)
        end = await ends(settings, topic, partitions)
    except aiokafka.errors.KafkaError as error:
        raise KafkaUnusable(f"Kafka at {settings.kafka_servers}: {error}") from error
    members = {}
    for number, (_, _, host, _, assignment, *_) in enumerate(answer.groups[0][5], 1):
        assigned = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
        members[f"{host.lstrip('/')} ({number})"] = sorted(
            one for name, numbers in assigned if name == topic for one in numbers
        )
    behind = {
        place.partition: max(0, end[place.partition] - max(0, offsets[place].offset if place in offsets else 0))
        for place in places
    }
    return Group(members, behind)


async def _coordinated(client: AIOKafkaAdminClient, group: str) -> None:
    """Wait until Kafka has a group coordinator: a fresh broker creates it at the first question."""
    for _ in range(_ATTEMPTS):
        try:
            await client.find_coordinator(group)
        except aiokafka.errors.GroupCoordinatorNotAvailableError:
            await asyncio.sleep(0.2)
        else:
            return
