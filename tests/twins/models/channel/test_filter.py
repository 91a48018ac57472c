"""The channel twin against scikit-learn's Gaussian process, and its rules for bad, late and repeated readings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.stats import norm, truncnorm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from twins.bank import layout
from twins.models.channel import filter as channel
from twins.models.channel.model import CHANNEL, plain
from twins.records import Status
from twins.signals import BY_NAME
from twins.units import factor

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


def stationary(parameter):
    s11, s12, s22 = parameter[layout.A_S11], parameter[layout.A_S12], parameter[layout.A_S22]
    return np.array([s11 + 2 * s12 + s22, s12 + s22, s22])


def test_predict_and_update_are_gaussian_process_regression_with_two_exponential_kernels():
    rng = np.random.default_rng(5)
    parameter = layout.PARAMETERS[HEART_RATE]
    modes = BY_NAME["heart_rate"].modes
    noise, mean = 1.5, parameter[layout.A_MEAN]
    times = np.cumsum(rng.uniform(0.5, 90.0, 40))
    values = mean + rng.normal(0, 3, 40)
    m = np.array([mean, 0.0])
    p = stationary(parameter)
    before = times[0]
    for t, y in zip(times, values, strict=True):
        m0, m1, p00, p01, p11 = channel.predict(m[0], m[1], *p, parameter, t - before)
        s = p00 + noise
        k0, k1 = p00 / s, p01 / s
        m = np.array([m0 + k0 * (y - m0), m1 + k1 * (y - m0)])
        p = np.array([p00 - k0 * p00, p01 - k0 * p01, p11 - k1 * p01])
        before = t
    kernel = ConstantKernel(modes.fast_sd**2) * Matern(modes.fast_s, nu=0.5)
    kernel += ConstantKernel(modes.slow_sd**2) * Matern(modes.slow_s, nu=0.5)
    oracle = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(times[:, None], values - mean)
    for ahead in (0.0, 60.0, 1800.0, 86_400.0):
        expected, sd = oracle.predict([[before + ahead]], return_std=True)
        m0, _, p00, _, _ = channel.predict(m[0], m[1], *p, parameter, ahead)
        assert m0 - mean == pytest.approx(expected[0], rel=1e-6, abs=1e-9)
        assert np.sqrt(p00) == pytest.approx(sd[0], rel=1e-6)


@pytest.mark.parametrize("signal", ["heart_rate", "body_temperature", "glucose"])
@pytest.mark.parametrize("dt", [1e-3, 1.0, 17.3, 900.0, 86_400.0, 1e7])
def test_the_transition_is_that_of_the_differential_equation(signal, dt):
    """Van Loan's matrix exponential, with the covariance of the driving noises from the table."""
    modes, parameter = BY_NAME[signal].modes, layout.PARAMETERS[BY_NAME[signal].code]
    rates = np.array([1 / modes.fast_s, 1 / modes.slow_s])
    drive = np.array([modes.fast_sd, modes.slow_sd]) * np.sqrt(2 * rates)
    driven = np.outer(drive, drive) * np.array([[1, modes.coupling], [modes.coupling, 1]])
    drift = -np.diag(rates)
    steps = max(1, int(dt / 3600))
    block = expm(np.block([[-drift, driven], [np.zeros((2, 2)), drift.T]]) * (dt / steps))
    once = block[2:, 2:].T
    noise = once @ block[:2, 2:]
    to, added = np.eye(2), np.zeros((2, 2))
    for _ in range(steps):
        added = once @ added @ once.T + noise
        to = once @ to
    sums = np.array([[1.0, 1.0], [0.0, 1.0]])
    start = np.array([[4.0, 1.0], [1.0, 2.0]])
    expected = sums @ (to @ start @ to.T + added) @ sums.T
    p = sums @ start @ sums.T
    found = channel.predict(parameter[layout.A_MEAN] + 7.0, 3.0, p[0, 0], p[0, 1], p[1, 1], parameter, dt)
    assert found[0] - parameter[layout.A_MEAN] == pytest.approx((sums @ to @ [4.0, 3.0])[0], rel=1e-9, abs=1e-12)
    assert found[2:] == pytest.approx([expected[0, 0], expected[0, 1], expected[1, 1]], rel=1e-7)


@given(st.floats(0.0, 50.0))
def test_the_series_of_the_decay_is_its_function(x):
    assert channel.expm1_of(x) == pytest.approx(np.expm1(-x), rel=1e-14)


