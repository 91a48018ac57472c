"""Topics of every format, kept small and written into a real broker: today's worker goes on from them.

What a newer version wrote is refused in a sentence, by workers and doors, and stays as it is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiokafka
import msgspec
import numpy as np
import pytest

from streams.clock import Clock
from streams.history.nothing import NoHistory
from streams.kafka import topics
from streams.kafka.connect import producer
from streams.kafka.door.service import KafkaService
from streams.kafka.format import FORMAT, HEADER
from streams.kafka.messages import decode_transition, encode_outcome
from streams.log.log import encode_record
from streams.registry import partition_of
from streams.settings import Settings
from tests.streams.kafka.files.make import KEPT, NAME, Kept, load, read
from tests.support.cluster import until
from tests.support.kept_ward import PATIENTS
from tests.support.service import ServiceUnderTest
from twins.records import Columns, Outcome, Tick

pytestmark = [pytest.mark.slow, pytest.mark.fault]

FILES = Path(__file__).parent / "files"
OWNER = partition_of("ada", 2)


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    made = producer(settings)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def written(settings: Settings, records: list[Kept]) -> None:
    """Every record at the place where it was."""
    await topics.make(settings)
    names = topics.Topics.of(settings)
    async with writing(settings) as made:
        for one in records:
            await made.send(
                getattr(names, one.topic), one.value, key=one.key, partition=one.partition, headers=one.headers or None
            )


async def state(settings: Settings) -> dict[str, list[tuple[int, int, bytes | None]]]:
    """What stands in the topics that workers write, by topic."""
    names = topics.Topics.of(settings)
    return {
        name: [(one.partition, one.offset, one.value) for one in await read(settings, getattr(names, name))]
        for name in KEPT[1:]
    }


def refused(worker: ServiceUnderTest) -> str:
    """What a worker says that ends by itself."""
    worker.begin()
    until(lambda: not worker.running, 120, "the worker to end", [worker])
    return worker.said()


def test_topics_of_todays_format_are_kept() -> None:
    """Whoever raises a format makes them: ``python -m tests.streams.kafka.files.make``."""
    assert (FILES / NAME).exists()


@pytest.mark.parametrize("file", sorted(FILES.glob("*.xz")), ids=lambda file: file.name.split(".")[0])
async def test_a_worker_goes_on_and_alarms_and_stays_are_kept(
    settings: Settings, worker: ServiceUnderTest, file: Path
) -> None:
    kept = load(file)
    await written(settings, kept)
    before = [decode_transition(one.value or b"") for one in kept if one.topic == "alarms"]
    standing = {one.alarm: one for one in before}
    active = {name for name, one in standing.items() if one.presence != "off"}
    await asyncio.to_thread(worker.start)
    door, heard = KafkaService(settings, NoHistory()), list[Outcome]()
    door.listen(heard.append)
    await door.start()
    try:
        async with asyncio.timeout(120):
            while not door.health()["ready"]:  # noqa: ASYNC110 - a thing of another process
                await asyncio.sleep(0.1)
        profiles = {one.patient: one for outcome in heard for one in outcome.profiles}
        assert set(profiles) == set(PATIENTS)
        ada = profiles["ada"]
        assert (ada.ward, ada.bed, ada.oxygen) == ("A", "ada", 2.0)
        assert ada.limits == {"oxygen_saturation": {"critical_low": 80.0}}
        assert door.ward_limits("A") == {"heart_rate": {"high": 125.0}}
        whole = {one.alarm: one for outcome in heard if outcome.complete for one in outcome.transitions}
        (news2,) = [one for one in whole.values() if one.condition == "news2.high"]
        assert (news2.presence, news2.onset) == ("acknowledged", standing[news2.alarm].onset)
        limits = {name for name in active if standing[name].condition.startswith("limit.")}
        assert limits
        assert limits <= set(whole)

        now = Clock().now()
        one = Columns(["ben"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([now]), np.array([72.0]))
        await door.observe(one, "monitor")
        async with asyncio.timeout(60):
            while not any(now in times(outcome) for outcome in heard):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        # Nobody hears of an alarm a second time because the worker was replaced.
        result = [decode_transition(record.value) for record in await read(settings, door.topics.alarms)][len(before) :]
        assert [one.alarm for one in result if one.presence == "on" and one.alarm in active] == []
    finally:
        await door.stop()


def times(outcome: Outcome) -> list[int]:
    return outcome.estimates.rows["time"].tolist() if outcome.estimates else []


async def newer_manifest(settings: Settings, member: str) -> str:
    names = topics.Topics.of(settings)
    last = [one.value for one in await read(settings, names.manifests) if one.partition == OWNER][-1]
    manifest = msgspec.msgpack.decode(last) | {member: 99}
    async with writing(settings) as made:
        await made.send(names.manifests, msgspec.msgpack.encode(manifest), key=b"%d" % OWNER, partition=OWNER)
    return f"partition {OWNER} was written by a newer version of vitaltwin ({member} 99; this one knows "


async def newer_block(settings: Settings, kind: str) -> str:
    """A checkpoint of another shape, under a manifest that says nothing of it."""
    names = topics.Topics.of(settings)
    (raw,) = [one.value for one in await read(settings, names.manifests) if one.partition == OWNER][-1:]
    manifest = msgspec.msgpack.decode(raw)
    block = {"type": kind, "version": 99, "offset": manifest["covered"], "shape": "another"}
    async with writing(settings) as made:
        key = b"0" if kind == "block" else b"-1"
        place = await made.send_and_wait(names.twins, msgspec.msgpack.encode(block), key=key, partition=OWNER)
        manifest["blocks"][int(key)] = place.offset
        await made.send(names.manifests, msgspec.msgpack.encode(manifest), key=b"%d" % OWNER, partition=OWNER)
    return f"a checkpoint of partition {OWNER} was written by a newer version of vitaltwin ({kind} version 99; this"


async def newer_record(settings: Settings, _: str) -> str:
    names = topics.Topics.of(settings)
    async with writing(settings) as made:
        record = {"type": "unheard_of", "received": Clock().now()}
        raw = msgspec.msgpack.encode(record)
        place = await made.send_and_wait(names.inputs, raw, partition=OWNER, headers=[(HEADER, b"99")])
        await made.send(names.inputs, encode_record(Tick(Clock().now())), partition=OWNER)
    return f"{names.inputs}[{OWNER}]@{place.offset} was written by a newer version of vitaltwin (format 99; this one"


@pytest.mark.parametrize(
    ("newer", "what"),
    [
        (newer_manifest, "format"),
        (newer_manifest, "columns"),
        (newer_block, "block"),
        (newer_block, "foundation"),
        (newer_record, ""),
    ],
)
async def test_what_a_newer_version_wrote_is_refused_in_a_sentence(
    settings: Settings, worker: ServiceUnderTest, newer: Any, what: str
) -> None:
    await written(settings, load(FILES / NAME))
    sentence = await newer(settings, what)
    before = await state(settings)
    for _ in range(2):  # a supervisor starts it again
        said = await asyncio.to_thread(refused, worker)
        assert sentence in said, said[-2000:]
        assert said.splitlines()[-1].startswith("error: "), said[-2000:]
    after = await state(settings)
    mine = {name: [one for one in records if one[0] == OWNER] for name, records in after.items()}
    if newer is not newer_record:
        assert mine == {name: [one for one in records if one[0] == OWNER] for name, records in before.items()}
    # Whatever was written before the record that is refused, nothing says that the record was taken.
    ends = [one for one in await read(settings, topics.Topics.of(settings).inputs) if one.partition == OWNER]
    place = next((one.offset for one in ends if dict(one.headers).get(HEADER) == b"99"), len(ends))
    covered = [msgspec.msgpack.decode(value or b"")["covered"] for _, _, value in mine["manifests"]]
    assert max(covered) < place
    assert await read(settings, topics.Topics.of(settings).dead_letters, partitions=1) == []


async def test_a_door_shows_nothing_it_may_misunderstand_and_goes_on_taking_readings(settings: Settings) -> None:
    await topics.make(settings)
    door, heard = KafkaService(settings, NoHistory()), list[Outcome]()
    door.listen(heard.append)
    await door.start()

    async def result(offset: int, headers: list[tuple[str, bytes]]) -> None:
        async with writing(settings) as made:
            for partition in range(2):
                outcome = encode_outcome(Outcome(partition=partition, offset=offset, time=offset, complete=True))
                whole = [("for", b"*"), ("answer", b"1"), ("part", b"0/1")]
                beat = [("for", b"*"), ("beat", b"%d" % Clock().now())]
                for more in (whole, beat):
                    await made.send(door.topics.estimates, outcome, partition=partition, headers=[*more, *headers])

    async def health(twins: str) -> None:
        async with asyncio.timeout(30):
            while twins not in str(door.health()["twins"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    try:
        await result(1, [])
        await health("ok")
        assert door.health()["ready"]
        count = len(heard)
        await result(2, [(HEADER, b"99")])
        await health(f"newer version of vitaltwin (format 99; this one knows {FORMAT}): start that version")
        assert not door.health()["ready"]
        assert len(heard) == count
        one = Columns(["ben"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([Clock().now()]), np.array([72.0]))
        await door.observe(one, "monitor")  # the workers take it
        await result(3, [])
        await health("ok")
        assert door.health()["ready"]
    finally:
        await door.stop()
