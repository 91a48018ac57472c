"""Crossing probabilities against closed forms of first passage and against simulation with fine steps."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.stats import norm

from tests.twins.models.channel.bounds import piece, screen
from twins.models.channel import passage
from twins.models.channel.passage import crossing

LOW, HIGH = -1.0, 1.0
NAMES = ("m0", "m1", "p00", "p01", "p11", "mu", "lam1", "lam2", "s11", "s12", "s22", "limit", "side", "window_s")
STILL = {"m1": 0.0, "p00": 0.0, "p01": 0.0, "p11": 0.0, "mu": 0.0, "lam2": 1e-9, "s12": 0.0, "s22": 0.0}
TOLERANCE = 0.02
"""Four times the error of 256 paths."""


def arguments(**problem):
    assert set(problem) == set(NAMES)
    return tuple(float(problem[name]) for name in NAMES)


def crossed(**problem):
    return crossing(*arguments(**problem), np.full(passage.SCRATCH, np.nan, np.float32))


def bounds(**problem):
    return screen(*arguments(**problem))


def brownian(distance, *, window=1.0, variance=0.0):
    """A level without mean reversion and with unit diffusion, known with the variance ``variance``."""
    rate = 1e-6
    return STILL | {
        "m0": 0.0, "p00": variance, "lam1": rate, "lam2": rate / 2, "s11": 1 / (2 * rate), "limit": distance,
        "side": HIGH, "window_s": window,
    }  # fmt: skip


def modes(fast, slow, coupling):
    """Rates and stationary covariance of two modes given as (sd, time-scale)."""
    rate1, rate2 = 1 / fast[1], 1 / slow[1]
    s12 = coupling * 2 * math.sqrt(rate1 * rate2) / (rate1 + rate2) * fast[0] * slow[0]
    return {"mu": 100.0, "lam1": rate1, "lam2": rate2, "s11": fast[0] ** 2, "s12": s12, "s22": slow[0] ** 2}


def smooth(sd, fast_s, slow_s):
    """One driving noise with opposite signs: a level with a damped trend and no diffusion of its own."""
    return modes((sd, fast_s), (sd * math.sqrt(slow_s / fast_s), slow_s), -1.0)


def simulated(problem, *, steps, paths, seed):
    """Share of paths that cross, and their mean time, by plain Monte Carlo with a Brownian bridge between steps."""
    rng = np.random.default_rng(seed)
    rates = np.array([problem["lam1"], problem["lam2"]])
    stationary = np.array([[problem["s11"], problem["s12"]], [problem["s12"], problem["s22"]]])
    h = problem["window_s"] / steps
    decay = np.exp(-rates * h)
    noise = stationary * (1 - np.outer(decay, decay))
    diffusion = max(float((stationary * np.add.outer(rates, rates)).sum()), 0.0)
    # (level, slow) -> (fast, slow)
    apart = np.array([[1.0, -1.0], [0.0, 1.0]])
    covariance = apart @ np.array([[problem["p00"], problem["p01"]], [problem["p01"], problem["p11"]]]) @ apart.T
    mean = apart @ np.array([problem["m0"] - problem["mu"], problem["m1"]])
    x = rng.multivariate_normal(mean, covariance, paths)
    w, v = np.linalg.eigh(noise)
    root = v * np.sqrt(np.maximum(w, 0.0))
    limit = problem["limit"] - problem["mu"]
    distance = problem["side"] * (limit - x.sum(1))
    alive = distance > 0
    times = [np.zeros(int((~alive).sum()))]
    for step in range(steps):
        x = x * decay + rng.standard_normal((paths, 2)) @ root.T
        before, distance = distance, problem["side"] * (limit - x.sum(1))
        touch = np.exp(-2 * np.maximum(before * distance, 0.0) / (diffusion * h)) if diffusion > 0 else 0.0
        now = alive & ((distance <= 0) | (rng.random(paths) < touch))
        times.append(np.full(int(now.sum()), (step + 0.5) * h))
        alive &= ~now
    times = np.concatenate(times)
    return len(times) / paths, times.mean() if len(times) else math.nan


@pytest.mark.parametrize("distance", [0.05, 0.3, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("variance", [0.0, 0.5])
def test_brownian_motion_is_reflected(distance, variance):
    # From N(0, v): the excess over the start is reflected, which integrates to a bivariate normal; by quadrature.
    starts = distance - math.sqrt(variance) * norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    exact = np.where(starts <= 0, 1.0, 2 * norm.sf(np.maximum(starts, 0.0))).mean()
    probability, _ = crossed(**brownian(distance, variance=variance))
    assert probability == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("variance", [0.0, 0.5])
def test_time_of_brownian_passage(distance, variance):
    moments, ranks = (np.arange(2_000) + 0.5) / 2_000, (np.arange(1_000) + 0.5) / 1_000
    starts = np.maximum(distance - math.sqrt(variance) * norm.ppf(ranks), 0.0)[:, None]
    exact = 1 - norm.sf(starts / np.sqrt(moments)).mean() / norm.sf(starts).mean()
    _, time = crossed(**brownian(distance, variance=variance))
    assert time == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("drift", [-1.0, 0.5, 2.0])
@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_brownian_motion_with_drift(distance, drift):
    # Bachelier and Lévy. Far from its mean and slow, the level only drifts; the slow mode carries the drift.
    rate = 1e-6
    problem = brownian(distance) | {"mu": drift / rate}
    exact = norm.cdf(drift - distance) + math.exp(2 * drift * distance) * norm.cdf(-distance - drift)
    assert crossed(**problem)[0] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("distance", [0.1, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("timescales", [0.1, 1.0, 5.0, 20.0])
def test_ornstein_uhlenbeck_comes_to_its_mean(distance, timescales):
    # Time-changed Brownian motion: 2 sf(d / √(s² (exp(2 lam t) - 1))), exact at any step.
    problem = STILL | {
        "m0": distance, "lam1": 1.0, "s11": 1.0, "limit": 0.0, "side": LOW, "window_s": timescales, "lam2": 1e-3,
    }  # fmt: skip
    exact = 2 * norm.sf(distance / math.sqrt(math.exp(2 * timescales) - 1))
    assert crossed(**problem)[0] == pytest.approx(exact, abs=TOLERANCE)


@cache
def ornstein_uhlenbeck(limit, time):
    """Probability that a unit process of unit rate passes a low limit, by starting point: solves its backward equation."""
    x = np.linspace(limit, 7.0, 260)[1:]
    step = x[1] - x[0]
    up, down = 1 / step**2 - x / (2 * step), 1 / step**2 + x / (2 * step)
    generator = np.diag(-(up + down)) + np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    generator[-1, -1] += up[-1]
    return x, 1 - expm(generator * time).sum(1)


@pytest.mark.parametrize("start", [-1.0, 0.0, 1.5])
@pytest.mark.parametrize("limit", [-1.2, -2.0, -2.5])
@pytest.mark.parametrize("time", [2.0, 20.0])
def test_ornstein_uhlenbeck_comes_to_a_limit_off_its_mean(start, limit, time):
    problem = STILL | {
        "m0": start, "lam1": 1.0, "s11": 1.0, "limit": limit, "side": LOW, "window_s": time, "lam2": 1e-3,
    }  # fmt: skip
    exact = np.interp(start, *ornstein_uhlenbeck(limit, time))
    assert crossed(**problem)[0] == pytest.approx(exact, abs=TOLERANCE)


def test_a_piece_is_bounded_by_reflection_and_by_the_chord():
    assert piece(1.5, 1.0, 0.0, 0.7, (1.0, 0.0, 9.0)) == pytest.approx(2 * norm.sf(1.5 / math.sqrt(0.7)))
    for distance in (1.5, 2.0, 3.0):
        for time in (0.1, 0.5):
            x, passed = ornstein_uhlenbeck(-distance, time)
            exact = norm.sf(distance) + np.trapezoid(passed * norm.pdf(x), x)
            assert exact <= piece(distance, 0.0, 1.0, 1.0, (1.0, 0.5, time)) <= 2.0 * exact


TWO_MODES = {
    "heart rate": modes((3.3, 160.0), (17.0, 109_000.0), 0.0),
    "oxygen saturation": modes((1.0, 2_600.0), (2.0, 100_000.0), 0.0),
    "coupled against": modes((0.9, 10_400.0), (1.5, 18_000.0), -0.6),
    "coupled with": modes((2.0, 900.0), (3.0, 7_200.0), 0.5),
    "slow alone": modes((0.1, 100.0), (5.0, 3_000.0), 0.0),
    "trend": smooth(20.0, 1_500.0, 15_000.0),
    "short trend": smooth(5.0, 300.0, 900.0),
}


@pytest.mark.parametrize("name", TWO_MODES)
@pytest.mark.parametrize("z", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("side", [LOW, HIGH])
def test_two_modes_against_simulation(name, z, side):
    model = TWO_MODES[name]
    p11 = 0.3 * model["s22"]
    p00 = 0.02 * (model["s11"] + 2 * model["s12"] + model["s22"])
    kept = np.exp(-1800.0 * np.array([2 * model["lam1"], model["lam1"] + model["lam2"], 2 * model["lam2"]]))
    spread = math.sqrt(p00 + np.dot([model["s11"], 2 * model["s12"], model["s22"]], 1 - kept))
    problem = model | {
        "m0": 103.0, "m1": 2.0, "p00": p00, "p01": 0.4 * math.sqrt(p00 * p11), "p11": p11,
        "limit": 103.0 + side * z * spread, "side": side, "window_s": 1800.0,
    }  # fmt: skip
    share, mean_time = simulated(problem, steps=360, paths=8_000, seed=17)
    probability, time = crossed(**problem)
    lower, upper = bounds(**problem)
    noise = 4 * math.sqrt(max(share * (1 - share), 1e-3) / 8_000)
    assert probability == pytest.approx(share, abs=TOLERANCE + noise)
    assert lower <= share + noise
    assert share <= upper + noise
    if share > 0.05:
        assert time == pytest.approx(mean_time, abs=0.02 * 1800.0 + 4 * 500.0 / math.sqrt(share * 8_000))


def test_a_level_goes_where_an_uncertain_slow_mode_takes_it():
    problem = modes((1.0, 100.0), (5.0, 50_000.0), 0.0) | {
        "m0": 100.0, "m1": 0.0, "p00": 0.1, "p01": 0.1, "p11": 20.0, "limit": 105.0, "side": HIGH, "window_s": 1800.0,
    }  # fmt: skip
    share, _ = simulated(problem, steps=360, paths=8_000, seed=9)
    assert crossed(**problem)[0] == pytest.approx(share, abs=2 * TOLERANCE)


@pytest.mark.parametrize(("correlation", "window"), [(-0.99, 900.0), (-0.5, 3000.0)])
def test_paths_are_counted_where_the_levels_share_no_direction(correlation, window):
    # A start whose slow mode is known to compensate the level: where one is high, the other is low.
    model = modes((1.0, 200.0), (4.0, 20_000.0), 0.0)
    problem = model | {
        "m0": 101.0, "m1": 0.0, "p00": 0.5, "p01": correlation * math.sqrt(0.5 * 4.0), "p11": 4.0,
        "limit": 102.5, "side": HIGH, "window_s": window,
    }  # fmt: skip
    share, _ = simulated(problem, steps=360, paths=8_000, seed=3)
    probability, _ = crossed(**problem)
    assert probability * passage.PATHS == round(probability * passage.PATHS)
    assert probability == pytest.approx(share, abs=0.06)
    assert bounds(**problem)[1] >= share


positive = st.floats(0.05, 20.0)


@st.composite
def problems(draw):
    """Windows of 0.05 to 5 fast time-scales, any coupling, any state of knowledge that readings can leave."""
    fast_s = draw(st.floats(400.0, 20_000.0))
    slow_s = fast_s * draw(st.floats(1.0, 50.0))
    kind = draw(st.sampled_from(["apart", "coupled", "smooth"]))
    sd = draw(positive)
    model = (
        smooth(sd, fast_s, slow_s * 1.2)
        if kind == "smooth"
        else modes((sd, fast_s), (draw(positive), slow_s), draw(st.floats(-0.99, 0.9)) if kind == "coupled" else 0.0)
    )
    total = model["s11"] + 2 * model["s12"] + model["s22"]
    p00, p11 = total * draw(st.floats(0.0, 1.0)), model["s22"] * draw(st.floats(0.0, 1.0))
    side = draw(st.sampled_from([LOW, HIGH]))
    m0 = 100.0 + draw(st.floats(-2.0, 2.0)) * math.sqrt(total)
    return model | {
        "m0": m0, "m1": draw(st.floats(-2.0, 2.0)) * math.sqrt(model["s22"]), "p00": p00, "p11": p11,
        "p01": draw(st.floats(-0.2, 0.99)) * math.sqrt(p00 * p11), "side": side,
        "limit": m0 + side * draw(st.floats(0.001, 4.0)) * math.sqrt(total), "window_s": draw(st.floats(60.0, 2_000.0)),
    }  # fmt: skip


@given(problems())
@settings(max_examples=300)
def test_probability_lies_between_its_bounds(problem):
    lower, upper = bounds(**problem)
    probability, time = crossed(**problem)
    assert 0.0 <= lower <= upper <= 1.0
    assert lower - 2 * TOLERANCE <= probability <= upper + 2 * TOLERANCE
    assert probability == 0.0 or 0.0 <= time <= problem["window_s"]


@given(problems())
@settings(max_examples=25)
def test_bounds_hold_in_simulation(problem):
    share, _ = simulated(problem, steps=200, paths=2_000, seed=5)
    lower, upper = bounds(**problem)
    noise = 4.5 * math.sqrt(max(share * (1 - share), 1e-3) / 2_000)
    assert lower - noise <= share <= upper + noise


@given(problems(), st.floats(0.0, 3.0))
def test_a_farther_limit_is_crossed_less(problem, more):
    spread = math.sqrt(problem["s11"] + 2 * problem["s12"] + problem["s22"])
    farther = problem | {"limit": problem["limit"] + problem["side"] * more * spread}
    assert crossed(**farther)[0] <= crossed(**problem)[0] + 1e-5
    assert bounds(**farther)[0] <= bounds(**problem)[0]
    assert bounds(**farther)[1] <= bounds(**problem)[1] + 1e-12


@given(problems(), st.floats(1.0, 4.0))
def test_a_longer_window_is_crossed_more(problem, longer):
    wider = problem | {"window_s": problem["window_s"] * longer}
    assert crossed(**wider)[0] >= crossed(**problem)[0] - 2 * TOLERANCE


@given(problems())
def test_the_sides_are_mirror_images(problem):
    assume(problem["side"] == LOW)
    shifted = problem | {"m0": problem["m0"] - 100.0, "limit": problem["limit"] - 100.0, "mu": 0.0}
    mirrored = shifted | {"m0": -shifted["m0"], "m1": -shifted["m1"], "limit": -shifted["limit"], "side": HIGH}
    assert crossed(**shifted) == pytest.approx(crossed(**mirrored), nan_ok=True, rel=1e-12)
    assert bounds(**shifted) == pytest.approx(bounds(**mirrored), rel=1e-12)


@given(problems())
def test_the_scratch_does_not_matter(problem):
    used = np.zeros(passage.SCRATCH, np.float32)
    crossing(*arguments(**problem | {"window_s": 777.0}), used)
    np.testing.assert_array_equal(crossing(*arguments(**problem), used), crossed(**problem))


def test_edges():
    near = brownian(1.0)
    assert crossed(**near | {"m0": 2.0}) == (1.0, 0.0)
    assert bounds(**near | {"m0": 2.0}) == (1.0, 1.0)
    assert crossed(**near | {"m0": 1.0}) == (1.0, 0.0)
    for hopeless in ({"window_s": 0.0}, {"limit": math.nan}, {"m0": math.nan}, {"window_s": 0.0, "p00": 9.0}):
        probability, time = crossed(**near | hopeless)
        assert probability == 0.0
        assert math.isnan(time)
        assert bounds(**near | hopeless) == (0.0, 0.0)
    assert bounds(**brownian(50.0))[1] < 1e-12
    assert crossed(**brownian(50.0))[0] < 1e-12


def test_a_level_without_chance_follows_its_mean():
    # 10 above the mean, the limit half-way: reached after ln 2 time-scales, between two steps of 10 s.
    falling = STILL | {
        "m0": 10.0, "lam1": 0.01, "lam2": 0.001, "s11": 0.0, "limit": 5.0, "side": LOW, "window_s": 300.0,
    }  # fmt: skip
    probability, time = crossed(**falling)
    assert probability == 1.0
    assert time == pytest.approx(100 * math.log(2), abs=10.0)
    assert bounds(**falling) == (1.0, 1.0)
    assert crossed(**falling | {"window_s": 60.0})[0] == 0.0
    assert bounds(**falling | {"window_s": 60.0}) == (0.0, 0.0)


def test_a_mean_that_turns_between_two_moments_is_not_missed():
    # The fast mode is -10 and the slow one +10: the level has a peak at 11/30 of the window, where only the paths have
    # a step.
    fast, slow = 0.02, 0.002
    peak = math.log(fast / slow) / (fast - slow)
    window = peak * 30 / 11
    turning = STILL | {"lam1": fast, "lam2": slow, "s11": 0.0, "m0": 0.0, "m1": 10.0, "side": HIGH, "window_s": window}

    def level(t):
        return 10 * (math.exp(-slow * t) - math.exp(-fast * t))

    limit = (level(peak) + max(level(window * 4 / 12), level(window * 5 / 12))) / 2
    assert crossed(**turning, limit=limit)[0] == 1.0
    assert bounds(**turning, limit=limit) == (0.0, 1.0)
    assert crossed(**turning, limit=level(peak) + 0.01)[0] == 0.0


@pytest.mark.parametrize("name", TWO_MODES)
@pytest.mark.parametrize("known", [1e-3, 1.0])
def test_paths_spread_as_far_along_their_direction_as_they_are_moved(name, known):
    model = TWO_MODES[name]
    p00, p11 = 0.1 * known * model["s11"], known * model["s22"]
    problem = model | {
        "m0": 100.0, "m1": 0.0, "p00": p00, "p01": 0.1 * math.sqrt(p00 * p11), "p11": p11, "limit": 101.0, "side": HIGH,
        "window_s": 1800.0,
    }  # fmt: skip
    scratch = np.zeros(passage.SCRATCH, np.float32)
    crossing(*arguments(**problem), scratch)
    total = scratch[passage._U : passage._U + passage.PATHS]
    assert np.var(total) == pytest.approx(scratch[passage._B + 1 : passage._B + 1 + passage.STEPS].sum(), rel=0.1)


def test_the_table_is_what_its_docstring_says():
    for table in (passage._FAST, passage._SLOW):
        assert table.shape == (passage.STEPS, passage.PATHS)
        np.testing.assert_allclose(table.mean(1), 0.0, atol=1e-6)
        np.testing.assert_allclose((table.astype(float) ** 2).mean(), 1.0, atol=1e-3)
        np.testing.assert_array_equal(table, -table[:, ::-1])
    np.testing.assert_allclose(np.sort(passage._BRIDGE, 1), np.sort(passage._BRIDGE[:1], 1).repeat(passage.STEPS, 0))
    assert passage._BRIDGE.mean() == pytest.approx(1.0, abs=2e-3)
