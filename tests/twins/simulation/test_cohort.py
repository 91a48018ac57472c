"""Synthetic patients: repeatable, plausible, and disturbed when they should be."""

from itertools import pairwise

import numpy as np
import pytest

from twins.signals import BY_NAME
from twins.simulation.cohort import CADENCE_S, EPISODES, VITALS, Episode, draw, glucose, ill, readings, vital, worn

HOUR = np.arange(0.0, 3_600.0)


@pytest.mark.parametrize("signal", VITALS)
def test_the_same_times_give_the_same_readings_in_any_order(signal):
    person = draw(3)
    whole = vital(person, signal, HOUR)
    assert np.array_equal(vital(person, signal, HOUR[::-1]), whole[::-1])
    assert np.array_equal(vital(person, signal, HOUR[100:200]), whole[100:200])
    assert whole.std() > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_resting_person_is_within_every_limit_and_on_the_sensors_step(seed):
    person = draw(seed)
    for signal in VITALS:
        row = BY_NAME[signal]
        shown = vital(person, signal, HOUR * 24)
        assert np.all(shown >= row.limits.low)
        assert np.isnan(row.limits.high) or np.all(shown <= row.limits.high)
        assert np.allclose(np.round(shown / row.step), shown / row.step, atol=1e-6)


@pytest.mark.parametrize("kind", EPISODES)
def test_an_episode_changes_nothing_before_it_starts_nor_after_it_ended(kind):
    episode = Episode(kind=kind, start_s=600, rise_s=60, hold_s=300, recover_s=60)
    calm, ill = draw(5), draw(5, [episode])
    outside = (HOUR < 600) | (HOUR >= 1_020)
    sending = worn(ill, HOUR)
    assert sending[outside].all()
    changed = ~sending
    for signal in VITALS:
        before, after = vital(calm, signal, HOUR), vital(ill, signal, HOUR)
        assert np.array_equal(before[outside], after[outside])
        changed |= before != after
    assert changed.any()


def test_a_probe_that_fell_off_reads_zero_and_the_heart_goes_on():
    person = draw(5, [Episode(kind="probe_off", start_s=10, hold_s=20)])
    assert np.all(vital(person, "oxygen_saturation", HOUR)[10:30] == 0)
    assert np.all(vital(person, "heart_rate", HOUR) > 40)


def test_a_periodic_episode_comes_back():
    force = Episode(kind="sepsis", start_s=100, rise_s=10, hold_s=10, recover_s=10, period_s=1_000).force(HOUR)
    assert force[:100].max() == 0
    assert force[115] == force[1_115] == force[2_115] == 1
    assert force[131:1_100].max() == 0


def test_glucose_has_meals_and_a_wider_range_with_diabetes():
    day = np.arange(0.0, 5 * 86_400.0, 300.0)
    healthy, diabetic = glucose(draw(1), day), glucose(draw(1, diabetic=True), day)
    assert 60 < healthy.min() < 100 < healthy.max() < 180
    assert diabetic.max() > 180
    assert diabetic.std() > healthy.std()
    assert np.array_equal(glucose(draw(1), day[288:300]), healthy[288:300])


def test_adjoining_windows_meet_without_gap_or_repeat():
    person = draw(2, ill(2, 2.0), diabetic=True)
    whole = readings(person, 0.0, 7_200.0, CADENCE_S)
    edges = [0.0, 1.0, 299.9, 300.0, 3_333.3, 7_200.0]
    parts = [readings(person, a, b, CADENCE_S) for a, b in pairwise(edges)]
    for column, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.array_equal(column, np.concatenate(pieces))
    assert np.all(np.diff(whole[1]) >= 0)
    assert len(readings(person, 5.0, 5.0, CADENCE_S)[0]) == 0
