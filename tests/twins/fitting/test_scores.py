"""Scores against closed forms, sampling and constructed cases."""

import numpy as np
import pytest
from scipy import integrate, stats

from twins.fitting.scores import crps_halves, crps_normal, episodes_below, hypo_table, score, targets

MIN = 60_000_000


@pytest.mark.parametrize(("error", "sd"), [(0.0, 1.0), (1.5, 2.0), (-4.0, 0.5)])
def test_crps_is_the_integral_it_is_defined_by(error, sd):
    def integrand(x):
        return (stats.norm.cdf(x, 0, sd) - (x >= error)) ** 2

    expected = sum(integrate.quad(integrand, *ends)[0] for ends in ((-40, error), (error, 40)))
    assert crps_normal(np.array([error]), np.array([sd]))[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("error", [-2.0, -0.1, 0.0, 0.4, 3.0])
@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
def test_the_score_of_two_halves_is_the_integral(error, low, high):
    def integrand(x):
        return (stats.norm.cdf(x, 0, low if x < 0 else high) - (x >= error)) ** 2

    expected = sum(
        integrate.quad(integrand, *ends)[0]
        for ends in ((-40, min(error, 0)), (min(error, 0), max(error, 0)), (max(error, 0), 40))
    )
    assert crps_halves(np.array([error]), np.array([low]), np.array([high]))[0] == pytest.approx(expected, rel=1e-6)


def test_a_perfectly_calibrated_forecast_covers_what_it_says():
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(80, 10, 100_000), rng.uniform(1, 5, 100_000)
    outcome = mean + sd * rng.standard_normal(100_000)
    result = score(outcome, mean, sd, sd, np.ones_like(sd), mean + 5)
    assert [result.coverage[b] for b in ("50", "80", "95")] == pytest.approx([0.5, 0.8, 0.95], abs=0.005)
    assert 0 < result.skill < 1
    assert result.skill == pytest.approx(1 - result.rmse / result.persistence_rmse)
    assert result.pairs == 100_000


def test_the_target_is_the_nearest_reading_within_the_tolerance_and_never_itself():
    time = np.array([0, 300, 450, 1000], np.int64)
    assert targets(time, 300, 150).tolist() == [1, 2, -1, -1]
    assert targets(time, 100, 150).tolist()[3] == -1
    assert targets(np.array([5]), 10, 100).tolist() == [-1]
    late = np.arange(0, 3_000, 300)
    assert targets(late, 600, 150).tolist() == [*range(2, 10), -1, -1]


def test_an_episode_needs_its_length_and_is_cut_by_a_gap():
    time = np.arange(20) * 5 * MIN
    value = np.full(20, 100.0)
    value[3:5] = 60  # 5 minutes only
    value[8:12] = 60  # 15 minutes
    assert episodes_below(time, value, 70, 15).tolist() == [40 * MIN]
    time[10:] += 60 * MIN
    assert episodes_below(time, value, 70, 15).tolist() == []
    assert episodes_below(time[:0], value[:0], 70, 15).tolist() == []


def test_hypo_alarms_are_counted_as_the_table_says():
    time = np.arange(288) * 5 * MIN
    value = np.full(288, 110.0)
    value[100:110] = 60
    onset = 500 * MIN
    alarms = np.array([onset - 30 * MIN, onset - 10 * MIN, onset + 10 * MIN, 1_000 * MIN])
    table = hypo_table([(time, value, alarms)])
    assert (table.events, table.alarms) == (1, 3)  # the alarm during the event predicts nothing
    assert table.sensitivity == 1
    assert table.precision == pytest.approx(2 / 3)
    assert table.lead_min == 30
    assert table.false_alarms_per_day == pytest.approx(1, rel=0.01)
    silent = hypo_table([(time, value, alarms[:0])])
    assert silent.sensitivity == 0
    assert np.isnan(silent.precision)
