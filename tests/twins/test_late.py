"""Readings that come late, twice or corrected: the state is, bit for bit, that of the readings in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twins.bank import Bank
from twins.kernels import layout
from twins.records import Admit, Frame, Status
from twins.signals import BY_NAME
from twins.step import step

HEART_RATE = BY_NAME["heart_rate"].code
SECOND = 1_000_000
START = 1_700_000_000 * SECOND
FILTER = ("state", "ring", "kept")


def frame(times, values):
    count = len(times)
    return Frame(
        received=int(max(times)),
        patients=["p"],
        patient=np.zeros(count, "<u4").tobytes(),
        signal=np.full(count, HEART_RATE, "<u2").tobytes(),
        time=np.asarray(times, "<i8").tobytes(),
        value=np.asarray(values, "<f8").tobytes(),
    )


def run(times, values):
    """A bank after these readings in this order, and what became of each."""
    bank = Bank()
    step(bank, Admit(patient="p", received=START), 0)
    outcome = step(bank, frame(times, values), 1)
    return bank, list(outcome.status)


def held(bank):
    """The filter of the one channel, as bytes; the count of readings with it."""
    return [getattr(bank, name)[0].tobytes() for name in FILTER] + [bank.watch[0, layout.HEAD]]


@st.composite
def disordered(draw):
    """Readings in order, and the same with some of them up to 14 places late."""
    count = draw(st.integers(2, 120))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 60, 900]), min_size=count, max_size=count))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    times = START + SECOND * np.cumsum(steps)
    values = 80 + np.cumsum(rng.normal(0, 1, count))
    values[rng.random(count) < 0.05] = 0.0
    values[rng.random(count) < 0.05] = 170.0
    order = np.argsort(np.arange(count) + rng.integers(0, 15, count) * (rng.random(count) < 0.3), kind="stable")
    return times, values, order


@given(disordered())
@settings(max_examples=200)
def test_a_late_reading_gives_the_state_as_if_it_had_come_in_time(case):
    times, values, order = case
    in_order, _ = run(times, values)
    late, status = run(times[order], values[order])
    assert Status.LATE not in status
    assert held(late) == held(in_order)
    behind = times[order] < np.maximum.accumulate(times[order])
    assert (np.array(status)[behind] == Status.INSERTED).all()


@given(disordered(), st.integers(1, 14))
@settings(max_examples=60)
def test_a_corrected_value_gives_the_state_as_if_it_had_been_right(case, back):
    times, values, _ = case
    at = max(0, len(times) - 1 - back)
    wrong = values.copy()
    wrong[at] += 7.0
    right, _ = run(times, values)
    corrected, status = run(np.r_[times, times[at]], np.r_[wrong, values[at]])
    assert status[-1] == Status.CORRECTED
    assert held(corrected) == held(right)


@given(disordered())
@settings(max_examples=60)
def test_what_comes_twice_changes_nothing(case):
    times, values, _ = case
    once, _ = run(times, values)
    again = slice(max(0, len(times) - 15), None)
    twice, status = run(np.r_[times, times[again]], np.r_[values, values[again]])
    assert set(status[len(times) :]) == {Status.DUPLICATE}
    assert held(twice) == held(once)


@pytest.mark.parametrize("count", [31, 45, 46, 300])
def test_what_is_older_than_the_ring_is_late_and_changes_nothing(count):
    times = START + SECOND * np.arange(1, count + 1)
    values = np.full(count, 80.0)
    before, _ = run(times, values)
    after, status = run(np.r_[times, START], np.r_[values, 75.0])
    assert status[-1] == Status.LATE
    assert held(after) == held(before)


def test_a_reading_before_the_very_first_is_put_first():
    times = START + SECOND * np.arange(1, 11)
    values = np.linspace(80, 90, 10)
    late, status = run(np.r_[times[1:], times[0]], np.r_[values[1:], values[0]])
    in_order, _ = run(times, values)
    assert status[-1] == Status.INSERTED
    assert held(late) == held(in_order)
