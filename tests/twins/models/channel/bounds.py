"""Bounds of the probability that a level crosses a limit, by formulas that share nothing with the paths of ``passage``."""

import math

from twins.models.channel.passage import Three, _ratio, _spread, _step

PIECES = 12


def beyond(gap: float, variance: float = 1.0) -> float:
    """Probability that a normal variable is more than ``gap`` from its mean, on one side."""
    if variance <= 0.0:
        return 1.0 if gap < 0.0 else 0.0
    return 0.5 * math.erfc(gap / math.sqrt(2.0 * variance))


def piece(nearest: float, c: float, v_a: float, v_b: float, rates: Three) -> float:
    """An upper bound of the probability to come within ``nearest`` of the mean within a piece of time; see ``screen``."""
    if max(v_a, v_b) <= 0.0:
        return 1.0 if nearest <= 0.0 else 0.0
    lam1, lam2, h = rates
    shrink = math.exp(-(lam1 - min(c, 1.0) * (lam1 - lam2)) * h)
    if c < 0.0:
        shrink = (1.0 - c) * math.exp(-lam1 * h) + c * math.exp(-lam2 * h)
    if nearest <= 0.0 or shrink <= 0.0:
        return 1.0
    bound = 2.0 * beyond(nearest * shrink, v_b) if v_b > 0.0 else 1.0
    span = v_b / (v_a * shrink * shrink) if v_a > 0.0 else math.inf
    if 1.0 < span < math.inf:
        # Brownian motion from 0 against the chord of r √v over [1, span].
        r, root = nearest / math.sqrt(max(v_a, v_b)), math.sqrt(span)
        slope = r / (1.0 + root)
        level = r - slope
        bound = min(bound, beyond(r) + math.exp(-2.0 * level * slope) * beyond((level - slope * span) / root))
    return min(bound, 1.0)


def screen(
    m0: float, m1: float, p00: float, p01: float, p11: float, mu: float, lam1: float, lam2: float,
    s11: float, s12: float, s22: float, limit: float, side: float, window_s: float,
) -> tuple[float, float]:  # fmt: skip
    """Bounds of the probability of ``passage.crossing``: the largest marginal at 13 moments, and a sum over 12 pieces of time.

    In a piece, let c be the covariance of level and slow mode over the variance V of the level (the least c at its
    ends, and the greatest V there; this is the one step that is not proven). The level's deviation Y has cov(Y_s, Y_t)
    ≥ V_s exp(-k (t - s)) with k = lam1 - c (lam1 - lam2) for c in [0, 1] (Jensen). So it passes a limit with at most
    the probability that exp(-k t) B(V exp(2 k t)) does, where B is Brownian motion (Slepian). That is bounded by
    reflection at the nearest distance, and by the closed form for the chord under a concave boundary. If no k exists
    (the slow mode moves strongly against the level) the bound is 1.
    """
    gap = side * (limit - m0)
    if not (gap > 0.0 and window_s > 0.0):
        return (1.0, 1.0) if gap <= 0.0 else (0.0, 0.0)
    h = window_s / PIECES
    e, q = _step(lam1, lam2, s11, s12, s22, h)
    v, fast, slow = (p00, p01, p11), side * (m0 - mu - m1), side * m1
    lower, upper = beyond(gap, p00), 0.0
    for _ in range(PIECES):
        was = v
        # Each mode's mean is monotone, so within the piece the level is never nearer than with the nearer end of each
        # mode.
        nearest = side * (limit - mu) - max(fast, e[0] * fast) - max(slow, e[1] * slow)
        fast, slow, v = e[0] * fast, e[1] * slow, _spread(v, e, q)
        lower = max(lower, beyond(side * (limit - mu) - fast - slow, v[0]))
        if upper < 1.0:
            upper += piece(nearest, min(_ratio(v[1], v[0]), _ratio(was[1], was[0])), was[0], v[0], (lam1, lam2, h))
    return lower, max(lower, min(upper, 1.0)) if lam1 >= lam2 else 1.0
