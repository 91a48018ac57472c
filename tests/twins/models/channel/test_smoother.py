"""The smoother against statsmodels' and scikit-learn's Gaussian process, on readings judged as the live twin judges
them.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from twins.bank import layout
from twins.models.channel import filter as channel
from twins.models.channel import smoother
from twins.models.channel.course import smooth
from twins.models.channel.model import CHANNEL, plain
from twins.records import Status
from twins.signals import BY_NAME, SIGNALS

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
HEART_RATE = BY_NAME["heart_rate"].code
BELIEVED = (Status.ACCEPTED, Status.REACQUIRED)


def live(signal, time, value):
    """The live twin's status of each reading, the noise used for it, its surprise, and the state after it."""
    parameter, state = layout.PARAMETERS[signal], np.zeros(1, CHANNEL.dtype)
    row, code = np.zeros(1, np.int64), np.full(1, signal, np.uint16)
    status, noise, surprise, after = [], [], [], []
    for t, y in zip(time, value, strict=True):
        own = plain(state)[0].copy()
        if own[layout.COUNT] == 0:
            channel.begin(own, parameter, float(t))
        m0, *_ = channel.predict(*own[: layout.P11 + 1], parameter, (t - own[layout.T]) * 1e-6)
        noise.append(parameter[layout.A_R] * own[layout.R_SCALE] + parameter[layout.A_QUANTUM])
        surprise.append(y - m0)
        status.append(int(CHANNEL.update(state, row, code, np.array([t]), np.array([y]))[0]))
        after.append(plain(state)[0].copy())
    return np.array(status), np.array(noise), np.array(surprise), after


def transition(parameter, dt):
    """F and Q of the deviation from (mean, 0), computed from ``predict`` column by column."""
    mean = parameter[layout.A_MEAN]
    columns = [channel.predict(mean + a, b, 0.0, 0.0, 0.0, parameter, dt)[:2] for a, b in ((1.0, 0.0), (0.0, 1.0))]
    _, _, q00, q01, q11 = channel.predict(mean, 0.0, 0.0, 0.0, 0.0, parameter, dt)
    return np.array(columns).T - np.array([[mean, mean], [0.0, 0.0]]), np.array([[q00, q01], [q01, q11]])


def oracle(signal, time, value, at):
    """statsmodels' smoothed states and covariances at ``at``, which are points without a measurement among the
    readings.
    """
    parameter = layout.PARAMETERS[signal]
    status, noise, surprise, _ = live(signal, time, value)
    nodes = np.union1d(time, at)
    place = {t: i for i, t in enumerate(nodes.tolist())}
    model = KalmanSmoother(k_endog=1, k_states=2)
    observed = np.full(len(nodes), np.nan)
    to, added, r = np.zeros((2, 2, len(nodes))), np.zeros((2, 2, len(nodes))), np.ones((1, 1, len(nodes)))
    for i in range(len(nodes) - 1):
        to[:, :, i], added[:, :, i] = transition(parameter, (nodes[i + 1] - nodes[i]) * 1e-6)
    to[:, :, -1] = np.eye(2)
    for i, t in enumerate(time.tolist()):
        if status[i] in BELIEVED:
            observed[place[t]] = value[i] - parameter[layout.A_MEAN]
            r[0, 0, place[t]] = noise[i]
        if status[i] == Status.REACQUIRED:
            added[0, 0, place[t] - 1] += surprise[i] ** 2
    model.bind(observed[:, None])
    model["design"] = np.array([[1.0, 0.0]])
    model["transition"], model["selection"], model["state_cov"], model["obs_cov"] = to, np.eye(2), added, r
    s11, s12, s22 = parameter[layout.A_S11], parameter[layout.A_S12], parameter[layout.A_S22]
    model.initialize_known(np.zeros(2), np.array([[s11 + 2 * s12 + s22, s12 + s22], [s12 + s22, s22]]))
    found = model.smooth()
    places = [place[t] for t in at.tolist()]
    return status, found.smoothed_state[:, places].T, found.smoothed_state_cov[:, :, places].transpose(2, 0, 1)


