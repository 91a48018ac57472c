"""The distributed runtime on a real broker: equal results, foreign records, gaps, take-overs."""

import asyncio
import contextlib
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiokafka
import numpy as np
import pytest

from streams.clock import Clock
from streams.embedded.restore import open_offline
from streams.embedded.service import EmbeddedService
from streams.kafka import topics
from streams.kafka.connect import options, producer
from streams.kafka.messages import ADDRESS, encode_outcome, encode_transition
from streams.log.frame import as_record
from streams.log.log import decode_dead_letter, decode_record, encode_record
from streams.settings import Settings
from tests.bench import failover
from tests.bench.faults import FAULTS
from tests.support.cluster import Cluster
from tests.support.fault_scenario import FaultScenario
from tests.support.service import ServiceUnderTest
from tests.support.topics import compare
from twins.bank import layout
from twins.records import (
    Acknowledge,
    Admit,
    Columns,
    EscalationStep,
    LimitPeriod,
    Outcome,
    Rotation,
    Rule,
    SetEscalation,
    SetLimits,
    SetRules,
    SetSchedule,
    SetZone,
    Tick,
    Zone,
)

pytestmark = [pytest.mark.slow, pytest.mark.fault]


async def read(settings: Settings, topic: str, enough: int, seconds: float = 90.0) -> list[aiokafka.ConsumerRecord]:
    """Records of a topic from its beginning, without those for a single door, until there are enough."""
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(
            [aiokafka.TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or (0, 1)]
        )
        found: list[aiokafka.ConsumerRecord] = []
        end = asyncio.get_running_loop().time() + seconds
        while len(found) < enough and asyncio.get_running_loop().time() < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record for record in records if ADDRESS not in dict(record.headers)]
        return found
    finally:
        await consumer.stop()


def of(records: list[aiokafka.ConsumerRecord], partition: int) -> list[bytes]:
    return [record.value for record in records if record.partition == partition]


async def acknowledge_one(service: EmbeddedService, heard: list[Outcome]) -> None:
    """Acknowledge an alarm that was escalated and is still on."""
    newest = {one.alarm: one for outcome in heard for one in outcome.transitions}
    for alarm in newest.values():
        if alarm.presence == "on" and alarm.step:
            await service.append(Acknowledge(patient=alarm.patient, alarm=alarm.alarm, by="ada"))
            return


async def recorded(path: Path) -> list[Outcome]:
    """Some minutes of a ward with alarms, through the embedded service, in the file ``path``."""
    service = EmbeddedService(Settings(database=path, partitions=2, tick_seconds=0.2))
    heard: list[Outcome] = []
    service.listen(heard.append)
    await service.start()
    rng = np.random.default_rng(3)
    patients = [f"bed {number}" for number in range(12)]
    for patient in patients:
        await service.append(Admit(patient=patient, ward="A"))
    night = {"all": LimitPeriod(begin="00:00", end="24:00", low=45.0)}
    await service.append(
        SetLimits(signal="heart_rate", ward="A", high=110.0, delay_s=1.0, rising_per_min=10.0, periods=night)
    )
    zone = Zone("two ahead", [(0, 7200)])
    fast = Rule(id="fast", when="heart_rate > 95 and oxygen_saturation > 90", for_s=1, text={"en": "{heart_rate}"})
    often = Rule(id="often", when="oxygen_saturation.reading < 95", times=3, within_s=600, days=["mon", "wed", "fri"])
    await service.append(
        SetRules(rules=[fast, often, Rule(id="poor", when="heart_rate.quality < 0.9")], zone=zone, by="ada")
    )
    await service.append(SetZone(ward="A", zone=zone))
    steps = [EscalationStep(0.4, ["schedule:doctor", "role:clinician"]), EscalationStep(0.4, ["person:head"])]
    for priority in ("high", "medium"):
        await service.append(SetEscalation(priority=priority, steps=steps, repeat=1, repeat_after_s=0.6))  # type: ignore[arg-type]
    on_call = Rotation(people=["ada", "bob"], start="2020-01-01", every="day", zone="Europe/Berlin")
    await service.append(SetSchedule(name="doctor", rotations=[on_call]))
    now = service.clock.now() - 240_000_000
    for second in range(240):
        # Some beds rise, some make a step, some are late now and then: the bands learn from all of it.
        number = np.arange(12)
        value = np.where(number % 4 == 0, 75 + 0.5 * second, np.where((number % 4 == 1) & (second > 100), 110, 80))
        value = np.round(value + rng.normal(0, 1, 12))
        late = np.where((number % 4 == 2) & (second % 7 == 3), 2, 0)
        moments = now + (second - late) * 1_000_000 + np.where(late > 0, 500_000, 0)
        for code, values in ((0, value), (3, np.full(12, 96.0 - second % 3))):
            columns = Columns(patients, np.arange(12, dtype="u4"), np.full(12, code, "u2"), moments, values)
            await service.observe(columns, "monitor")
        await asyncio.sleep(0.02)
        if second % 60 == 59:
            await acknowledge_one(service, heard)
    await service.stop()
    await asyncio.sleep(0)
    return [outcome for outcome in heard if not outcome.complete and not outcome.empty]


