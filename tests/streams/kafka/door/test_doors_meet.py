"""A door that starts while outcomes flow, and two doors with the same admission: real brokers, workers and doors."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.live.state import LiveState
from streams.clock import Clock
from streams.history.nothing import NoHistory
from streams.kafka.door.service import KafkaService
from streams.log.log import encode_record
from streams.settings import Settings
from tests.streams.kafka.test_clocks import Producer, alarm, heart, until
from tests.support.cluster import command_of, figure
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest
from twins.records import Admit, Transition

pytestmark = [pytest.mark.slow, pytest.mark.fault]

NAMES = [f"p{number:02d}" for number in range(25)]

HELD_UP = """
import asyncio, importlib.machinery, pathlib
import faust
from streams.kafka.worker import outgoing, roll_call
from streams.kafka.messages import PART
faust.__spec__ = importlib.machinery.ModuleSpec("faust", None)  # it has none, once imported: the program looks for it
gate, begun = pathlib.Path({gate!r}), pathlib.Path({begun!r})
roll_call._STATED = 10
outcome = outgoing.Outgoing.outcome
async def held_up(self, said, headers=None):
    part, _, count = dict(headers or ()).get(PART, b"0/1").partition(b"/")
    if int(part) == int(count) - 1 and part != b"0":
        begun.touch()
        while not gate.exists():
            await asyncio.sleep(0.05)
    await outcome(self, said, headers)
outgoing.Outgoing.outcome = held_up
from api.cli import main
main()
"""
"""A worker that sends its state in parts of ten patients, and whose last part waits for a file."""


async def eventually(found: Callable[[], object], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(found):  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.1)


async def test_a_door_that_starts_midstream_shows_what_came_between_the_parts(
    settings: Settings, worker: ServiceUnderTest, tmp_path: Path
) -> None:
    """The worker goes on between two parts of its answer: a patient is admitted there and becomes critical."""
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    worker.program[1:] = ["-c", HELD_UP.format(gate=str(gate), begun=str(begun)), "worker"]
    view, news = LiveState(), list[Transition]()
    door = KafkaService(settings, NoHistory())
    door.listen(lambda outcome: news.extend(view.apply(outcome).events))
    async with Producer(settings) as producer:
        await asyncio.to_thread(worker.start)
        for name in NAMES:
            await producer.write(encode_record(Admit(patient=name, ward="A", received=Clock().now())))
        await eventually(lambda: figure(worker, "vitaltwin_patients") == len(NAMES))
        await door.start()
        try:
            await eventually(begun.exists)
            await producer.write(encode_record(Admit(patient="new", ward="A", received=Clock().now())))
            found = asyncio.create_task(
                until(settings, producer.names.alarms, alarm("new", "limit.critical_high"), 180.0)
            )
            while not found.done():
                await producer.write(heart("new", 190.0))
                await asyncio.sleep(0.5)
            await found
            assert not door.ready
            assert not view.patients()
            gate.touch()
            await eventually(lambda: door.ready)
            await eventually(lambda: view.active_alarms(patient="new"))
        finally:
            await door.stop()
    assert {profile.patient for profile in view.patients()} == {*NAMES, "new"}
    assert "heart_rate" in str(view.state("new"))
    on = [(one.patient, one.presence) for one in news if one.condition == "limit.critical_high"]
    assert on == [("new", "on")]


@pytest.fixture
def doors(given: dict[str, str], worker: ServiceUnderTest) -> Iterator[list[ServiceUnderTest]]:
    """Two doors, each with its own accounts."""
    with ExitStack() as stack:
        both = [stack.enter_context(ServiceUnderTest(command_of("api"), **given)) for _ in range(2)]
        with ServiceUnderTest(command_of("init"), **given) as made:
            made.arguments = []
            made.begin()
            assert made._running.wait(180) == 0, made.said()
        worker.start()
        for door in both:
            door.start()
        yield both


def test_of_two_doors_that_admit_one_id_one_wins(doors: list[ServiceUnderTest]) -> None:
    """The log decides: one gets 201, the other 409, and both show the ward of the winner."""
    sessions = [door.session() for door in doors]
    names = [f"bed-{number}" for number in range(12)]
    result: list[dict[str, int]] = [{}, {}]
    meet = threading.Barrier(2)

    def admit(which: int) -> None:
        with RawConnection(doors[which].port, timeout_s=60.0) as wire:
            for name in names:
                meet.wait(120)
                body = {"id": name, "ward": f"ward {which}"}
                result[which][name], *_ = wire.exchange("POST", "/v1/patients", body, {"Cookie": sessions[which]})

    both = [threading.Thread(target=admit, args=(which,)) for which in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(240)
    for name in names:
        answers = [answers.get(name) for answers in result]
        assert sorted(answers, key=str) == [201, 409], (name, answers)
        for door, session in zip(doors, sessions, strict=True):
            with RawConnection(door.port, timeout_s=60.0) as wire:
                shown = wire.json("GET", f"/v1/patients/{name}", cookie=session)
            assert shown["ward"] == f"ward {answers.index(201)}"
            assert shown["active"]