def passes(signal, time, value):
    """The arrays of the kernels: prior, posterior and smoothed moments, and the statuses."""
    parameter, n = layout.PARAMETERS[signal], len(time)
    prior, posterior, smoothed = (np.empty((n, smoother.MOMENTS)) for _ in range(3))
    status = np.zeros(n, np.uint8)
    smoother.forward(np.zeros(layout.STATE_WIDTH), parameter, time, value, status, prior, posterior)
    smoother.backward(parameter, time, prior, posterior, smoothed)
    return status, prior, posterior, smoothed


def course(name, seed, count=120):
    """Readings at irregular times of a signal that wanders, with a spike, a step that lasts, and values no patient has."""
    signal, rng = BY_NAME[name], np.random.default_rng(seed)
    pace = {"heart_rate": 1.0, "glucose": 20.0, "body_temperature": 2.0}[name]
    time = START + np.cumsum(rng.integers(int(0.2 * pace * SECOND), int(2 * pace * SECOND), count))
    time[count // 2 :] += int(500 * pace) * SECOND
    wander = rng.normal(0, 0.1 * signal.modes.fast_sd, count)
    value = signal.modes.mean + np.cumsum(wander) + rng.normal(0, signal.modes.noise_sd, count)
    surprise = 1.1 * signal.jump * (1.0 + 12 * pace / 60)
    value[15] += 1.5 * surprise
    value[22] = signal.plausible[1] + 10
    value[30 : count // 2] += surprise
    return signal.code, time, value


def within(time, rng, count=40):
    """Times before, at, between and after readings."""
    span = time[-1] - time[0]
    inside = rng.integers(time[0] - span // 10 - SECOND, time[-1] + span // 10 + SECOND, count)
    return np.sort(np.concatenate([inside, time[::7], time[:3] + 1, time[-1:]]))


@pytest.mark.parametrize("name", ["heart_rate", "glucose", "body_temperature"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_course_is_that_of_statsmodels_across_gaps_spikes_and_a_step(name, seed):
    signal, time, value = course(name, seed)
    at = within(time, np.random.default_rng(seed))
    status, states, covariances = oracle(signal, time, value, at)
    assert {Status.ACCEPTED, Status.GATED, Status.IMPLAUSIBLE, Status.REACQUIRED} <= set(status.tolist())
    found = smooth(signal, time, value, at)
    assert found.status.tolist() == status.tolist()
    assert found.mean - layout.PARAMETERS[signal][layout.A_MEAN] == pytest.approx(states[:, 0], rel=1e-8, abs=1e-8)
    assert found.sd == pytest.approx(np.sqrt(covariances[:, 0, 0]), rel=1e-8)


@pytest.mark.parametrize("name", ["heart_rate", "glucose", "body_temperature"])
def test_both_modes_and_their_covariance_are_those_of_statsmodels(name):
    signal, time, value = course(name, 3)
    _, states, covariances = oracle(signal, time, value, time)
    _, _, _, smoothed = passes(signal, time, value)
    mean = layout.PARAMETERS[signal][layout.A_MEAN]
    assert smoothed[:, :2] - [mean, 0.0] == pytest.approx(states, rel=1e-8, abs=1e-8)
    expected = covariances[:, [0, 0, 1], [0, 1, 1]]
    assert smoothed[:, 2:5] == pytest.approx(expected, rel=1e-8, abs=1e-8 * expected.max())


def test_the_course_is_the_posterior_of_a_gaussian_process_at_any_time():
    """Five readings, too few for an adapted noise: two exponential kernels and white noise, nothing else."""
    modes, parameter = BY_NAME["heart_rate"].modes, layout.PARAMETERS[HEART_RATE]
    seconds = np.array([0.0, 40.0, 95.0, 700.0, 760.0])
    value = modes.mean + np.array([1.0, 4.0, 5.5, -3.0, -2.0])
    noise = parameter[layout.A_R] + parameter[layout.A_QUANTUM]
    kernel = ConstantKernel(modes.fast_sd**2) * Matern(modes.fast_s, nu=0.5)
    kernel += ConstantKernel(modes.slow_sd**2) * Matern(modes.slow_s, nu=0.5)
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(seconds[:, None], value - modes.mean)
    asked = np.array([-3_600.0, -5.0, 0.0, 20.0, 95.0, 96.0, 300.0, 699.999, 730.0, 760.0, 800.0, 90_000.0])
    expected, sd = process.predict(asked[:, None], return_std=True)
    found = smooth(HEART_RATE, START + (seconds * SECOND).astype(int), value, START + (asked * SECOND).astype(int))
    assert set(found.status.tolist()) == {Status.ACCEPTED}
    assert found.mean - modes.mean == pytest.approx(expected, rel=1e-8, abs=1e-8)
    assert found.sd == pytest.approx(sd, rel=1e-7)


def ahead_of(state, signal, ahead):
    m0, _, p00, _, _ = channel.predict(*state[: layout.P11 + 1], layout.PARAMETERS[signal], ahead)
    return m0, np.sqrt(p00)


@pytest.mark.parametrize("name", ["heart_rate", "glucose", "body_temperature"])
def test_smoothing_never_adds_variance_and_ends_where_the_filter_does(name):
    signal, time, value = course(name, 4)
    status, _, posterior, smoothed = passes(signal, time, value)
    expected, *_, after = live(signal, time, value)
    assert status.tolist() == expected.tolist()
    assert (smoothed[:, 2] <= posterior[:, 2] * (1 + 1e-9)).all()
    assert (smoothed[:, 4] <= posterior[:, 4] * (1 + 1e-9)).all()
    assert smoothed[-1].tolist() == posterior[-1].tolist()
    assert posterior[-1, :5].tolist() == after[-1][: layout.P11 + 1].tolist()
    later = time[-1] + 3_600 * SECOND
    found = smooth(signal, time, value, np.array([time[-1], later]))
    mean, sd = ahead_of(after[-1], signal, 3_600.0)
    assert (found.mean[0], found.sd[0]) == (after[-1][layout.M0], np.sqrt(after[-1][layout.P00]))
    assert (found.mean[1], found.sd[1]) == pytest.approx((mean, sd), rel=1e-12)


def test_a_gap_is_bridged_from_both_sides_and_the_band_is_widest_within_it():
    time = START + np.r_[np.arange(600), 4_200 + np.arange(600)] * SECOND
    value = np.r_[np.full(600, 70.0), np.full(600, 90.0)]
    at = START + np.array([300, 599, 1_000, 2_400, 3_800, 4_200, 4_500]) * SECOND
    mean, sd, _ = smooth(HEART_RATE, time, value, at)
    assert mean[3] == pytest.approx(80, abs=0.5)
    assert (np.diff(mean[1:6]) > 0).all()
    assert sd[3] > sd[2] > 5 * sd[1]
    assert sd[2] == pytest.approx(sd[4], rel=0.05)
    ends = np.searchsorted(time, at[3])
    assert sd[3] < smooth(HEART_RATE, time[:ends], value[:ends], at[3:4]).sd[0]


def test_order_does_not_matter_doubles_count_once_and_the_later_corrects():
    signal, time, value = course("heart_rate", 5)
    at = within(time, np.random.default_rng(5))
    once = smooth(signal, time, value, at)
    order = np.random.default_rng(6).permutation(len(time))
    shuffled = smooth(signal, time[order], value[order], at[::-1])
    assert (shuffled.mean[::-1] == once.mean).all()
    assert (shuffled.status == once.status[order]).all()
    again, wrong = slice(40, 50), slice(50, 55)
    before = np.r_[value[again], value[wrong] + 3]
    doubled = smooth(signal, np.r_[time[again], time[wrong], time], np.r_[before, value], at)
    assert doubled.mean == pytest.approx(once.mean, rel=1e-9)
    assert doubled.sd == pytest.approx(once.sd, rel=1e-9)
    assert doubled.status[15:].tolist() == once.status.tolist()
    assert doubled.status[:15].tolist() == [Status.DUPLICATE] * 10 + [Status.LATE] * 5


def test_a_low_that_is_only_a_bound_is_bridged_below_it():
    """LOW of a glucose sensor, read as 39, between falls observed to 41 and rises observed from 41: the valley is
    deeper.
    """
    glucose = BY_NAME["glucose"].code
    valley = np.r_[np.linspace(150, 41, 23), np.full(8, 39.0), np.linspace(41, 150, 23)]
    time = START + np.arange(len(valley)) * 300 * SECOND
    mean, sd, status = smooth(glucose, time, valley, time)
    assert set(status.tolist()) == {Status.ACCEPTED}
    assert (mean[23:31] < 40).all()
    assert (mean[23:31] > 20).all()
    assert sd[27] > 2 * sd[15]


def test_shifting_all_times_shifts_only_times():
    signal, time, value = course("glucose", 7)
    at = within(time, np.random.default_rng(7))
    one, other = (smooth(signal, time + shift, value, at + shift) for shift in (0, 86_400 * SECOND))
    assert (one.mean == other.mean).all()
    assert (one.sd == other.sd).all()


steps = st.lists(st.sampled_from([0, 1, 1_000, SECOND, 60 * SECOND, 86_400 * SECOND]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 2**32 - 1), st.sampled_from([s.name for s in SIGNALS if s.filtered]))
def test_every_covariance_is_positive_whatever_was_read(gaps, seed, name):
    signal, rng = BY_NAME[name], np.random.default_rng(seed)
    low, high = signal.plausible
    value = rng.uniform(low - 10, high + 10, len(gaps))
    value[rng.random(len(gaps)) < 0.1] = np.nan
    time = START + np.cumsum(gaps)
    _, _, posterior, smoothed = passes(signal.code, time, value)
    assert np.isfinite(smoothed).all()
    m = smoothed[:, 2:5]
    assert (m[:, 0] * m[:, 2] >= m[:, 1] ** 2 * (1 - 1e-9)).all()
    assert (m[:, 0] > 0).all()
    assert (m[:, 0] <= posterior[:, 2] * (1 + 1e-6)).all()
    found = smooth(signal.code, time, value, within(time, rng))
    believed = np.isin(found.status, BELIEVED).any()
    assert np.isfinite(found.mean).all() == np.isfinite(found.sd).all() == believed


@pytest.mark.parametrize("p", [(0.0, 0.0, 0.0), (4.0, 2.0, 1.0), (1.0, 0.0, 0.0)])
def test_a_covariance_without_an_inverse_is_passed_through(p):
    """A direction that is known exactly stays known after smoothing, and an unknown one stays within what it was."""
    parameter = layout.PARAMETERS[HEART_RATE]
    prior = np.array([[80.0, 1.0, *p, 0.0]])
    smoothed = np.array([[80.0, 1.0, *(0.5 * x for x in p), 0.0]])
    found = smoother._smoothed_moments(parameter, 0.0, (80.0, 1.0, *p), prior, smoothed, 0)
    assert found[:2] == (80.0, 1.0)
    assert found[2:] == pytest.approx(smoothed[0, 2:5])


def test_without_readings_the_course_is_nan():
    none = np.zeros(0, np.int64)
    at = np.array([START])
    assert np.isnan(smooth(HEART_RATE, none, none.astype(float), at).mean).all()
    refused = smooth(HEART_RATE, at, np.array([0.0]), at)
    assert np.isnan(refused.mean).all()
    assert np.isnan(refused.sd).all()
    assert refused.status.tolist() == [Status.IMPLAUSIBLE]
    assert len(smooth(HEART_RATE, at, np.array([80.0]), none).mean) == 0


@pytest.mark.parametrize("signal", [-1, len(SIGNALS), BY_NAME["insulin_bolus"].code])
def test_a_signal_without_a_twin_has_no_course(signal):
    with pytest.raises(ValueError, match="no channel twin"):
        smooth(signal, np.array([START]), np.array([1.0]), np.array([START]))


def test_columns_must_have_equal_length():
    with pytest.raises(ValueError, match="equal length"):
        smooth(HEART_RATE, np.array([START]), np.array([1.0, 2.0]), np.array([START]))
