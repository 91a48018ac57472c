"""The probability that a channel's level crosses a limit within a window, and the time when.

The level is ``mu + x1 + x2`` with dx_k = -lam_k x_k dt + dW_k: a stationary Gaussian process with two modes. The filter
knows the level and the slow mode x2 as a normal vector. Every function takes it as scalars: ``m0, m1`` (their means,
``mu`` included), ``p00, p01, p11`` (covariance), ``mu``, ``lam1 >= lam2`` (per s) and ``s11, s12, s22`` (stationary
covariance of x1 and x2). Then follow ``limit``, ``side`` (-1 a low limit, +1 a high one) and ``window_s``.

The event is that the level, in continuous time, is beyond the limit at some moment of the window. The present moment is
part of the window, so the uncertainty of the present level counts. If the mean is beyond the limit now, the probability
is 1 at time 0. If the limit or the mean is NaN, or the window has no length, it is 0.
"""

import math
from statistics import NormalDist

import numpy as np

from twins.arrays import F4
from twins.compiled.jit import kernel

Three = tuple[float, float, float]

STEPS, PATHS = 30, 256
_ZERO, _HALF, _ONE, _TWO, _FAR, _TINY = (np.float32(x) for x in (0.0, 0.5, 1.0, 2.0, 12.0, 1e-30))
_SQRT_HALF = np.float32(math.sqrt(0.5))
# Abramowitz & Stegun 7.1.28: erfc within 3e-7, by arithmetic that a processor can do for many numbers at once.
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(x) for x in (0.0705230784, 0.0422820123, 0.0092705272, 0.0001520143, 0.0002765672, 0.0000430638)
)

# Places in the scratch. For each path: the level, the slow mode, the running total, the last threshold and the least so
# far at each step. For each point of the grid: what the paths have in common.
_X, _S, _U, _P, _LEAST = 0, PATHS, 2 * PATHS, 3 * PATHS, 4 * PATHS
_D = _LEAST + (STEPS + 1) * PATHS
_G, _B, _V0, _V1 = _D + STEPS + 1, _D + 2 * (STEPS + 1), _D + 3 * (STEPS + 1), _D + 4 * (STEPS + 1)
SCRATCH = _V1 + STEPS + 1
"""The number of float32 values that ``crossing`` needs as scratch; their content before and after has no meaning."""


def _table() -> tuple[F4, F4, F4, F4]:
    """Normal numbers of the start, the fast and the slow mode, and exponential ones of the bridges, as [.., PATHS].

    A Korobov lattice: point i has the coordinates i 53^j mod 257. Each coordinate takes each of 256 values once, and
    paths i and 257 - i are mirror images. Of the primitive roots, 53 is one of the two with the least error on 1,500
    problems. The first coordinates drive the principal components of a random walk (cosines) instead of single steps.
    Rounding to float32 hides the last bits, in which the cosines and logarithms of processors differ.
    """
    rank = np.array([[i * pow(53, j, 257) % 257 - 1 for i in range(1, 257)] for j in range(2 + 3 * STEPS)])
    middle = (np.arange(PATHS) + 0.5) / PATHS
    z = np.array([NormalDist().inv_cdf(float(p)) for p in middle])
    z /= np.sqrt(np.mean(z * z))
    angle = (np.arange(STEPS)[:, None] + 0.5) * (2 * np.arange(STEPS) + 1) * math.pi / (2 * STEPS + 1)
    walk = np.cos(angle) * 2.0 / math.sqrt(2 * STEPS + 1)
    fast, slow = walk @ z[rank[2:-STEPS:2]], walk @ z[rank[3:-STEPS:2]]
    f4 = np.float32
    return z[rank[:2]].astype(f4), fast.astype(f4), slow.astype(f4), -np.log(middle)[rank[-STEPS:]].astype(f4)


_START, _FAST, _SLOW, _BRIDGE = _table()


@kernel()
def _ratio(a: float, b: float) -> float:
    return a / b if b > 0.0 else 0.0