@given(st.floats(30.0, 500.0), st.floats(1.0, 2_500.0))
@settings(max_examples=40)
def test_a_censored_reading_has_the_moments_of_a_truncated_normal(mean, variance):
    a, b = 20.0, 40.0
    sd = np.sqrt(variance)
    oracle = truncnorm((a - mean) / sd, (b - mean) / sd, loc=mean, scale=sd)
    found, left = channel.within(a, b, mean, variance)
    if norm.sf(abs(mean - 30.0) - 10.0, scale=sd) > 1e-6:
        assert found == pytest.approx(oracle.mean(), rel=1e-4)
        assert left == pytest.approx(oracle.var(), rel=1e-2)
    assert a <= found <= b
    assert 0.0 <= left <= (b - a) ** 2


def test_low_of_a_glucose_sensor_only_says_that_it_is_low():
    """Readings of 39 that mean LOW, of a glucose that falls to 28: the estimate is nearer to it than 39, and wider than
    after 41.
    """
    fall = np.linspace(150, 28, 25)
    times = START + np.arange(25) * 300 * SECOND
    state, _ = fed(times, np.where(fall < 40, 39, fall), BY_NAME["glucose"].code)
    seen, _ = fed(times[:22], fall[:22], BY_NAME["glucose"].code)
    assert 24 < plain(state)[0, layout.M0] < 36
    assert plain(state)[0, layout.P00] > 2 * plain(seen)[0, layout.P00]


def test_readings_move_the_estimate_and_shrink_its_spread():
    state, status = fed(START + np.arange(60) * SECOND, [80.0] * 60)
    assert set(status) == {Status.ACCEPTED}
    own = plain(state)[0]
    assert own[layout.M0] == pytest.approx(80, abs=0.5)
    assert own[layout.P00] < 1.0


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
    for field in ("m0", "m1", "p00", "p01", "p11", "trend", "r_scale"):
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
    horizons = np.array([60.0, 600.0, 7200.0, 86_400.0, 1e8, 2e8])
    mean, sd = CHANNEL.forecast(state, np.zeros(1, np.int64), np.full(1, HEART_RATE, np.uint16), horizons)
    modes = BY_NAME["heart_rate"].modes
    assert (np.diff(sd[0]) >= -1e-9).all()
    assert sd[0, 4] == pytest.approx(sd[0, 5], rel=1e-6)
    assert mean[0, 5] == pytest.approx(modes.mean)


def test_the_trend_is_the_slope_of_a_ramp():
    values = np.r_[np.full(60, 80.0), 80 + np.arange(300) * 0.1]
    state, _ = fed(START + np.arange(360) * SECOND, values)
    assert plain(state)[0, layout.TREND] == pytest.approx(0.1, rel=0.05)


def test_a_million_updates_leave_the_covariance_symmetric_and_positive():
    """Gaps from a millisecond to a week, values all over the plausible range. One of two equal entries is stored, so
    the covariance is symmetric.
    """
    rng = np.random.default_rng(11)
    for name in ("heart_rate", "glucose"):
        signal = BY_NAME[name]
        state = np.zeros(1, CHANNEL.dtype)
        time = START
        for _ in range(500):
            steps = np.exp(rng.uniform(np.log(1e3), np.log(7 * 86_400e6), 1_000)).astype(np.int64)
            steps[rng.random(1_000) < 0.9] = 1_000
            times = time + np.cumsum(steps)
            time = int(times[-1])
            values = rng.uniform(*signal.plausible, 1_000)
            CHANNEL.update(state, np.zeros(1_000, np.int64), np.full(1_000, signal.code, np.uint16), times, values)
            own = plain(state)[0]
            p = np.array([[own[layout.P00], own[layout.P01]], [own[layout.P01], own[layout.P11]]])
            assert np.isfinite(own).all()
            assert np.linalg.eigvalsh(p)[0] >= -1e-12 * p.max()


@given(st.lists(st.integers(45, 390), min_size=2, max_size=60), st.integers(0, 60))
@settings(max_examples=60)
def test_the_twin_is_the_same_in_either_unit_of_glucose(values, jitter):
    signal = BY_NAME["glucose"]
    scale, offset = factor(signal, "mmol/L")
    times = START + (300 * np.arange(len(values)) + jitter) * SECOND
    mass = np.array(values, float)
    moles = np.round(mass / scale, 12) * scale + offset
    one, told = fed(times, mass, signal.code)
    other, also = fed(times, moles, signal.code)
    assert list(told) == list(also)
    for field in ("m0", "m1", "p00", "p01", "p11", "r_scale"):
        assert other[field][0] == pytest.approx(one[field][0], rel=1e-6)
