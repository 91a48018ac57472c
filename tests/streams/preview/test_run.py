"""A preview against what the step does with the same readings one second at a time, and against hand-made episodes."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.log.frame import as_record
from streams.preview.course import Course, records_of, step_of
from streams.preview.episodes import Episodes, only_in
from streams.preview.job import Episode, Job, TooLarge
from streams.preview.run import RUN_IN_US, episodes_of, preview, setup_of
from streams.preview.sources import load
from tests.streams.history.conftest import File
from twins.bank.bank import Bank
from twins.records import Columns, Frame, Profile, SetLimits, Tick
from twins.signals import BY_NAME
from twins.step.dispatch import step

S = 1_000_000
T0 = 1_767_225_600 * S
HR = BY_NAME["heart_rate"].code


def course_of(value: np.ndarray, patients: int = 1, step_s: int = 1) -> Course:
    """A pulse once every ``step_s`` seconds."""
    time = np.repeat(T0 + np.arange(len(value)) * step_s * S, patients)
    return Course(
        [f"p{number}" for number in range(patients)], np.tile(np.arange(patients, dtype="u4"), len(value)),
        np.full(len(time), HR, "u2"), time, np.repeat(value, patients).astype("f8"), time, [],
    )  # fmt: skip


def job_of(course: Course, changes: tuple[SetLimits, ...] = (), **more: int) -> Job:
    profiles = [Profile(patient=patient, ward="A") for patient in course.patients]
    end = int(course.time[-1]) + S
    return Job(patients=profiles, setup=[], changes=list(changes), start=T0, end=end, **more)


def second_by_second(course: Course, job: Job) -> Episodes:
    """As the service does it: a frame and a tick every second."""
    bank, offset, found = Bank(), 0, Episodes(T0)
    for record in setup_of(job.patients, [], T0 - RUN_IN_US):
        step(bank, record, offset)
        offset += 1
    for now in np.unique(course.time).tolist():
        of = course.time == now
        columns = Columns(course.patients, course.patient[of], course.signal[of], course.time[of], course.value[of])
        for record in (as_record(columns, now), Tick(now)):
            found.take(step(bank, record, offset).transitions)
            offset += 1
    return found


def noisy(seed: int, count: int = 3600) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.round(90 + 35 * np.sin(np.arange(count) / 180 + seed) + rng.normal(0, 2, count))


def limits_of(found: Episodes) -> set[tuple[str, str, int]]:
    return {(one.patient, one.condition, one.onset) for one in found.found if one.condition.startswith("limit.")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_alarms_are_those_of_a_run_second_by_second(seed):
    course = course_of(noisy(seed), 3)
    assert step_of(course) == S
    job = job_of(course)
    found, wanted = episodes_of(course, job, ()), second_by_second(course, job)
    assert limits_of(found) == limits_of(wanted)
    assert len(limits_of(wanted)) >= 9
    assert only_in(found.found, wanted.found, job.end) == only_in(wanted.found, found.found, job.end) == []


def test_a_long_course_in_steps_of_ten_seconds_has_the_same_lasting_alarms():
    course = course_of(noisy(4, 25_000))
    assert step_of(course) == 10 * S
    job = job_of(course)
    found, wanted = episodes_of(course, job, ()), second_by_second(course, job)
    assert len(wanted.found) > 20
    lasting = [one for one in wanted.found if (one.end or job.end) - one.onset >= 60 * S]
    assert lasting
    assert only_in(lasting, found.found, job.end) == only_in(found.found, wanted.found, job.end) == []


def test_every_reading_and_fact_comes_once_and_time_never_goes_back():
    course = course_of(noisy(5, 100), 2, step_s=7)
    records = list(records_of(course, int(course.time[-1]) + 3_600 * S))
    frames = [one for one in records if isinstance(one, Frame)]
    assert sum(len(one.columns) for one in frames) == 200
    times = [one.received for one in records]
    assert times == sorted(times)
    assert times[-1] == int(course.time[-1]) + 3_600 * S


def test_gained_and_lost_are_openable():
    value = np.full(900, 72.0)
    value[300:330], value[600:700] = 47.0, 47.0
    course = course_of(value)
    job = job_of(course, (SetLimits(patient="p0", signal="heart_rate", low=40.0, high=70.0, keep=["critical_low"]),))
    found = preview(job, course, [], [])
    assert [(one.condition, one.onset >= T0 + 300 * S, one.end > one.onset) for one in found.lost] == [
        ("limit.low", True, True)
    ] * 2
    assert (found.lost_count, found.lost_sustained) == (2, 1)
    assert {value for _, value in found.lost[0].readings} == {47.0, 72.0}
    assert found.gained_count >= 1
    assert found.gained[0].condition == "limit.high"
    assert found.gained[0].explanation["limit"]["bound"] == 70.0


spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=8)


@given(spans, spans)
def test_an_alarm_is_only_in_one_run_if_nothing_overlaps_it(some, others):
    def made(spans):
        return [
            Episode(
                id=f"{begin}-{length}-{at}", patient="p", ward="", family="low", condition="limit.low", signal="heart_rate",
                priority="medium", onset=begin + 1, end=begin + 1 + length,
            )
            for at, (begin, length) in enumerate(spans)
        ]  # fmt: skip

    mine, theirs = made(some), made(others)
    alone = {one.id for one in only_in(mine, theirs, 100)}
    for one in mine:
        touched = set(range(one.onset, one.end + 1))
        assert (one.id in alone) == all(touched.isdisjoint(range(other.onset, other.end + 1)) for other in theirs)


def test_too_many_readings_are_refused(tmp_path: Path):
    file = File(tmp_path / "service.db")
    file.observe("p0", T0 + np.arange(50) * S, np.full(50, 72.0), signal=HR)
    file.flush()
    job = Job(patients=[Profile(patient="p0")], setup=[], changes=[], start=T0, end=T0 + 100 * S, most_readings=49)
    with pytest.raises(TooLarge, match="more than 49 readings"):
        asyncio.run(load(job, file.history))
    job.most_readings = 50
    course, parts, missing = asyncio.run(load(job, file.history))
    assert (len(course), [one.source for one in parts]) == (50, ["history"])
    assert "arrival" in missing
    file.close()
