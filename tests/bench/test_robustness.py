"""``infra/bench robustness``: the simulated patients, the policies' known behaviour, and the twin compared with them."""

import json

import numpy as np
import pytest

from tests.bench.robustness import COURSES, POLICIES, Predictions, figures, predictions_of, simulate, twin
from twins.bank import layout
from twins.models.channel.model import CHANNEL
from twins.signals import BY_NAME

HOURS = 3 * 3600


@pytest.fixture(scope="module", params=COURSES)
def ward(request):
    return simulate(request.param, HOURS, 3)


def test_a_seed_gives_the_same_patients():
    one, same, other = (simulate("smooth", HOURS, 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.reading, same.reading)
    assert not np.array_equal(one.reading, other.reading)


@pytest.mark.parametrize("course", COURSES)
def test_courses_have_the_spread_and_time_scale_they_say(course):
    truth = simulate(course, 24 * 3600, 8).truth
    truth[24 * 3600 // 6 :] -= 40.0
    assert truth.mean() == pytest.approx(78.0, abs=1.0)
    assert truth.std() == pytest.approx(8.0, rel=0.1)
    later = np.mean((truth[300:] - 78.0) * (truth[:-300] - 78.0)) / truth.var()
    assert later == pytest.approx(2.0 / np.e if course == "smooth" else 1.0 / np.e, abs=0.08)


def test_faults_are_where_they_are_said_to_be(ward):
    assert not ward.reading[ward.off : ward.off + 60].any()
    assert ward.spike.mean() == pytest.approx(0.05, abs=0.005)
    clean = np.where(ward.spike, np.nan, ward.reading - ward.truth)
    assert np.nanstd(clean[: ward.off]) == pytest.approx(2.0, abs=0.1)
    assert np.nanstd(clean[ward.noisy : ward.noisy + 3600]) == pytest.approx(4.0, abs=0.15)
    assert np.array_equal(ward.reading, np.round(ward.reading))
    apart = (ward.reading - ward.truth)[ward.spike & (ward.reading > 0.0)]
    assert np.abs(apart[np.abs(apart) > 20.0]).max() < 80.0 + 20.0


def test_nobody_beats_the_optimum(ward):
    best = Predictions(ward.best, ward.best, np.ones_like(ward.best))
    least = figures(ward, best)["rmse"]
    assert least < min(figures(ward, predictions_of(name, ward.reading))["rmse"] for name in POLICIES)
    assert least < figures(ward, twin(ward.reading))["rmse"]


def test_policies_fail_as_they_are_known_to(ward):
    rows = {name: figures(ward, predictions_of(name, ward.reading)) for name in POLICIES}
    best = rows["range_gate_reacquire_adaptive"]
    assert rows["plain"]["worst_at_lead_off"] > 40.0, "it follows the zeros"
    assert rows["plain"]["coverage95"] < 0.6
    assert rows["gate"]["s_to_retrack"] > 300, "it is locked out"
    for name in ("huber_adaptive", "student_adaptive"):
        assert rows[name]["s_to_retrack"] > 3 * best["s_to_retrack"]
    assert best["s_to_retrack"] < 20
    assert best["worst_at_lead_off"] < 12.0
    assert best["rmse"] == min(row["rmse"] for row in rows.values())
    assert best["coverage95"] == pytest.approx(0.95, abs=0.02)


def test_the_twin_finds_the_step_and_ignores_the_zeros(ward):
    row = figures(ward, twin(ward.reading))
    assert row["s_to_retrack"] < 20
    assert row["worst_at_lead_off"] < 12.0


def test_the_twin_is_moved_as_one_patient_after_another():
    reading = simulate("rough", 600, 2).reading
    result = twin(reading)
    state, row = np.zeros(1, CHANNEL.dtype), np.zeros(1, np.int64)
    signal = np.full(1, BY_NAME["heart_rate"].code, np.uint16)
    for second in range(200):
        CHANNEL.update(state, row, signal, np.full(1, (second + 1) * 1_000_000), reading[second, 1:])
        if state[0]["t"] == (second + 1) * 1e6:
            assert result.estimate[second, 1] == state[0]["m0"]


def test_time_to_retrack_is_the_first_second_of_a_minute_near():
    ward = simulate("smooth", HOURS, 1)._replace(truth=np.zeros((HOURS, 1)))
    estimate = np.zeros((HOURS, 1))
    estimate[ward.step : ward.step + 5] = estimate[ward.step + 20] = estimate[ward.step + 200] = 9.0
    result = Predictions(estimate, ward.reading, np.ones_like(estimate))
    assert figures(ward, result)["s_to_retrack"] == 21
    estimate[ward.step :: 30] = 9.0
    assert figures(ward, result)["s_to_retrack"] > 7000


def test_coverage_counts_readings_without_fault():
    ward = simulate("smooth", HOURS, 2)
    result = Predictions(ward.truth, ward.truth, np.full_like(ward.truth, 2.0))
    row = figures(ward, result)
    assert row["rmse"] == row["s_to_retrack"] == row["worst_at_lead_off"] == 0.0
    assert row["coverage95_noisy_hour"] == pytest.approx(0.67, abs=0.04)
    quiet = figures(ward, result._replace(sd=np.full_like(ward.truth, 4.0)))
    assert quiet["coverage95_noisy_hour"] == pytest.approx(0.95, abs=0.02)


def test_the_band_of_the_twin_holds_the_sensor_too():
    state, row = np.zeros(1, CHANNEL.dtype), np.zeros(1, np.int64)
    code = BY_NAME["heart_rate"].code
    signal = np.full(1, code, np.uint16)
    CHANNEL.update(state, row, signal, np.full(1, 1_000_000), np.full(1, 80.0))
    _, sd = CHANNEL.forecast(state, row, signal, np.zeros(1))
    noise = layout.PARAMETERS[code, layout.A_R] + layout.PARAMETERS[code, layout.A_QUANTUM]
    assert sd[0, 0] ** 2 == pytest.approx(state[0]["p00"] + noise)


@pytest.mark.slow
def test_quick_run(bench):
    shown = bench("robustness", "--quick", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    for course in COURSES:
        assert set(result[course]) == {*POLICIES, "vitaltwin", "optimum"}
        assert {"rmse", "s_to_retrack", "worst_at_lead_off", "coverage95", "coverage95_noisy_hour"} <= set(
            result[course]["vitaltwin"]
        )
