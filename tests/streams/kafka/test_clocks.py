"""Really wrong clocks: a worker's, a producer's; and foreign records that could have stopped a partition."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

import aiokafka
import numpy as np
import pytest

from streams.clock import Clock
from streams.kafka import topics
from streams.kafka.connect import options
from streams.kafka.messages import decode_transition
from streams.log.frame import as_record
from streams.log.log import decode_dead_letter, encode_record
from streams.settings import Settings
from tests.support.service import ServiceUnderTest
from twins.records import Admit, Columns, Tick

pytestmark = [pytest.mark.slow, pytest.mark.fault]

SECOND = 1_000_000
YEAR = 365 * 86_400 * SECOND

SHIFTED = """
import time
apart_s = {apart_s}
wall, wall_ns = time.time, time.time_ns
time.time = lambda: wall() + apart_s
time.time_ns = lambda: wall_ns() + int(apart_s * 1e9)
from api.cli import main
main()
"""


def heart(patient: str, value: float, received: int | None = None) -> bytes:
    now = Clock().now()
    columns = Columns([patient], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([now]), np.array([value]))
    return encode_record(as_record(columns, now if received is None else received))


class Producer:
    """A foreign producer that writes to the log's first partition."""

    def __init__(self, settings: Settings) -> None:
        self.names = topics.Topics.of(settings)
        self._settings = settings
        self._producer = aiokafka.AIOKafkaProducer(**options(settings))

    async def __aenter__(self) -> Self:
        await topics.make(self._settings)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, raw: bytes, **more: Any) -> None:
        await self._producer.send_and_wait(self.names.inputs, raw, partition=0, **more)


async def until(settings: Settings, topic: str, found: Callable[[bytes], bool], seconds: float = 120.0) -> list[bytes]:
    """The records of a topic up to the first one that ``found`` accepts."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, **options(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    seen: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            async for record in consumer:
                seen.append(record.value)
                if found(record.value):
                    return seen
    except TimeoutError:
        raise AssertionError(f"not in {topic} within {seconds:g} s; it holds {seen[-5:]}") from None
    finally:
        await consumer.stop()
    return seen


def alarm(patient: str, condition: str, presence: str = "on") -> Callable[[bytes], bool]:
    def found(raw: bytes) -> bool:
        one = decode_transition(raw)
        return (one.patient, one.condition, one.presence) == (patient, condition, presence)

    return found


@pytest.mark.parametrize("apart_s", [-600, 600])
async def test_silent_whatever_a_clock_says(settings: Settings, worker: ServiceUnderTest, apart_s: int) -> None:
    """A worker more than 5 s behind the doors ignored its own ticks; a worker ahead declared every sensor silent at once."""
    worker.program[1:] = ["-c", SHIFTED.format(apart_s=apart_s), "worker"]
    async with Producer(settings) as door:
        await asyncio.to_thread(worker.start)
        await door.write(encode_record(Admit(patient="a", received=Clock().now())))
        sent = []
        for _ in range(8):
            sent.append(Clock().now())
            await door.write(heart("a", 80.0))
            await asyncio.sleep(1.0)
        seen = await until(settings, door.names.alarms, alarm("a", "sensor.silent"))
        assert len(seen) == 1, [decode_transition(raw).condition for raw in seen]
        # Not while readings came: a heart rate is silent after 20 s.
        silent = decode_transition(seen[0]).emitted
        assert silent - max(moment for moment in sent if moment < silent) >= 20 * SECOND
        # The silence ends as soon as it sends again.
        await door.write(heart("a", 80.0))
        await until(settings, door.names.alarms, alarm("a", "sensor.silent", "off"))


async def test_records_that_were_to_stop_a_partition_do_not(settings: Settings, worker: ServiceUnderTest) -> None:
    """A year ahead in every form, patients without a name: the next critical value still raises an alarm, after a restart too."""
    worker.environment["VITALTWIN_CHECKPOINT_SECONDS"] = "1"
    ahead = Clock().now() + YEAR
    dated = str(np.datetime64(ahead, "us")) + "Z"
    now = str(np.datetime64(Clock().now(), "us")) + "Z"
    entry = {"patient": "x", "signal": "heart_rate", "time": now, "value": 72}
    async with Producer(settings) as door:
        await asyncio.to_thread(worker.start)
        await door.write(encode_record(Admit(patient="a", received=Clock().now())))
        for raw in (
            encode_record(Tick(ahead)), encode_record(Tick(-1)), encode_record(Tick(0)), heart("a", 80.0, ahead),
            heart("a", 81.0, 0), encode_record(Admit(patient="b", received=ahead)), encode_record(Admit(patient="", received=1)),
            json.dumps(entry | {"time": dated}).encode(), json.dumps(entry | {"patient": ""}).encode(),
            json.dumps([entry, entry | {"status": "cancelled"}]).encode(),
        ):  # fmt: skip
            await door.write(raw)
        await door.write(json.dumps(entry).encode(), timestamp_ms=(Clock().now() + 1800 * SECOND) // 1000)
        for life in range(2):
            value = 190.0 + life
            for _ in range(20):
                await door.write(heart(f"life {life}", value))  # nobody yet: it is only the log that moves
                await door.write(heart("a", value))
                await asyncio.sleep(0.5)
            if not life:
                await until(settings, door.names.alarms, alarm("a", "limit.critical_high"))
                await asyncio.to_thread(worker.kill)
                await asyncio.to_thread(worker.start)
        await until(settings, door.names.alarms, alarm("a", "sensor.silent"))
        letters: list[str] = []

        def result(raw: bytes) -> bool:
            letters.append(decode_dead_letter(raw).reason)
            return len(letters) >= 4

        await until(settings, door.names.dead_letters, result)
    assert set(letters) == {"bad_patient_id", "time_in_future", "status_not_taken"}
