"""Late, repeated, corrected and retracted readings: the state is, bit for bit, that of the right readings in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import Admit, Frame, Retract, Status
from twins.signals import BY_NAME
from twins.step.dispatch import step

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
    """A bank after these readings in this order, and the status of each."""
    bank = Bank()
    step(bank, Admit(patient="p", received=START), 0)
    outcome = step(bank, frame(times, values), 1)
    return bank, list(outcome.status)


def filter_state(bank):
    """The filter of the one channel as bytes, with its count of readings."""
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
    assert filter_state(late) == filter_state(in_order)
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
    assert filter_state(corrected) == filter_state(right)


@given(disordered())
@settings(max_examples=60)
def test_a_repeated_reading_changes_nothing(case):
    times, values, _ = case
    once, _ = run(times, values)
    again = slice(max(0, len(times) - 15), None)
    twice, status = run(np.r_[times, times[again]], np.r_[values, values[again]])
    assert set(status[len(times) :]) == {Status.DUPLICATE}
    assert filter_state(twice) == filter_state(once)


@pytest.mark.parametrize("count", [31, 45, 46, 300])
def test_a_reading_older_than_the_ring_is_late_and_changes_nothing(count):
    times = START + SECOND * np.arange(1, count + 1)
    values = np.full(count, 80.0)
    before, _ = run(times, values)
    after, status = run(np.r_[times, START], np.r_[values, 75.0])
    assert status[-1] == Status.LATE
    assert filter_state(after) == filter_state(before)


def test_a_reading_before_the_very_first_is_put_first():
    times = START + SECOND * np.arange(1, 11)
    values = np.linspace(80, 90, 10)
    late, status = run(np.r_[times[1:], times[0]], np.r_[values[1:], values[0]])
    in_order, _ = run(times, values)
    assert status[-1] == Status.INSERTED
    assert filter_state(late) == filter_state(in_order)


def retracted(bank, time):
    """The status of a retraction of the reading at ``time``."""
    outcome = step(bank, Retract(patient="p", signal="heart_rate", time=int(time), received=int(time)), 2)
    return Status(outcome.status[0])


def same(bank, truth):
    """Whether the filter is that of the readings ``truth`` in order, as far back as it is stored."""
    wanted = Bank()
    step(wanted, Admit(patient="p", received=START), 0)
    wanted.open_channel(0, HEART_RATE)
    if truth:
        step(wanted, frame(*zip(*sorted(truth.items()), strict=True)), 1)
    assert bank.state[0].tobytes() == wanted.state[0].tobytes()
    count = int(bank.watch[0, layout.HEAD])
    assert count == wanted.watch[0, layout.HEAD] == len(truth)
    here = bank.ring[0, :, 0] > 0
    assert bank.ring[0][here].tobytes() == wanted.ring[0][here].tobytes()
    # The newest readings have no gap between them; empty places are older.
    newest = [(count - back) % layout.RING for back in range(1, 1 + int(here.sum()))]
    assert here[newest].all()
    known = np.isfinite(bank.kept[0, :, layout.LAST])
    assert bank.kept[0][known].tobytes() == wanted.kept[0][known].tobytes()
    return True


@given(disordered(), st.lists(st.integers(1, 15), max_size=6))
@settings(max_examples=150)
def test_a_retracted_reading_leaves_no_trace(case, places):
    times, values, order = case
    bank, _ = run(times[order], values[order])
    truth = dict(zip(times.tolist(), values.tolist(), strict=True))
    for number, back in enumerate(places):
        if back > len(truth):
            continue
        time = sorted(truth)[-back]
        verdict = retracted(bank, time)
        assert verdict == Status.RETRACTED or number
        if verdict == Status.RETRACTED:
            del truth[time]
        same(bank, truth)
        assert verdict == Status.LATE or retracted(bank, time) in (Status.DUPLICATE, Status.LATE)


@given(
    st.integers(1, 80),
    st.lists(st.tuples(st.sampled_from("nnirc"), st.integers(1, 30)), max_size=60),
    st.integers(0, 99),
)
@settings(max_examples=200)
def test_later_readings_are_as_if_a_retracted_one_never_came(count, moves, seed):
    rng = np.random.default_rng(seed)
    times = START + 10 * SECOND * np.arange(1, count + 1)
    values = 80 + np.cumsum(rng.normal(0, 1, count))
    bank, _ = run(times, values)
    truth = dict(zip(times.tolist(), values.tolist(), strict=True))
    for offset, (move, back) in enumerate(moves, 2):
        known = sorted(truth)
        value = 80 + float(rng.normal(0, 3))
        if move == "n":
            time = (known[-1] if known else START) + 10 * SECOND
        elif back > len(known):
            continue
        else:
            time = known[-back] - (move == "i") * SECOND
        if move == "r":
            if retracted(bank, time) == Status.RETRACTED:
                del truth[time]
        elif step(bank, frame([time], [value]), offset).status[0] != Status.LATE:
            truth[time] = value
        same(bank, truth)


def test_retracting_the_only_reading_leaves_an_empty_channel():
    bank, _ = run([START + SECOND], [80.0])
    assert retracted(bank, START + SECOND) == Status.RETRACTED
    assert not any(getattr(bank, name)[0].any() for name in (*FILTER, "due"))
    assert np.flatnonzero(bank.watch[0]).tolist() == []


@pytest.mark.parametrize("count", [31, 45, 46, 300])
def test_a_reading_older_than_the_ring_cannot_be_retracted(count):
    times = START + SECOND * np.arange(1, count + 1)
    bank, _ = run(times, np.full(count, 80.0))
    before = filter_state(bank)
    assert retracted(bank, times[0]) == Status.LATE
    assert retracted(bank, times[-1] + SECOND) == Status.DUPLICATE
    assert retracted(bank, times[-3] + 1) == Status.DUPLICATE
    assert filter_state(bank) == before
    assert retracted(bank, times[-15]) == Status.RETRACTED
