"""Read what a distributed service has written: its log, its checkpoints, and the times of its estimates."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import aiokafka
import msgspec

from api.cli.output import Failure
from streams.clock import Clock
from streams.history.nothing import NoHistory
from streams.kafka.connect import options
from streams.kafka.messages import ADDRESS
from streams.kafka.topics import Topics
from streams.kafka.worker import checkpoints
from streams.kafka.worker.intake import Intake, arrival
from streams.kafka.worker.log_reader import reader
from streams.settings import Settings
from streams.worker.worker import Worker
from tests.bench.recovery import moved_twice, readings_of, state_of
from twins.records import Columns, Frame, Outcome

__all__ = ["EstimateWatch", "compare", "stale"]


class _Head(msgspec.Struct):
    partition: int
    offset: int


class _Covered(msgspec.Struct):
    covered: int


class _Seen(msgspec.Struct):
    offset: int


_head = msgspec.msgpack.Decoder(_Head)


class EstimateWatch:
    """Follows ``estimates`` in its own thread; ``arrivals`` by partition: (seconds, offset of the input)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.arrivals: dict[int, list[tuple[float, int]]] = {number: [] for number in range(settings.kafka_partitions)}
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()
        if not self._begun.wait(30):
            raise Failure("the estimates cannot be followed")

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def quiet(self, partition: int) -> float:
        """Seconds since the last estimate of a partition."""
        came = self.arrivals[partition]
        return time.monotonic() - came[-1][0] if came else float("inf")

    def gap(self, partition: int, since: float) -> float:
        """Seconds from ``since`` to the end of the longest pause of estimates that began about then or later."""
        times = [since, *(moment for moment, _ in self.arrivals[partition] if moment >= since - 0.5)]
        longest, end = max(((b - a, b) for a, b in itertools.pairwise(times)), default=(0.0, since))
        # Estimates of a partition with a thousand patients come several times a second: a shorter pause is no interruption.
        return end - since if longest > 0.5 else 0.0

    def longest(self, since: float) -> float:
        """The longest pause (s) of any partition's estimates that ended after ``since``."""
        now = time.monotonic()
        pauses = [
            later - earlier
            for came in self.arrivals.values()
            for earlier, later in itertools.pairwise([*(moment for moment, _ in came), now])
            if later >= since
        ]
        return max(pauses, default=0.0)

    async def _follow(self) -> None:
        consumer = aiokafka.AIOKafkaConsumer(
            **options(self._settings), enable_auto_commit=False, auto_offset_reset="latest", retry_backoff_ms=50,
            metadata_max_age_ms=1_000,
        )  # fmt: skip
        await consumer.start()
        topic = Topics.of(self._settings).estimates
        places = [aiokafka.TopicPartition(topic, number) for number in self.arrivals]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        self._begun.set()
        while not self._stop.is_set():
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                now = time.monotonic()
                for record in records:
                    if ADDRESS not in dict(record.headers):
                        self.arrivals[place.partition].append((now, _head.decode(record.value).offset))
        await consumer.stop()


def stale(settings: Settings) -> dict[str, int]:
    """How many manifests and blocks cover less than an earlier one: a worker wrote them after it had lost the partition."""
    return asyncio.run(_stale(settings))


async def _stale(settings: Settings) -> dict[str, int]:
    topics = Topics.of(settings)
    covered, seen = msgspec.msgpack.Decoder(_Covered), msgspec.msgpack.Decoder(_Seen)
    furthest: dict[tuple[str, int, bytes], int] = {}
    found = {"manifests_stale": 0, "blocks_stale": 0}
    async with reader(settings) as consumer:
        places = [
            aiokafka.TopicPartition(topic, number)
            for topic in (topics.manifests, topics.twins)
            for number in range(settings.kafka_partitions)
        ]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    of_blocks = place.topic == topics.twins
                    at = seen.decode(record.value).offset if of_blocks else covered.decode(record.value).covered
                    key = (place.topic, place.partition, record.key)
                    found["blocks_stale" if of_blocks else "manifests_stale"] += at < furthest.get(key, -1)
                    furthest[key] = max(at, furthest.get(key, -1))
    return found


def compare(settings: Settings, taken: list[Columns], heard: Mapping[int, int] | None = None) -> dict[str, Any]:
    """Compare one uninterrupted pass over the log with the twins that a worker would restore now.

    ``lost``: acknowledged readings that are not in the log; ``applied_twice``: channels with more measurements than the log
    has readings of them; ``identical``: both states are equal byte for byte. ``transitions``: the alarm transitions of the
    pass, up to the offset ``heard`` of each partition.
    """
    return asyncio.run(_compare(settings, taken, heard or {}))


async def _compare(settings: Settings, taken: list[Columns], heard: Mapping[int, int]) -> dict[str, Any]:
    topics = Topics.of(settings)
    partitions = list(range(settings.kafka_partitions))
    kept = await checkpoints.read(settings, partitions)
    passed, restored, intake = Worker(NoHistory()), Worker(NoHistory()), Intake(settings)
    clock = Clock()
    logged: set[tuple[str, int, int]] = set()
    moved: Counter[tuple[str, int]] = Counter()
    transitions: set[tuple[str, str, int]] = set()
    records, repeated, identical = 0, 0, True
    begin = {}
    for partition, found in kept.items():
        begin[partition] = restored.assign(partition, found.blobs, found.manifest.covered)
        restored.banks[partition].time = found.manifest.time
        passed.assign(partition, [])
    passed.listen(partial(_note, transitions, heard))
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        for partition in partitions:
            place = aiokafka.TopicPartition(topics.inputs, partition)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            await consumer.seek_to_beginning(place)
            expected = 0
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                    if record.offset != expected:
                        raise Failure(f"partition {partition} of the log has no record {expected}")
                    expected += 1
                    arrived = arrival(record, 1e3, clock.now())
                    for one in intake.records(record.value, arrived, passed.banks[partition])[0]:
                        passed.take(partition, record.offset, one)
                        if record.offset >= begin[partition]:
                            restored.take(partition, record.offset, one)
                        records += 1
                        if isinstance(one, Frame):
                            for reading in readings_of(one.columns):
                                repeated += reading in logged
                                if reading not in logged:
                                    logged.add(reading)
                                    moved[reading[:2]] += 1
            restored.banks[partition].finish_catch_up()
            same = state_of(passed.banks[partition], end) == state_of(restored.banks[partition], end)
            identical &= same
    finally:
        await consumer.stop()
    acknowledged = {reading for columns in taken for reading in readings_of(columns)}
    return {
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - logged),
        "applied_twice": moved_twice(passed, moved) + moved_twice(restored, moved),
        "identical": identical,
        "records": records,
        "resent": repeated,
        "transitions": transitions,
    }


def _note(transitions: set[tuple[str, str, int]], heard: Mapping[int, int], outcome: Outcome) -> None:
    if outcome.offset <= heard.get(outcome.partition, -1):
        transitions.update((one.alarm, one.presence, one.time // 1000) for one in outcome.transitions)
