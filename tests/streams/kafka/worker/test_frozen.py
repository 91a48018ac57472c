"""A partition that an earlier version left a year ahead of the clock, after a restart: real broker and worker."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from streams.clock import Clock
from streams.kafka.messages import decode_transition
from streams.kafka.worker import checkpoints
from streams.log.log import encode_record
from streams.settings import Settings
from tests.streams.kafka.test_clocks import SECOND, YEAR, Producer, alarm, heart, until
from tests.support.cluster import figure
from tests.support.service import ServiceUnderTest
from twins.records import Admit, Tick

pytestmark = [pytest.mark.slow, pytest.mark.fault]

EARLIER = """
import importlib.machinery
import faust
faust.__spec__ = importlib.machinery.ModuleSpec("faust", None)  # it has none, once imported: the program looks for it
from streams.kafka.worker import intake, worker
intake.Intake._in_time = lambda *_: None
worker.AHEAD_US = 1 << 62
from api.cli import main
main()
"""
"""A worker that trusts every record's time and never sets the log's time back."""


async def eventually(found: Callable[[], Awaitable[bool]], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not await found():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)


async def test_a_partition_that_was_frozen_thaws_at_the_restart_and_stays_so(
    settings: Settings, worker: ServiceUnderTest
) -> None:
    worker.environment["VITALTWIN_CHECKPOINT_SECONDS"] = "1"
    today = list(worker.program)
    worker.program[1:] = ["-c", EARLIER, "worker"]

    async def covered(least: int, most: int) -> bool:
        """Whether the partition's checkpoint has a time so far from now."""
        time = (await checkpoints.read(settings, [0]))[0].manifest.time
        return least <= time - Clock().now() <= most

    async def set_back() -> bool:
        return await asyncio.to_thread(figure, worker, "vitaltwin_worker_set_back_total") == 1

    async with Producer(settings) as producer:
        await asyncio.to_thread(worker.start)
        await producer.write(encode_record(Admit(patient="a", received=Clock().now())))
        await producer.write(heart("a", 80.0))
        await producer.write(encode_record(Tick(Clock().now() + YEAR)))
        await eventually(lambda: covered(YEAR - 3600 * SECOND, YEAR + 3600 * SECOND))
        await asyncio.to_thread(worker.kill)

        worker.program[:] = today
        for life, (value, presence) in enumerate([(190.0, "on"), (80.0, "latched")]):
            await asyncio.to_thread(worker.start)
            if not life:
                await eventually(set_back)
            begun = Clock().now()
            found = asyncio.create_task(
                until(settings, producer.names.alarms, alarm("a", "limit.critical_high", presence), 180.0)
            )
            while not found.done():
                await producer.write(heart("a", value))
                await asyncio.sleep(0.5)
            result = decode_transition((await found)[-1])
            assert begun - 5 * SECOND <= result.emitted <= Clock().now() + 5 * SECOND
            assert await set_back() is not bool(life), "once, and not at the next restart"
            await eventually(lambda: covered(-30 * SECOND, 5 * SECOND))
            await asyncio.to_thread(worker.kill)
