"""Two workers of different versions on one real broker: the earlier one hands over, and takes nothing back.

The earlier version is today's program with an earlier version of checkpoints and fewer columns in them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

from streams.clock import Clock
from streams.history.nothing import NoHistory
from streams.kafka import topics
from streams.kafka.door.service import KafkaService
from streams.kafka.group import look
from streams.kafka.worker import checkpoints
from streams.log.log import decode_record
from streams.settings import Settings
from streams.worker.worker import Worker
from tests.bench.recovery import readings_of
from tests.streams.kafka.files.make import read
from tests.support.cluster import command_of, ready
from tests.support.service import ServiceUnderTest
from tests.support.topics import compare
from twins.bank import layout
from twins.bank.checkpoint import VERSION
from twins.records import Acknowledge, Admit, Columns, Frame, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.fault]

EARLIER = f"""
from twins.bank import checkpoint
checkpoint.VERSION = {VERSION - 1}
checkpoint.KEPT_ROWS = tuple(name for name in checkpoint.KEPT_ROWS if name not in ("stretch", "tried", "shown"))
from api.cli import main
main()
"""
STEADY = [f"steady {number:02}" for number in range(40)]
ILL = [f"ill {number:02}" for number in range(12)]
EVERY_S = 0.2
SENTENCE = f"was written by a newer version of vitaltwin (columns {VERSION}; this one knows {VERSION - 1})"


class Ward:
    """A door in this process, and devices that post through it until the ward is closed."""

    def __init__(self, settings: Settings) -> None:
        self.door = KafkaService(settings, NoHistory())
        self.heard: list[Outcome] = []
        self.taken: list[Columns] = []
        self.of_ill = 190.0
        self.door.listen(self.heard.append)
        self._round = 0

    async def admit(self) -> None:
        for patient in STEADY + ILL:
            await self.door.append(Admit(patient=patient, ward="A", by="test"))

    async def post(self) -> None:
        while True:
            self._round += 1
            names = STEADY + ILL
            # Steps so small that a filter that has just started takes none for an artefact.
            value = np.array([80.0 + self._round % 2 / 10] * len(STEADY) + [self.of_ill] * len(ILL))
            time = np.full(len(names), Clock().now())
            columns = Columns(names, np.arange(len(names), dtype="u4"), np.zeros(len(names), "u2"), time, value)
            await self.door.observe(columns, "monitor")
            self.taken.append(columns)
            await asyncio.sleep(EVERY_S)

    def alarms(self) -> dict[str, str]:
        """The newest presence of every heart rate that was critically high; its alarm may have eased since."""
        result = [one for outcome in list(self.heard) for one in outcome.transitions]
        critical = {one.alarm for one in result if one.condition == "limit.critical_high"}
        return {one.alarm: one.presence for one in result if one.alarm in critical}


async def until(true: Callable[[], Any], what: str, seconds: float = 120.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(true):  # noqa: ASYNC110 - a thing of other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s in vain for {what}") from None


@asynccontextmanager
async def a_ward(settings: Settings) -> AsyncIterator[Ward]:
    ward = Ward(settings)
    await ward.door.start()
    posting = None
    try:
        await ward.admit()
        posting = asyncio.create_task(ward.post())
        await until(lambda: len(ward.alarms()) == len(ILL), "an alarm of everybody who is ill")
        yield ward
    finally:
        if posting is not None:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
        await ward.door.stop()


@pytest.fixture
def earlier(given: dict[str, str]) -> Any:
    with ServiceUnderTest(command_of("worker"), **given) as worker:
        worker.program[1:] = ["-c", EARLIER, "worker"]
        yield worker


async def started(worker: ServiceUnderTest) -> None:
    worker.begin()
    await until(lambda: ready(worker), "a worker to be ready")


async def shares(settings: Settings) -> list[list[int]]:
    return sorted((await look(settings)).members.values())


async def manifests(settings: Settings, columns: int) -> dict[int, list[dict[str, Any]]]:
    """Those of one version, by partition in their order."""
    found: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    for record in await read(settings, topics.Topics.of(settings).manifests):
        manifest = msgspec.msgpack.decode(record.value)
        if manifest["columns"] == columns:
            found[record.partition].append(manifest)
    return found


async def taken_over_once(settings: Settings) -> None:
    """Every channel counts the readings of the log behind the last checkpoint of the earlier version, each once."""
    names = topics.Topics.of(settings)
    blobs = {(one.partition, one.offset): one.value for one in await read(settings, names.twins)}
    inputs = await read(settings, names.inputs)
    now = await checkpoints.read(settings, range(2))
    for partition, before in (await manifests(settings, VERSION - 1)).items():
        begin = msgspec.msgpack.decode(blobs[partition, before[-1]["blocks"][0]])["offset"]
        worker = Worker(NoHistory())
        worker.assign(partition, now[partition].blobs, now[partition].manifest.covered)
        bank = worker.banks[partition]
        wanted: Counter[str] = Counter()
        for record in inputs:
            one = decode_record(record.value)
            # A worker that ends on a busy machine may leave the last records to the next one.
            if record.partition == partition and begin < record.offset <= bank.covered[0] and isinstance(one, Frame):
                wanted.update(patient for patient, *_ in readings_of(one.columns))
        count = {
            bank.profile(int(bank.patient_of_row[row])).patient: int(bank.state[row, layout.COUNT])
            for row in range(bank.rows)
        }
        steady = {patient: number for patient, number in count.items() if patient in STEADY}
        assert steady
        assert steady == {patient: wanted[patient] for patient in steady}, partition


async def nothing_is_lost(settings: Settings, ward: Ward) -> None:
    found = await asyncio.to_thread(compare, settings, ward.taken)
    assert found["acknowledged"] > 1_000
    assert (found["lost"], found["applied_twice"]) == (0, 0)
    result = Counter(one.id for outcome in ward.heard if not outcome.complete for one in outcome.transitions)
    assert [one for one, count in result.items() if count > 1] == []


async def ended_well(ward: Ward, alarms: dict[str, str]) -> None:
    """Everybody who was ill gets well: the earlier alarms end, by their ids, and there are no others.

    One that nobody acknowledged is latched.
    """
    ward.of_ill = 80.0
    wanted = {one: "off" if presence == "acknowledged" else "latched" for one, presence in alarms.items()}
    await until(lambda: ward.alarms() == wanted, "the alarms to end")


async def test_an_earlier_worker_hands_over_to_a_newer_one_and_takes_nothing_back(
    settings: Settings, worker: ServiceUnderTest, earlier: ServiceUnderTest
) -> None:
    await topics.make(settings)
    await started(earlier)
    async with a_ward(settings) as ward:
        some = list(ward.alarms())[:4]
        patients = {one.alarm: one.patient for outcome in ward.heard for one in outcome.transitions}
        for alarm in some:
            await ward.door.append(Acknowledge(patient=patients[alarm], alarm=alarm, by="nurse"))
        await until(lambda: [ward.alarms()[one] for one in some] == ["acknowledged"] * 4, "acknowledged alarms")
        before = ward.alarms()

        await started(worker)
        await until(lambda: asyncio.run(shares(settings)) == [[0], [1]], "one partition each")
        await asyncio.sleep(2.0)
        assert await asyncio.to_thread(earlier.stop) is None
        await until(lambda: asyncio.run(shares(settings)) == [[0, 1]], "all with the newer one")
        await until(lambda: ready(worker), "the newer one to have all")
        assert "Traceback" not in earlier.said()
        assert ward.alarms() == before

        mark = len(ward.taken)
        await asyncio.to_thread(earlier.begin)
        await until(lambda: not earlier.running, "the earlier version to be refused")
        assert SENTENCE in earlier.said().splitlines()[-1]
        await until(lambda: len(ward.taken) > mark + 10, "readings to be taken meanwhile")
        assert await shares(settings) == [[0, 1]]
        assert ward.alarms() == before
        await ended_well(ward, before)
    await asyncio.to_thread(worker.stop)
    await nothing_is_lost(settings, ward)
    await taken_over_once(settings)


async def test_an_earlier_worker_that_is_given_what_a_newer_one_wrote_ends_and_leaves_it(
    settings: Settings, worker: ServiceUnderTest, earlier: ServiceUnderTest
) -> None:
    await topics.make(settings)
    await started(earlier)
    async with a_ward(settings) as ward:
        before = ward.alarms()
        await started(worker)
        await until(lambda: asyncio.run(shares(settings)) == [[0], [1]], "one partition each")
        await until(lambda: any(asyncio.run(manifests(settings, VERSION)).values()), "a manifest of the newer one")
        await asyncio.to_thread(worker.stop)
        (mine,) = [partition for partition, found in (await manifests(settings, VERSION)).items() if found]
        await until(lambda: not earlier.running, "the earlier version to end")
        last = earlier.said().splitlines()[-1]
        assert last.startswith(f"error: partition {mine} {SENTENCE}"), last
        places = [one for one in await read(settings, topics.Topics.of(settings).manifests) if one.partition == mine]
        assert msgspec.msgpack.decode(places[-1].value)["columns"] == VERSION
        await started(worker)
        assert ward.alarms() == before
        await ended_well(ward, before)
    await asyncio.to_thread(worker.stop)
    await nothing_is_lost(settings, ward)
    await taken_over_once(settings)
