"""The local level peer of ``infra/bench forecast``: a random walk in noise, its variances by maximum likelihood on the past.

y(t) = μ(t) + ε, μ moves by a normal step of variance ``ratio``·σ² for each usual step of time that passes, ε has
variance σ². Durbin & Koopman, Time Series Analysis by State Space Methods, chapter 2; σ² is concentrated out of the
likelihood (section 2.10.2) and the first reading starts the level exactly (diffuse). Checked against statsmodels in the
tests. The forecast is the filtered level, whatever the horizon.
"""

import math

import numpy as np

from twins.arrays import F8, I8
from twins.compiled.jit import kernel

__all__ = ["FIRST_FIT", "HISTORY", "fitted", "levels", "likelihood"]

FIRST_FIT = 20
"""Past readings at the first fit; before it the level is the newest reading. Refitted at 40, 80, 160 …"""
HISTORY = 4_096
"""Newest readings that a fit uses, and the most readings between two fits."""

_DECADES = 6
_SECTIONS = 30
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_LOG10 = math.log(10.0)
_LOG_2PI = math.log(2.0 * math.pi)


@kernel()
def likelihood(gap: F8, value: F8, ratio: float) -> tuple[float, float, float, float]:
    """Log-likelihood, σ², the level after the last reading and its variance in units of σ².

    ``gap[i]`` is the time from reading ``i - 1`` to ``i`` in usual steps; ``gap[0]`` is not used.
    """
    level, spread = value[0], 1.0
    squares = logs = 0.0
    for i in range(1, len(value)):
        before = spread + ratio * gap[i]
        width = before + 1.0
        innovation = value[i] - level
        squares += innovation * innovation / width
        logs += math.log(width)
        level += before / width * innovation
        spread = before / width
    count = len(value) - 1
    variance = squares / count
    found = -0.5 * (count * (math.log(variance) + 1.0) + len(value) * _LOG_2PI + logs)
    return found, variance, level, spread


@kernel()
def fitted(gap: F8, value: F8) -> float:
    """The ratio of greatest likelihood, between 10⁻⁶ and 10⁶; the upper end for readings that never change.

    A coarse search over the decades finds the maximum roughly, golden section exactly.
    """
    still = True
    for i in range(1, len(value)):
        still = still and value[i] == value[0]
    if still:
        return 10.0**_DECADES
    best, at = -math.inf, 0
    for decade in range(-_DECADES, _DECADES + 1):
        found = likelihood(gap, value, 10.0**decade)[0]
        if found > best:
            best, at = found, decade
    low, high = (max(at - 1, -_DECADES)) * _LOG10, (min(at + 1, _DECADES)) * _LOG10
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    on_left, on_right = likelihood(gap, value, math.exp(left))[0], likelihood(gap, value, math.exp(right))[0]
    for _ in range(_SECTIONS):
        if on_left > on_right:
            high, right, on_right = right, left, on_left
            left = high - _GOLDEN * (high - low)
            on_left = likelihood(gap, value, math.exp(left))[0]
        else:
            low, left, on_left = left, right, on_right
            right = low + _GOLDEN * (high - low)
            on_right = likelihood(gap, value, math.exp(right))[0]
    return math.exp(0.5 * (low + high))


@kernel()
def _walk(gap: F8, value: F8, first_fit: int, history: int, out: F8) -> None:
    due = first_fit
    ratio, level, spread = -1.0, 0.0, 1.0
    for i in range(len(value)):
        if i + 1 == due:
            start = max(0, i + 1 - history)
            ratio = fitted(gap[start : i + 1], value[start : i + 1])
            _, _, level, spread = likelihood(gap[start : i + 1], value[start : i + 1], ratio)
            due += min(due, history)
        elif ratio >= 0.0:
            before = spread + ratio * gap[i]
            spread = before / (before + 1.0)
            level += spread * (value[i] - level)
        out[i] = level if ratio >= 0.0 else value[i]


def levels(time_us: I8, value: F8, *, first_fit: int = FIRST_FIT, history: int = HISTORY) -> F8:
    """The level at each reading, from it and the readings before; ``time_us`` must not decrease.

    >>> levels(np.arange(4) * 60_000_000, np.array([70.0, 72.0, 71.0, 71.0])).tolist()
    [70.0, 72.0, 71.0, 71.0]
    """
    elapsed = np.diff(time_us)
    usual = float(np.median(elapsed[elapsed > 0])) if np.any(elapsed > 0) else 1.0
    gap = np.concatenate([[0.0], elapsed / usual])
    out = np.empty(len(value))
    _walk(gap, np.ascontiguousarray(value, np.float64), first_fit, history, out)
    return out