@kernel()
def _step(lam1: float, lam2: float, s11: float, s12: float, s22: float, h: float) -> tuple[Three, Three]:
    """Transition over ``h`` s (level to level, slow to slow, slow to level) and the covariance it adds."""
    e1, e2 = math.exp(-lam1 * h), math.exp(-lam2 * h)
    q12, q11 = -s12 * math.expm1(-(lam1 + lam2) * h), -s22 * math.expm1(-2.0 * lam2 * h)
    q00, q01 = -s11 * math.expm1(-2.0 * lam1 * h) + 2.0 * q12 + q11, q12 + q11
    return (e1, e2, e2 - e1), (max(q00, 0.0), q01, q11)


@kernel()
def _spread(v: Three, e: Three, q: Three) -> Three:
    """Covariance of level and slow mode one step later."""
    (v00, v01, v11), (e1, e2, lean) = v, e
    late = e2 * (e1 * v01 + lean * v11)
    return e1 * e1 * v00 + 2.0 * e1 * lean * v01 + lean * lean * v11 + q[0], late + q[1], e2 * e2 * v11 + q[2]


@kernel()
def _root(v: Three) -> tuple[np.float32, np.float32, np.float32]:
    """Cholesky root of a covariance: level, slow mode with the level, slow mode by itself."""
    level = math.sqrt(max(v[0], 0.0))
    both = _ratio(v[1], level)
    return np.float32(level), np.float32(both), np.float32(math.sqrt(max(v[2] - both * both, 0.0)))


@kernel()
def _grid(y: float, s: float, v: Three, e: Three, q: Three, gap: float, side: float, bow: float, w: F4) -> float:
    """Write distances, sags and the common direction of the paths; returns the spread along it, 0 if there is none.

    The direction is the sum of the levels at all steps, standardised: ``w[_B + i]`` is the covariance of level i with
    the sum. It is useful only if every level follows it. A level that is known exactly now is given a millionth.
    """
    e1, e2, lean = e
    a0 = a1 = b0 = b1 = total = b = 0.0
    least = math.inf
    for i in range(STEPS + 1):
        if i > 0:
            y, s, v = e1 * y + lean * s, e2 * s, _spread(v, e, q)
            a0, a1 = e1 * a0 + lean * a1 + v[0], e2 * a1 + v[1]
        w[_D + i], w[_G + i] = gap - side * y, bow * (gap - side * s)
        w[_B + i], w[_V0 + i], w[_V1 + i] = a0, v[0], v[1]
    for i in range(STEPS, -1, -1):
        b = w[_B + i] + w[_V0 + i] * b0 + w[_V1 + i] * b1
        w[_B + i] = b
        if i > 0:
            least, total = min(least, b), total + b
        b0, b1 = e1 * (b0 + 1.0), lean * (b0 + 1.0) + e2 * b1
    floor = 1e-6 * total / STEPS
    w[_B] = max(b, floor)
    return math.sqrt(total) if least > floor and b >= -1e3 * floor else 0.0


@kernel()
def _outcome(spread: float, window_s: float, w: F4) -> tuple[float, float]:
    """Probability and expected time from the thresholds of the paths, by the trapezium rule over the steps."""
    hard = spread == 0.0
    per = np.float32(0.0 if hard else 1.0 / spread)
    w[_X : _X + PATHS] = 0.0
    for point in range(STEPS + 1):
        at = _LEAST + point * PATHS
        weight = _HALF if point in (0, STEPS) else _ONE
        for p in range(PATHS):
            z = w[_U + p] * per + w[at + p]
            t = min(abs(z) * _SQRT_HALF, _FAR)
            k = _ONE + t * (_C1 + t * (_C2 + t * (_C3 + t * (_C4 + t * (_C5 + t * _C6)))))
            k *= k
            k *= k
            k *= k
            tail = _ZERO if hard else _HALF / (k * k)
            w[_S + p] = _ONE - tail if z < 0 else tail
            w[_X + p] += weight * w[_S + p]
    crossed = elapsed = 0.0
    for p in range(PATHS):
        crossed += w[_S + p]
        elapsed += w[_X + p]
    if crossed <= 0.0:
        return 0.0, math.nan
    return crossed / PATHS, window_s * max(1.0 - elapsed / (crossed * STEPS), 0.0)


