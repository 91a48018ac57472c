"""How well a stationary motion forecasts the readings of many series: the arithmetic of ``vitaltwin fit``.

A motion has at most three components. It is either a sum of Ornstein-Uhlenbeck modes (order 0), and a reading measures
the sum. Or it is a Matérn process with its derivatives (order 1: 3/2, order 2: 5/2), and a reading measures the first
component. The derivatives are scaled by powers of the rate, so the transition depends on rate x time alone. For both,
the covariance after some time is exactly ``S + F (P - S) F'`` with the stationary covariance ``S`` (Särkkä & Solin,
Applied Stochastic Differential Equations, chapters 6 and 12). The effect of a single outlier on filter and score is
limited.
"""

import math

from twins.arrays import F8, I4, I8
from twins.compiled.jit import kernel

COMPONENTS = 3
"""The largest number of components of a motion."""
WORK = (4, COMPONENTS, COMPONENTS)
"""Shape of the scratch of ``follow``."""

# tally: float64[horizons, TALLY_WIDTH]: pairs, sums of the score and of the squared errors of forecast and persistence
PAIRS, SCORE, SQUARES, PERSISTENCE = range(4)
TALLY_WIDTH = 4

GAIN_LIMIT = 3.0
"""Sigmas beyond which a larger innovation has no larger effect on the estimate (Huber)."""
STEP_LIMIT = 16.0
"""Squared sigmas beyond which the next reading counts logarithmically …"""
HORIZON_LIMIT = 9.0
"""… and beyond which a reading at a horizon does."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@kernel()
def transition(order: int, rate: F8, dt: float, to: F8) -> None:
    """Fill ``to`` with the components' transition over ``dt`` seconds: exp(A dt), for one or several ``rate`` per s."""
    size = len(rate)
    for i in range(size):
        for j in range(size):
            to[i, j] = 0.0
    if order == 0:
        for i in range(size):
            to[i, i] = math.exp(-rate[i] * dt)
        return
    x = rate[0] * dt
    e = math.exp(-x)
    if order == 1:
        to[0, 0], to[0, 1] = e * (1.0 + x), e * x
        to[1, 0], to[1, 1] = -e * x, e * (1.0 - x)
        return
    half = 0.5 * x * x
    to[0, 0], to[0, 1], to[0, 2] = e * (1.0 + x + half), e * (x + x * x), e * half
    to[1, 0], to[1, 1], to[1, 2] = -e * half, e * (1.0 + x - x * x), e * (x - half)
    to[2, 0], to[2, 1], to[2, 2] = e * (half - x), e * (x * x - 3.0 * x), e * (1.0 - 2.0 * x + half)


@kernel()
def limited(squares: float, most: float) -> float:
    """``squares`` up to ``most``, beyond that logarithmic: the tail of a density that falls as 1/z²."""
    return squares if squares <= most else most + 2.0 * math.log(squares / most)


@kernel()
def _advance(order: int, mean: F8, p: F8, to: F8, stationary: F8, scratch: F8) -> None:
    size = len(stationary)
    if order == 0:  # a diagonal transition
        for i in range(size):
            mean[i] *= to[i, i]
            for j in range(size):
                p[i, j] = stationary[i, j] + to[i, i] * to[j, j] * (p[i, j] - stationary[i, j])
        return
    for i in range(size):
        scratch[i, 0] = 0.0
        for j in range(size):
            scratch[i, 0] += to[i, j] * mean[j]
    for i in range(size):
        mean[i] = scratch[i, 0]
    for i in range(size):
        for j in range(size):
            scratch[i, j] = 0.0
            for k in range(size):
                scratch[i, j] += to[i, k] * (p[k, j] - stationary[k, j])
    for i in range(size):
        for j in range(size):
            p[i, j] = stationary[i, j]
            for k in range(size):
                p[i, j] += scratch[i, k] * to[j, k]


@kernel()
def follow(
    time_s: F8, value: F8, starts: I8, stride: I8, meets: I4, mean: float, noise: float, order: int, rate: F8,
    stationary: F8, reach: F8, left: F8, gain_limit: float, step_limit: float, horizon_limit: float, work: F8, tally: F8,
) -> float:  # fmt: skip
    """Filter all series and add to ``tally``; returns the sum of the negative log-likelihoods of each next reading, nats.

    Series ``i`` is the readings from ``starts[i]`` to before ``starts[i + 1]``, with rising times; every
    ``stride[i]``-th is the origin of a forecast. ``meets[h, n]`` is the place of the reading that a forecast made at
    ``n`` meets at horizon ``h``, -1 if there is none. ``reach[h]`` is how much of each component remains in the sum
    until then, and ``left[h]`` the variance that is added. ``noise`` is the variance of a reading around the level,
    above zero. With limits of ``inf`` the sum is that of the multivariate normal density.
    """
    size = len(rate)
    seen = size if order == 0 else 1
    p, to, scratch = work[0], work[1], work[2]
    m, gain = work[3, 0], work[3, 1]
    total = 0.0
    known = -1.0
    for series in range(len(stride)):
        first = starts[series]
        for i in range(size):
            m[i] = 0.0
            for j in range(size):
                p[i, j] = stationary[i, j]
        for n in range(first, starts[series + 1]):
            if n > first:
                dt = time_s[n] - time_s[n - 1]
                if dt != known:
                    transition(order, rate, dt, to)
                    known = dt
                _advance(order, m, p, to, stationary, scratch)
            innovation = value[n] - mean
            level = 0.0
            for i in range(size):
                gain[i] = 0.0
                for j in range(seen):
                    gain[i] += p[i, j]
            for i in range(seen):
                innovation -= m[i]
                level += gain[i]
            s = max(level, 0.0) + noise
            squares = innovation * innovation / s
            total += _HALF_LOG_2PI + 0.5 * (math.log(s) + limited(squares, step_limit))
            weight = 1.0 / s
            if squares > gain_limit * gain_limit:
                weight *= gain_limit / math.sqrt(squares)
            for i in range(size):
                m[i] += gain[i] * weight * innovation
                for j in range(size):
                    p[i, j] -= gain[i] * gain[j] * weight
            if (n - first) % stride[series] != 0:
                continue
            for h in range(len(meets)):
                at = meets[h, n]
                if at < 0:
                    continue
                error = value[at] - mean
                spread = 0.0
                for i in range(size):
                    error -= reach[h, i] * m[i]
                    for j in range(size):
                        spread += reach[h, i] * p[i, j] * reach[h, j]
                s = max(left[h] + spread, 0.0) + noise
                squares = error * error
                change = value[at] - value[n]
                tally[h, PAIRS] += 1.0
                tally[h, SCORE] += _HALF_LOG_2PI + 0.5 * (math.log(s) + limited(squares / s, horizon_limit))
                tally[h, SQUARES] += squares
                tally[h, PERSISTENCE] += change * change
    return total