async def test_the_same_results_in_both_runtimes(
    tmp_path: Path, settings: Settings, given: dict[str, str], worker: ServiceUnderTest
) -> None:
    wanted = await recorded(tmp_path / "ward.db")
    estimates: dict[int, list[bytes]] = {0: [], 1: []}
    alarms: dict[int, list[bytes]] = {0: [], 1: []}
    for one in wanted:
        if not one.empty:
            estimates[one.partition].append(encode_outcome(one))
        alarms[one.partition] += [encode_transition(transition) for transition in one.transitions]
    assert min(map(len, estimates.values())) > 10
    assert sum(map(len, alarms.values())) > 5
    conditions = {one.condition for outcome in wanted for one in outcome.transitions}
    assert {"rule.fast", "rate.rising"} <= conditions
    notices = [notice for one in wanted for notice in one.notices]
    assert {notice.state for notice in notices} == {"pending", "cancelled"}
    assert {notice.step for notice in notices} >= {1, 2, 3}
    assert {"ada", "bob"} & {person for notice in notices for person in notice.people}
    learnt = np.concatenate([one.estimates.rows["belief"][:, layout.B_RECENT :] for one in wanted if one.estimates])
    assert len(np.unique(learnt[:, 0])) > 20
    assert np.any(learnt[:, 0] > 1.2)
    await topics.make(settings)
    names = topics.Topics.of(settings)
    writing = producer(settings)
    await writing.start()
    with open_offline(tmp_path / "ward.db") as file:
        for partition in range(2):
            for entry in file.entries(partition):
                await writing.send(names.inputs, encode_record(entry.record), partition=partition)
    await writing.stop()
    worker.environment["VITALTWIN_TICK_SECONDS"] = "86400"  # the ticks are those of the recording
    await asyncio.to_thread(worker.start)
    # One tick of the worker itself comes at once; it is the last record and has another time.
    found = await read(settings, names.estimates, sum(map(len, estimates.values())))
    result = await read(settings, names.alarms, sum(map(len, alarms.values())))
    for partition in range(2):
        assert of(found, partition)[: len(estimates[partition])] == estimates[partition]
        assert of(result, partition)[: len(alarms[partition])] == alarms[partition]


async def test_a_strangers_observation_and_poison(settings: Settings, worker: ServiceUnderTest) -> None:
    await topics.make(settings)
    names = topics.Topics.of(settings)
    await asyncio.to_thread(worker.start)
    observation = {"patient": "Zoë 1", "signal": "heart_rate", "time": "2026-01-01T00:00:00Z", "value": 72}
    stranger = aiokafka.AIOKafkaProducer(**options(settings))
    await stranger.start()
    for raw in (
        b"\xff\x00 nothing",
        json.dumps(observation | {"unit": "mV"}).encode(),
        json.dumps(observation).encode(),
    ):
        await stranger.send_and_wait(names.inputs, raw, key="Zoë 1".encode())
    await stranger.stop()
    (estimate,) = await read(settings, names.estimates, 1)
    assert "Zoë 1".encode() in estimate.value
    letters = [decode_dead_letter(record.value) for record in await read(settings, names.dead_letters, 2)]
    # Both are written independently, so either may come first.
    buried = {letter.reason: letter.body for letter in letters}
    assert buried.keys() == {"malformed_record", "unknown_unit"}
    assert buried["malformed_record"] == b"\xff\x00 nothing"


