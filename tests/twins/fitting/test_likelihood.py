"""The kernel of the fit against multivariate normal densities and matrix exponentials; forms computed by hand."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from twins.fitting.forms import FORMS, Frame, begin, decode, encode, modes_of, motion_of, reaches
from twins.fitting.likelihood import PAIRS, PERSISTENCE, SCORE, SQUARES, TALLY_WIDTH, WORK, follow, limited, transition
from twins.models.channel.modes import Modes

INF = np.inf
FRAME = Frame(80.0, 10.0, (15.0, 300.0), 1.0)
VALUES = {
    "single": {"mean": 80.0, "noise_sd": 2.0, "slow_s": 4_000.0, "slow_sd": 9.0},
    "ou": {"mean": 80.0, "noise_sd": 1.0, "fast_s": 90.0, "slow_s": 9_000.0, "fast_sd": 4.0, "slow_sd": 9.0},
    "coupled": {"mean": 81, "noise_sd": 1.0, "fast_s": 200.0, "slow_s": 900.0, "fast_sd": 6.0, "slow_sd": 9.0, "coupling": -0.9},
    "trend": {"mean": 80.0, "noise_sd": 1.0, "fast_s": 300.0, "slow_s": 900.0, "sd": 9.0},
    "matern32": {"mean": 80.0, "noise_sd": 1.0, "scale_s": 700.0, "sd": 9.0},
    "matern52": {"mean": 80.0, "noise_sd": 1.0, "scale_s": 700.0, "sd": 9.0},
    "three": {
        "mean": 80.0, "noise_sd": 1.0, "fast_s": 60.0, "middle_s": 900.0, "slow_s": 9_000.0, "fast_sd": 2.0, "middle_sd": 4.0,
        "slow_sd": 8.0,
    },
}  # fmt: skip


def covariance(form, values, lag):
    """Autocovariance of the level at lags, in closed form: Särkkä & Solin 2019; Matérn by scikit-learn."""
    lag = np.abs(lag)
    if form.startswith("matern"):
        nu = {"matern32": 1.5, "matern52": 2.5}[form]
        kernel = Matern(length_scale=values["scale_s"] * np.sqrt(2 * nu), nu=nu)
        return values["sd"] ** 2 * kernel(np.zeros((1, 1)), lag.reshape(-1, 1)).reshape(lag.shape)
    modes = modes_of(form, values)
    if modes is None:
        pairs = [(values[f"{name}_sd"], values[f"{name}_s"]) for name in ("fast", "middle", "slow")]
        return sum(sd**2 * np.exp(-lag / scale) for sd, scale in pairs)
    a, b = 1 / modes.fast_s, 1 / modes.slow_s
    cross = modes.coupling * 2 * np.sqrt(a * b) / (a + b) * modes.fast_sd * modes.slow_sd
    return (modes.fast_sd**2 + cross) * np.exp(-a * lag) + (modes.slow_sd**2 + cross) * np.exp(-b * lag)


def likelihood(form, series, meets=None, stride=1, horizons=(60.0,), limits=(INF, INF, INF)):
    """Negative log-likelihood and tally of the series (time, value)."""
    motion = motion_of(form, VALUES[form], FRAME)
    reach, left = reaches(motion, np.array(horizons))
    size, tally = len(motion.rate), np.zeros((len(horizons), TALLY_WIDTH))
    starts = np.cumsum([0, *(len(time) for time, _ in series)])
    met = np.full((len(horizons), starts[-1]), -1, np.int32) if meets is None else meets
    time, value = (np.concatenate(part) for part in zip(*series, strict=True))
    work = np.zeros(WORK)[:, :size, :size]
    strides = np.full(len(series), stride)
    return follow(time, value, starts, strides, met, *motion, reach, left, *limits, work, tally), tally


def irregular(seed, n=60):
    random = np.random.default_rng(seed)
    return np.cumsum(random.choice([1.0, 7.0, 60.0, 61.5, 900.0, 86_400.0], n)), 80 + random.normal(0, 9, n)


@pytest.mark.parametrize("form", FORMS)
def test_likelihood_is_that_of_the_multivariate_normal(form):
    series = [irregular(1), irregular(2, 1), irregular(3, 25)]
    values = VALUES[form]
    noise = values["noise_sd"] ** 2 + FRAME.step**2 / 12
    expected = 0.0
    for time, value in series:
        shape = covariance(form, values, time[:, None] - time[None, :]) + noise * np.eye(len(time))
        expected += multivariate_normal(np.full(len(time), values["mean"]), shape).logpdf(value)
    assert -likelihood(form, series)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_forecasts_are_the_conditional_distribution(form):
    """A forecast 60 s after the last of 30 readings, and the reading it meets 61.5 s after."""
    time, value = irregular(4, 31)
    time[-1] = time[-2] + 61.5
    meets = np.full((1, 31), -1, np.int32)
    meets[0, 29] = 30
    _, tally = likelihood(form, [(time, value)], meets)
    values = VALUES[form]
    noise = values["noise_sd"] ** 2 + FRAME.step**2 / 12
    past, ahead = time[:30], np.array([time[29] + 60.0])
    among = covariance(form, values, past[:, None] - past[None, :]) + noise * np.eye(30)
    across = covariance(form, values, past - ahead)
    weight = np.linalg.solve(among, across)
    error = value[30] - values["mean"] - weight @ (value[:30] - values["mean"])
    variance = covariance(form, values, np.zeros(1))[0] + noise - across @ weight
    assert tally[0, PAIRS] == 1
    assert tally[0, SQUARES] == pytest.approx(error**2, rel=1e-7)
    assert tally[0, PERSISTENCE] == pytest.approx((value[30] - value[29]) ** 2)
    assert tally[0, SCORE] == pytest.approx(-multivariate_normal(0, variance).logpdf(error), rel=1e-8)


def test_only_every_so_many_readings_are_origins():
    time, value = irregular(5, 20)
    meets = np.arange(20, dtype=np.int32)[None, :].clip(1)
    _, tally = likelihood("ou", [(time, value)], meets, stride=7)
    assert tally[0, PAIRS] == 3
    assert likelihood("ou", [(time, value)], meets)[1][0, PAIRS] == 20


def test_one_outlier_counts_logarithmically_and_moves_little():
    time = np.arange(50) * 60.0
    value = np.full(50, 80.0)
    clean = likelihood("ou", [(time, value)], limits=(3.0, 16.0, 9.0))[0]
    assert clean == likelihood("ou", [(time, value)])[0]
    worst = []
    for height in (200.0, 2_000.0):
        value[25] = height
        worst.append(likelihood("ou", [(time, value)], limits=(3.0, 16.0, 9.0))[0] - clean)
    assert 0 < worst[0] < worst[1] < 30
    assert likelihood("ou", [(time, value)])[0] - clean > 1_000
    assert limited(9.0, 9.0) == 9.0
    assert limited(9.0 * np.e, 9.0) == pytest.approx(11.0)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dt", [1e-3, 30.0, 5_000.0])
def test_a_matern_transition_is_the_exponential_of_its_companion(order, dt):
    rate = 1 / 700
    drift = {1: [[0, 1], [-1, -2]], 2: [[0, 1, 0], [0, 0, 1], [-1, -3, -3]]}[order]
    to = np.zeros((order + 1, order + 1))
    transition(order, np.full(order + 1, rate), dt, to)
    assert to == pytest.approx(expm(rate * dt * np.array(drift, float)), rel=1e-9, abs=1e-12)
    motion = motion_of(f"matern{2 * order + 1}2", VALUES[f"matern{2 * order + 1}2"], FRAME)
    driven = np.zeros((order + 1, order + 1))
    driven[-1, -1] = 1.0
    shape = solve_continuous_lyapunov(np.array(drift, float), -driven)
    assert motion.stationary == pytest.approx(81.0 * shape / shape[0, 0], abs=1e-9)


def test_a_balanced_trend_has_its_spread_and_no_jumps():
    values = VALUES["trend"]
    assert covariance("trend", values, np.zeros(1))[0] == pytest.approx(81.0)
    small = covariance("trend", values, np.array([0.0, 1e-3]))
    assert (small[0] - small[1]) / 1e-3 < 1e-6 * 81  # flat at 0: the level has a rate of change
    close = covariance("matern32", VALUES["matern32"], np.arange(0, 7_000, 50.0))
    assert motion_of("trend", values, FRAME).stationary == pytest.approx(motion_of("trend", values, FRAME).stationary.T)
    modes = modes_of("matern32", VALUES["matern32"])
    row = {name: getattr(modes, name) for name in ("fast_sd", "slow_sd", "fast_s", "slow_s", "coupling")}
    near = covariance("coupled", {"mean": 80.0, "noise_sd": 1.0, **row}, np.arange(0, 7_000, 50.0))
    assert near == pytest.approx(close, abs=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_coordinates_there_and_back(form):
    values, moved, bound = decode(form, encode(form, VALUES[form], FRAME), FRAME)
    assert values == pytest.approx(VALUES[form])
    assert (moved, bound) == (0.0, [])
    assert decode(form, begin(form, FRAME), FRAME)[1] == 0.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("far", [-50.0, 50.0])
def test_parameters_stay_within_their_bounds_wherever_a_walk_goes(form, far):
    values, moved, bound = decode(form, np.full(len(FORMS[form]), far), FRAME)
    scales = [figure for name, figure in values.items() if name.endswith("_s")]
    assert moved > 0
    assert bound
    assert min(scales) >= 9.999
    assert max(scales) <= 30 * 86_400 + 1
    assert all(b >= 1.999 * a for a, b in pairwise(scales))
    assert 50 <= values["mean"] <= 110
    assert abs(values.get("coupling", 0.0)) < 1
    motion = motion_of(form, values, FRAME)
    assert np.linalg.eigvalsh(motion.stationary).min() >= -1e-9 * motion.stationary.max()
    _, left = reaches(motion, np.array([1e9]))
    assert left[0] <= (1.5 * 10.0) ** 2 * 1.001
    assert np.isfinite(reaches(motion, np.array([10.0, 7_200.0]))[0]).all()


def test_a_single_mode_is_a_row_without_a_fast_one():
    assert modes_of("single", VALUES["single"]) == Modes(80.0, 2.0, 0.0, 10.0, 9.0, 4_000.0)
    assert modes_of("three", VALUES["three"]) is None
