"""Suggested limits never miss an event that lasted and never go beyond the farthest, whatever the alarms were."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.preview.job import Job
from streams.preview.suggest import candidate, suggest
from tests.streams.preview.test_run import T0, S, course_of
from twins.records import Profile
from twins.signals import BY_NAME

SPO2 = BY_NAME["oxygen_saturation"]
HEART = BY_NAME["heart_rate"]


def suggested(value, **limits):
    course = course_of(value)
    job = Job(
        patients=[Profile(patient="p0", ward="A")], setup=[], changes=[], start=T0, end=int(course.time[-1]) + S
    )  # fmt: skip
    defaults = {name: getattr(HEART.limits, name) for name in ("critical_low", "low", "high", "critical_high")}
    return suggest(job, course, {"p0": {"heart_rate": defaults | limits}})


def dips(to: float, count: int, length: int, every: int = 700) -> np.ndarray:
    """A pulse of 72 that falls to ``to`` for ``length`` seconds, ``count`` times."""
    value = np.full(count * every + 100, 72.0)
    for number in range(count):
        value[number * every + 100 : number * every + 100 + length] = to
    return value


def test_many_short_dips_and_one_that_lasts_and_goes_deeper():
    value = np.concatenate([dips(48.0, 8, 25), dips(43.0, 1, 90)])
    (found,) = suggested(value)
    assert (found.signal, found.bound, found.present) == ("heart_rate", "low", 50.0)
    assert (found.alarms_present, found.alarms_suggested, found.sustained) == (9, 1, 1)
    assert 43.0 < found.suggested <= 48.0


def test_nothing_is_suggested_if_the_lasting_ones_are_no_deeper():
    assert suggested(np.concatenate([dips(48.0, 8, 25), dips(48.0, 1, 90)])) == []


def test_few_alarms_need_no_suggestion():
    assert suggested(dips(48.0, 4, 25)) == []


values = st.lists(st.integers(70, 95).map(float), min_size=1, max_size=40)


@given(worst=values, lasting=st.lists(st.integers(70, 91).map(float), max_size=5), limit=st.integers(85, 94).map(float))
def test_a_candidate_keeps_every_lasting_alarm(worst, lasting, limit):
    lasting = [one for one in lasting if one < limit]
    found = candidate(SPO2, "low", limit, 82.0, [*worst, *lasting], lasting)
    if found is None:
        return
    assert 82.0 < found < limit
    assert found >= SPO2.farthest.low or math.isnan(SPO2.farthest.low)
    assert all(one < found for one in lasting)
    avoided = sum(one >= found for one in [*worst, *lasting])
    assert avoided >= 0.4 * len([*worst, *lasting])


@given(worst=st.lists(st.integers(100, 250).map(float), min_size=1, max_size=30))
def test_a_high_limit_stays_below_the_critical_one(worst):
    found = candidate(HEART, "high", 120.0, 150.0, worst, [])
    assert found is None or 120.0 < found < 150.0