@contextlib.asynccontextmanager
async def the_group(settings: Settings) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
    """A consumer that uses the workers' group without being a worker."""
    group = f"{settings.kafka_prefix}vitaltwin-worker"
    consumer = aiokafka.AIOKafkaConsumer(**options(settings), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([aiokafka.TopicPartition(topics.Topics.of(settings).inputs, number) for number in range(2)])
        yield consumer
    finally:
        await consumer.stop()


async def committed(settings: Settings) -> list[int]:
    """The committed offsets of the workers' group, by partition."""
    async with the_group(settings) as group:
        return [await group.committed(place) or 0 for place in sorted(group.assignment())]


async def test_a_groups_offset_far_behind_is_passed_over_and_goes_on(
    settings: Settings, worker: ServiceUnderTest
) -> None:
    """Records that a new worker skips are acknowledged too, or the group's offset would stand still."""
    await topics.make(settings)
    worker.environment["VITALTWIN_CHECKPOINT_SECONDS"] = "1"
    await asyncio.to_thread(worker.start)
    await asyncio.sleep(8.0)
    await asyncio.to_thread(worker.stop)
    before = await committed(settings)
    assert min(before) > 3
    await asyncio.sleep(4.0)  # the session of the worker that was
    async with the_group(settings) as group:
        await group.commit(dict.fromkeys(group.assignment(), 1))
    await asyncio.to_thread(worker.start)
    await asyncio.sleep(6.0)
    after = await committed(settings)
    assert all(new > old for new, old in zip(after, before, strict=True)), (before, after)


PLANTED = """
import asyncio, json, sys
from api.cli.environment import prepare
prepare()
from faust.types import TP
from streams.history.nothing import NoHistory
from streams.kafka.worker.worker import KafkaWorker
from streams.settings import Settings

async def main():
    settings = Settings.model_validate_json(sys.argv[1])
    working = KafkaWorker(settings, NoHistory())
    stop = asyncio.Event()
    running = asyncio.create_task(working.run(stop))
    while working.counts["records"] < 118:
        await asyncio.sleep(0.01)
    consumer = working.app.consumer
    consumer.stop_flow()
    await consumer.wait_for_stopped_flow()
    await asyncio.sleep(1.5)
    for partition, part in working.assigned.items():
        # What Faust may do by itself after a restart: its position moves past records nobody has seen.
        await consumer.seek(TP(working.topics.inputs, partition), part.due + 40)
    consumer.resume_flow()
    while working.counts["records"] < int(sys.argv[2]):
        await asyncio.sleep(0.05)
    await working.sweeps.write()
    stop.set()
    await running
    print(json.dumps(working.counts))

asyncio.run(asyncio.wait_for(main(), 120))
"""


async def test_a_planted_gap_is_read_again_and_counted(settings: Settings, given: dict[str, str]) -> None:
    await topics.make(settings)
    names = topics.Topics.of(settings)
    writing = producer(settings)
    await writing.start()
    rng = np.random.default_rng(1)
    count = 0

    async def write(second: int) -> None:
        nonlocal count
        for partition in range(2):
            patient = ("b", "a")[partition]
            columns = Columns(
                [patient], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([second * 1_000_000]), 80 + rng.normal(0, 2, 1)
            )  # fmt: skip
            record = Admit(patient=patient, received=1) if second == 1 else as_record(columns, second * 1_000_000)
            await writing.send(names.inputs, encode_record(record), partition=partition)
            count += 1

    for second in range(1, 60):
        await write(second)
    await writing.flush()
    arguments = [sys.executable, "-c", textwrap.dedent(PLANTED), json.dumps(given), "500"]
    planted = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for second in range(60, 251):
        await write(second)
        await asyncio.sleep(0.02)
    await writing.stop()
    out, err = await planted.communicate()
    assert planted.returncode == 0, err.decode()[-3000:]
    counts = json.loads(out.splitlines()[-1])
    assert counts["gaps"] >= 1, counts
    assert counts["holes"] == 0, counts
    found = await asyncio.to_thread(compare, settings, [])
    assert found["identical"]
    assert found["applied_twice"] == 0


@pytest.mark.parametrize("heard_again", [False, True])
async def test_nobody_is_silent_while_away(settings: Settings, worker: ServiceUnderTest, heard_again: bool) -> None:
    """A minute without a record, ended by the worker's tick, or by another patient's readings before it."""
    await topics.make(settings)
    names = topics.Topics.of(settings)
    now = Clock().now()
    writing = producer(settings)
    await writing.start()

    def heart(patient: str, ago_s: int) -> bytes:
        moment = now - ago_s * 1_000_000
        columns = Columns([patient], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([moment]), np.array([80.0]))
        return encode_record(as_record(columns, moment))

    records = [encode_record(Admit(patient=patient, received=now - 71_000_000)) for patient in ("a", "b")]
    records += [heart("a", ago) for ago in range(70, 60, -1)]
    records += [heart("b", 0)] if heard_again else []
    for record in records:
        await writing.send(names.inputs, record, partition=0)
    await writing.stop()
    await asyncio.to_thread(worker.start)
    found = of(await read(settings, names.inputs, len(records) + 10), 0)
    first, *others = [record for record in map(decode_record, found) if isinstance(record, Tick)]
    assert first.unheard == pytest.approx(60e6, abs=10e6)
    assert not any(other.unheard for other in others[:3])
    assert await read(settings, names.alarms, 1, 2.0) == []


def test_a_worker_ends_when_asked_to_though_kafka_is_away() -> None:
    with Cluster(door=False) as cluster:
        (worker,) = cluster.workers
        cluster.brokers.stop()
        began = time.monotonic()
        worker.stop()  # it kills after half a minute
        assert time.monotonic() - began < 29.5
        assert "did not confirm that this worker leaves" in worker.said()


def test_nothing_is_lost_or_taken_twice() -> None:
    faults = [(name, FAULTS[name][0]) for name in ("worker_killed", "worker_drained", "restarted_under_backlog")]
    with Cluster(workers=2) as cluster:
        found = failover.under_load(FaultScenario(cluster), faults)
    assert found["lost"] == found["applied_twice"] == found["alarms_doubled"] == found["alarms_missed"] == 0
    assert found["identical"]
    assert found["acknowledged"] > 50_000
    assert found["alarms"] > 0