@kernel()
def crossing(
    m0: float, m1: float, p00: float, p01: float, p11: float, mu: float, lam1: float, lam2: float,
    s11: float, s12: float, s22: float, limit: float, side: float, window_s: float, w: F4,
) -> tuple[float, float]:  # fmt: skip
    """Probability that the level crosses the limit in the window, and the expected time (s) of the crossing.

    Uses 256 quasi-random paths in 30 steps. ``w`` is scratch of ``SCRATCH`` float32. The time is NaN if the probability
    is 0. Each path is moved as a whole along one direction of its normal numbers, that of the sum of its levels, until
    it first touches the limit. The probability of that is a normal one, without sampling noise (conditional Monte
    Carlo). If the levels share no direction, the crossing paths are counted, which is less exact.

    Between steps the level is a Brownian bridge with the local variance Σ s_kl (lam_k + lam_l) per s. It crosses if the
    product of the distances at its ends is below variance · step · E / 2, with E exponential; this is a quadratic
    equation for how far to move. Two corrections turn it into the bridge of an Ornstein-Uhlenbeck process: sinh(x) / x
    with x = lam1 · step (exact for a limit at the mean), and its sag towards the mean, 1 - 1 / cosh(x / 2) of the
    distance between limit and mean (good for x < 1). For a smooth level, one with a trend, both vanish with the local
    variance.
    """
    gap = side * (limit - m0)
    if not (gap > 0.0 and window_s > 0.0):
        return (1.0, 0.0) if gap <= 0.0 else (0.0, math.nan)
    h = window_s / STEPS
    e, q = _step(lam1, lam2, s11, s12, s22, h)
    v, x = (p00, p01, p11), min(lam1 * h, 20.0)
    diffusion = 2.0 * h * max(lam1 * s11 + (lam1 + lam2) * s12 + lam2 * s22, 0.0)
    bow = (1.0 - 1.0 / math.cosh(0.5 * x)) * min(diffusion / q[0], 1.0) if q[0] > 0.0 else 0.0
    spread = _grid(m0 - mu, m1, v, e, q, side * (limit - mu), side, bow, w)
    bridge = np.float32(0.5 * diffusion * (math.sinh(x) / x if x > 1e-6 else 1.0))
    e1, e2, lean = np.float32(e[0]), np.float32(e[1]), np.float32(e[2])
    (i00, i01, i11), (j00, j01, j11) = _root(v), _root(q)
    per = np.float32(spread / w[_B] if spread > 0.0 else 1.0)
    distance = w[_D]
    for p in range(PATHS):
        z = _START[0, p]
        level = i00 * z
        w[_X + p], w[_S + p], w[_U + p] = level, i01 * z + i11 * _START[1, p], _ZERO
        w[_P + p] = w[_LEAST + p] = (distance - level) * per
    for i in range(STEPS):
        was = per
        per = np.float32(spread / w[_B + i + 1] if spread > 0.0 else 1.0)
        distance = w[_D + i + 1]
        sag = _HALF * (w[_G + i] + w[_G + i + 1])
        square, scale = sag * sag, _TWO * was * per
        here = _LEAST + (i + 1) * PATHS
        for p in range(PATHS):
            z = _FAST[i, p]
            level = e1 * w[_X + p] + lean * w[_S + p] + j00 * z
            w[_S + p] = e2 * w[_S + p] + j01 * z + j11 * _SLOW[i, p]
            w[_X + p] = level
            w[_U + p] += level
            old, new = w[_P + p], (distance - level) * per
            w[_P + p] = new
            root = np.float32(math.sqrt(square + bridge * _BRIDGE[i, p])) - sag
            apart = abs(new - old)
            product = scale * (root * root)
            reach = apart + np.float32(math.sqrt(apart * apart + _TWO * product))
            threshold = min(new, old) - product / (reach + _TINY)
            least = w[here - PATHS + p]
            w[here + p] = min(least, threshold)
    return _outcome(spread, window_s, w)
