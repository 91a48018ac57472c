"""Forecasts stored until their time comes, and the width of the bands adjusted to how often they were right.

An adaptive conformal tracker (Gibbs & Candès 2021) per channel and horizon, on the logarithm of the width. A reading
outside a band widens it by the rate times the promised coverage. A reading inside narrows it by the rate times the
rest.
"""

import math

from twins.arrays import F4, F8, U2
from twins.bank.layout import HORIZONS, HORIZONS_S, SLOTS
from twins.compiled.jit import kernel
from twins.models.channel.forecast import TAIL, Z80, Z95, ahead

__all__ = ["calibrate"]


NEXT = 0
"""Index in ``due`` of the earliest time to act on. It stands before the times of the forecasts, and only it is read
every time.
"""
MISS80, MISS95 = 0.2, 0.05
RATE, RATE_AT_FIRST, FIRST_TRIES = 0.05, 0.4, 4.0
"""The rate falls from the second to the first value over a number of forecasts that is a multiple of the third."""
LEAST, MOST = math.log(0.1), math.log(30.0)
LEND_UNTIL = 8
"""A horizon with fewer results of its own learns half of what a shorter horizon learns."""


@kernel()
def _rate(tries: float) -> float:
    return max(RATE, RATE_AT_FIRST / (1.0 + tries / FIRST_TRIES))


@kernel()
def _judge(h: int, error: float, sd: float, stretch: F4, tried: U2) -> None:
    """Adjust the stretch of the 80 % band, and of the 95 % band beyond it, after a result at horizon ``h``."""
    rate = _rate(float(tried[h]))
    miss80 = error > Z80 * sd * math.exp(stretch[h, 0])
    miss95 = error > Z95 * sd * math.exp(stretch[h, 0] + stretch[h, 1] + TAIL)
    turn80 = rate * ((1.0 if miss80 else 0.0) - MISS80)
    turn95 = rate * ((1.0 if miss95 else 0.0) - MISS95)
    for g in range(h, HORIZONS):
        if g == h:
            share = 1.0
        elif tried[g] < LEND_UNTIL:
            share = 0.5
        else:
            continue
        stretch[g, 0] = min(max(stretch[g, 0] + share * turn80, LEAST), MOST)
        stretch[g, 1] = min(max(stretch[g, 1] + share * turn95, -0.4), 1.2)
    if tried[h] < 60_000:
        tried[h] += 1


@kernel()
def calibrate(
    state: F8, parameter: F8, t: float, value: float, taken: int, interval_s: float, due: F8, forecasts: F4, stretch: F4,
    tried: U2,
) -> None:  # fmt: skip
    """Score the forecasts that meet the plausible reading ``value`` at ``t`` (µs) and, if it was taken, make new ones.

    A forecast meets the first reading at its time, plus or minus half the usual ``interval_s``, 2.5 min at most. A
    forecast that meets no reading is dropped. ``SLOTS`` forecasts of each horizon are pending at once, evenly spread.
    """
    if t < due[NEXT]:
        return
    allowance = min(0.5 * interval_s, 150.0) * 1e6
    following = math.inf
    for h in range(HORIZONS):
        span = HORIZONS_S[h] * 1e6
        newest = -math.inf
        free = -1
        for slot in range(SLOTS):
            at = h * SLOTS + slot
            when = due[1 + at]
            if when > 0.0 and t >= when - allowance:
                if t <= when + allowance:
                    _judge(h, abs(value - forecasts[at, 0]), float(forecasts[at, 1]), stretch, tried)
                newest = max(newest, when)
                due[1 + at] = 0.0
            if due[1 + at] > 0.0:
                newest = max(newest, when)
                following = min(following, when - allowance)
            else:
                free = at
        wanted = newest - span + span / SLOTS
        if free >= 0 and taken != 0 and t >= wanted - allowance and HORIZONS_S[h] >= 0.5 * interval_s:
            mean, _, variance = ahead(state, parameter, HORIZONS_S[h])
            due[1 + free] = t + span
            forecasts[free, 0] = mean
            forecasts[free, 1] = math.sqrt(variance)
            wanted = t + span / SLOTS
            following = min(following, t + span - allowance)
        following = min(following, max(wanted - allowance, t + 1.0))
    due[NEXT] = following
