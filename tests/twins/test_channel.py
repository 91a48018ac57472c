"""The channel twin against scikit-learn's Gaussian process, and its rules about bad, late and repeated readings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from twins.kernels import channel, layout
from twins.models.channel import CHANNEL, plain
from twins.records import Status
from twins.signals import BY_NAME

HEART_RATE = BY_NAME["heart_rate"].code
SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def fed(times, values, signal=HEART_RATE):
    state = np.zeros(1, CHANNEL.dtype)
    status = CHANNEL.update(
        state,
        np.zeros(len(times), np.int64),
        np.full(len(times), signal, np.uint16),
        np.asarray(times, np.int64),
        np.asarray(values, float),
    )
    return state, status


def test_predict_and_update_are_gaussian_process_regression_with_a_matern_kernel():
    rng = np.random.default_rng(5)
    parameter = layout.PARAMETERS[HEART_RATE]
    sigma, lam, noise = parameter[layout.A_SIGMA], parameter[layout.A_LAMBDA], parameter[layout.A_R]
    times = np.cumsum(rng.uniform(0.5, 90.0, 40))
    values = 80 + rng.normal(0, 3, 40)
    m = np.array([80.0, 0.0])
    p = np.array([sigma**2, 0.0, (lam * sigma) ** 2])
    before = times[0]
    for t, y in zip(times, values, strict=True):
        m0, m1, p00, p01, p11 = channel.predict(m[0], m[1], *p, 80.0, sigma, lam, t - before)
        s = p00 + noise
        k0, k1 = p00 / s, p01 / s
        m = np.array([m0 + k0 * (y - m0), m1 + k1 * (y - m0)])
        p = np.array([p00 - k0 * p00, p01 - k0 * p01, p11 - k1 * p01])
        before = t
    kernel = ConstantKernel(sigma**2) * Matern(np.sqrt(3) / lam, nu=1.5)
    oracle = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(times[:, None], values - 80)
    for ahead in (0.0, 60.0, 1800.0):
        mean, sd = oracle.predict([[before + ahead]], return_std=True)
        m0, _, p00, _, _ = channel.predict(m[0], m[1], *p, 80.0, sigma, lam, ahead)
        assert m0 - 80 == pytest.approx(mean[0], rel=1e-6, abs=1e-9)
        assert np.sqrt(p00) == pytest.approx(sd[0], rel=1e-6)


def test_readings_move_the_estimate_and_shrink_its_spread():
    state, status = fed(START + np.arange(60) * SECOND, [80.0] * 60)
    assert set(status) == {Status.ACCEPTED}
    own = plain(state)[0]
    assert own[layout.M0] == pytest.approx(80, abs=0.5)
    assert own[layout.P00] < layout.PARAMETERS[HEART_RATE][layout.A_R]


def test_a_spike_is_gated_and_a_true_step_is_believed_after_eight_readings():
    times = START + np.arange(80) * SECOND
    values = np.full(80, 80.0)
    values[30] = 160
    values[50:] = 120
    _, status = fed(times, values)
    assert status[30] == Status.GATED
    assert (status[50:57] == Status.GATED).all()
    assert status[57] == Status.REACQUIRED
    assert (status[58:] == Status.ACCEPTED).all()


def test_lead_off_zeros_never_enter_the_twin():
    values = np.r_[np.full(30, 80.0), np.zeros(60), np.full(30, 80.0)]
    state, status = fed(START + np.arange(120) * SECOND, values)
    assert (status[30:90] == Status.IMPLAUSIBLE).all()
    assert plain(state)[0, layout.M0] == pytest.approx(80, abs=1)


def test_late_and_repeated_readings_change_nothing():
    times = START + np.arange(10) * SECOND
    state, _ = fed(times, [80.0] * 10)
    before = state.copy()
    again = CHANNEL.update(
        state,
        np.zeros(3, np.int64),
        np.full(3, HEART_RATE, np.uint16),
        np.array([times[-1], times[-1], times[3]]),
        np.array([80.0, 95.0, 80.0]),
    )
    assert again.tolist() == [Status.DUPLICATE, Status.LATE, Status.LATE]
    assert (state == before).all()


gaps = st.lists(st.integers(1_000, 7 * 86_400 * SECOND), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(gaps, st.integers(0, 2**32 - 1), st.sampled_from(["heart_rate", "glucose", "body_temperature"]))
def test_covariance_stays_symmetric_and_positive_and_nothing_is_nan(steps, seed, name):
    signal = BY_NAME[name]
    rng = np.random.default_rng(seed)
    low, high = signal.plausible
    values = rng.uniform(low - 10, high + 10, len(steps))
    values[rng.random(len(steps)) < 0.1] = np.nan
    state, _ = fed(START + np.cumsum(steps), values, signal.code)
    own = plain(state)[0]
    assert np.isfinite(own[:14]).all()
    if own[layout.COUNT]:
        assert own[layout.P00] > 0
        assert own[layout.P11] > 0
        assert own[layout.P00] * own[layout.P11] >= own[layout.P01] ** 2 * (1 - 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10_000_000), st.integers(1, 3_600), st.integers(1, 3_600))
def test_shifting_all_times_shifts_only_times_and_a_split_gap_equals_one_gap(shift, first, second):
    times = START + np.arange(20) * SECOND
    values = 80 + np.sin(np.arange(20))
    one, _ = fed(times, values)
    other, _ = fed(times + shift * SECOND, values)
    for field in ("m0", "m1", "p00", "p01", "p11", "base", "r_scale"):
        assert one[field] == other[field]
    rows, signal = np.zeros(1, np.int64), np.full(1, HEART_RATE, np.uint16)
    whole = one.copy()
    end = int(times[-1]) + (first + second) * SECOND
    CHANNEL.advance(whole, rows, signal, end)
    CHANNEL.advance(one, rows, signal, end - second * SECOND)
    CHANNEL.advance(one, rows, signal, end)
    for field in ("m0", "m1", "p00", "p01", "p11"):
        assert one[field][0] == pytest.approx(whole[field][0], rel=1e-7, abs=1e-9)


def test_a_forecast_widens_and_settles_at_the_stationary_spread():
    state, _ = fed(START + np.arange(600) * SECOND, 80 + np.random.default_rng(1).normal(0, 1, 600))
    horizons = np.array([60.0, 600.0, 7200.0, 86_400.0])
    mean, sd = CHANNEL.forecast(state, np.zeros(1, np.int64), np.full(1, HEART_RATE, np.uint16), horizons)
    assert (np.diff(sd[0]) >= -1e-9).all()
    assert sd[0, 2] == pytest.approx(sd[0, 3], rel=1e-6)
    assert mean[0, 3] == pytest.approx(state["base"][0])
