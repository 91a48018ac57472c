"""A preview in its own process with readings from InfluxDB: the same as in this process with readings from SQLite."""

import asyncio

import numpy as np

from api.doors.limits_preview import settings_of_child
from streams.clock import Clock
from streams.history.influx import InfluxHistory
from streams.preview.child import Question, answer, ask
from streams.preview.job import Job, Preview
from streams.settings import Settings
from tests.streams.history.conftest import File
from twins.records import Profile, SetLimits
from twins.signals import BY_NAME

S = 1_000_000
HR = BY_NAME["heart_rate"].code


async def test_both_histories_give_the_same_preview(file: File, history: InfluxHistory, settings: Settings) -> None:
    begin = Clock().now() // S * S - 7_200 * S
    value = np.full(900, 72.0)
    value[300:330], value[600:700] = 47.0, 47.0
    time = begin + np.arange(900) * S
    file.observe("p0", time, value, signal=HR)
    file.flush()
    nobody, of = np.zeros(900, "u4"), np.full(900, HR, "u2")
    history.add_observations(0, 0, ["p0"], nobody, of, time, value, np.zeros(900, "u1"))
    history.complete(0, 0)
    await history.settled()

    def job() -> Job:
        lower = SetLimits(patient="p0", signal="heart_rate", low=45.0, keep=["critical_low", "high", "critical_high"])
        return Job(
            patients=[Profile(patient="p0", ward="A")], setup=[], changes=[lower], start=begin, end=begin + 900 * S
        )  # fmt: skip

    from_influx = await ask(Question(job=job(), store="influx", settings=settings_of_child(settings)), 120.0)
    own = settings.model_copy(update={"database": file.path})

    from_file = await asyncio.to_thread(answer, Question(job=job(), store="sqlite", settings=settings_of_child(own)))
    assert isinstance(from_influx, Preview)
    assert isinstance(from_file, Preview)
    assert (from_influx.readings, from_influx.lost_count, from_influx.lost_sustained) == (900, 2, 1)
    from_influx.seconds = from_file.seconds = 0.0
    assert from_influx == from_file
