"""A worker is killed in the middle of an alarm storm with escalations due; another goes on with its timers."""

import asyncio
import time

import aiokafka
import pytest

from streams.clock import Clock
from streams.kafka.connect import options
from streams.kafka.topics import Topics
from streams.kafka.worker.intake import Intake, arrival
from streams.settings import Settings
from tests.conftest import require
from tests.support.cluster import Cluster
from tests.support.storm import PATIENTS, Follower, Storm, Truth
from twins.bank.bank import Bank
from twins.records import Record

pytestmark = [pytest.mark.slow, pytest.mark.fault]


async def logged(settings: Settings) -> dict[int, list[tuple[int, Record]]]:
    """Every record of the log by partition, as a worker reads it."""
    found: dict[int, list[tuple[int, Record]]] = {}
    topic, clock = Topics.of(settings).inputs, Clock()
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        for partition in range(settings.kafka_partitions):
            place, bank, intake = aiokafka.TopicPartition(topic, partition), Bank(partition), Intake(settings)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            await consumer.seek_to_beginning(place)
            records: list[tuple[int, Record]] = []
            while await consumer.position(place) < end:
                for one in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                    arrived = arrival(one, 1e3, clock.now())
                    records += [(one.offset, record) for record in intake.records(one.value, arrived, bank)[0]]
            found[partition] = records
    finally:
        await consumer.stop()
    return found


@pytest.mark.parametrize("killed_after_s", [0.7, 3.0, 5.0])
def test_a_worker_killed_in_a_storm_every_transition_and_notice_comes_once(killed_after_s: float) -> None:
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")
    with Cluster(workers=2, influx=True, kafka_partitions="4", checkpoint_seconds="1", tick_seconds="0.5") as cluster:
        cookie = cluster.door.session()
        storm, follower = Storm(cluster.door, cluster.door.key(), cookie), Follower(cluster.door, cookie)
        storm.prepare()
        follower.start()
        storm.rage(killed_after_s + 1.0)
        victim = cluster.workers[0]
        victim.kill()
        storm.rage(12.0)
        victim.begin()
        storm.rage(3.0)
        alarms = storm.ask("GET", "/v1/alarms")["items"]
        for name in [one["id"] for one in alarms if one["priority"] == "high"][::2]:
            storm.ask("POST", f"/v1/alarms/{name}/acknowledge", {})
        time.sleep(3.0)
        for worker in cluster.workers:
            worker.stop()
        time.sleep(2.0)
        outbox = storm.notices()
        follower.stop()
        records = asyncio.run(logged(cluster.settings))

    truth = Truth()
    for partition, those in records.items():
        truth.read(partition, those)
    steps = truth.steps()
    high = {one.alarm for one in truth.transitions.values() if one.priority == "high"}
    assert len(high) >= PATIENTS
    assert set(steps.values()) == {1}
    assert {name for name, step in steps if step == 1} == {name for name, step in steps if step == 2} == high
    assert {name: state for name, (state, _) in outbox.items()} == {
        name: notice.state for name, notice in truth.notices.items()
    }
    assert all(people for _, people in outbox.values())
    # The door stays: the stream has every transition as an event, once, whichever worker made it.
    assert follower.snapshots == 1
    assert set(follower.transitions.values()) == {1}
    last = {bank: those[-1][0] for bank, those in records.items()}
    assert follower.transitions.keys() == truth.transitions.keys(), last
    assert set(follower.notices.values()) == {1}
