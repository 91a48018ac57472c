"""Forecasts stored until their time comes, and bands adjusted to how often they were right.

An adaptive conformal tracker (Gibbs & Candès 2021) per channel and horizon, on the logarithm of the width. A reading
outside a band widens it by the rate times the promised coverage. A reading inside narrows it by the rate times the
rest. Recent errors at the shortest horizon that readings meet widen or narrow all bands for a while. And a channel learns
what share of its sudden changes lasts.
"""

import math

import numpy as np

from twins.arrays import F4, F8, U1, U2
from twins.bank.layout import (
    A_MEAN,
    HORIZONS,
    HORIZONS_S,
    M0,
    M1,
    MADE_WIDTH,
    RECENT,
    RETURN,
    SLOTS,
    USUAL,
    WEIGHT,
)
from twins.compiled.jit import kernel
from twins.models.channel.corrections import corrected, level_of, way_back, width
from twins.models.channel.forecast import TAIL, Z80, Z95, ahead, ratio_of, unrest

__all__ = ["calibrate"]


NEXT = 0
"""Index in ``due`` of the earliest time to act on. It stands before the times of the forecasts, and only it is read
every time.
"""
MISS80, MISS95 = 0.2, 0.05
RATE, RATE_AT_FIRST, FIRST_TRIES = 0.05, 0.2, 8.0
"""The rate falls from the second to the first value over a number of forecasts that is a multiple of the third."""
LEAST, MOST = math.log(0.1), math.log(30.0)
LEND_UNTIL, LENT = 8, 0.2
"""A horizon with fewer results of its own learns this share of what a shorter horizon learns."""
HALF_S, HALF_STEPS, SLOWER = 1_800.0, 2.0, 8.0
"""Half of the weight of recent errors is gone after this time, or after so many usual steps if they take longer. The usual
errors, to which they are compared, change so many times more slowly."""
LARGEST = 25.0
"""The square of an error, as a multiple of what is expected, counts for no more."""
LEAST_CODE, PER_CODE = -0.5, 0.02
"""The logarithm of a band's factor for recent errors is stored in a byte: least value, size of a step."""
PRIOR, KEPT, CLIP = 15.0, 0.999, 2.5
"""Of the patient's share of returns: the weight of the prior (none beyond that of others), what a result leaves of the weight
of those before it, and how many spreads an error counts for at most."""
FROM_S = 900.0
"""Returns are learnt at this horizon, or at the shortest that readings meet if that is longer."""
MIDDLE, PER_SPREAD = 128.0, 31.0
"""A return is stored in a byte: so many steps per spread around this value."""
OF_RECENT, OF_RETURN = MADE_WIDTH - 2 * SLOTS, MADE_WIDTH - SLOTS
"""From these places on, ``made`` has the factor for recent errors of the pending forecasts at the shortest horizon, and the
return of those at the horizon where returns are learnt. Before, it has the level that each forecast was made at, two in a
byte."""


@kernel()
def _rate(tries: float) -> float:
    return max(RATE, RATE_AT_FIRST / (1.0 + tries / FIRST_TRIES))


@kernel()
def _judge(h: int, error: float, low: float, high: float, stretch: F4, tried: U2) -> None:
    """Adjust the stretch of the 80 % band, and of the 95 % band beyond it, after a result at horizon ``h``.

    ``error`` is the reading minus the mean; ``low`` and ``high`` are the spreads on either side without the stretch.
    """
    rate = _rate(float(tried[h]))
    reach = abs(error) / ((low if error < 0.0 else high) * math.exp(stretch[h, 0]))
    miss80, miss95 = reach > Z80, reach > Z95 * math.exp(stretch[h, 1] + TAIL)
    turn80 = rate * ((1.0 if miss80 else 0.0) - MISS80)
    turn95 = rate * ((1.0 if miss95 else 0.0) - MISS95)
    for g in range(h, HORIZONS):
        if g == h:
            share = 1.0
        elif tried[g] < LEND_UNTIL:
            share = LENT
        else:
            continue
        stretch[g, 0] = min(max(stretch[g, 0] + share * turn80, LEAST), MOST)
        stretch[g, 1] = min(max(stretch[g, 1] + share * turn95, -0.4), 1.2)
    if tried[h] < 60_000:
        tried[h] += 1


@kernel()
def _note(recent: F4, square: float, since_s: float, interval_s: float) -> None:
    """Take the square of an error, as a multiple of what was expected, into the recent and the usual ones."""
    if recent[USUAL] == 0.0:
        recent[RECENT] = recent[USUAL] = 1.0
    halves = since_s / max(HALF_S, HALF_STEPS * interval_s)
    square = min(square, LARGEST)
    recent[RECENT] += (1.0 - 0.5**halves) * (square - recent[RECENT])
    recent[USUAL] += (1.0 - 0.5 ** (halves / SLOWER)) * (square - recent[USUAL])


@kernel()
def _learn_return(recent: F4, back: float, off: float) -> None:
    """Move the patient's share of returns by recursive least squares; ``back`` and the error ``off`` are in spreads."""
    weight = KEPT * recent[WEIGHT] + back * back
    moved = back * min(max(off, -CLIP), CLIP) - (1.0 - KEPT) * PRIOR * recent[RETURN]
    recent[RETURN] = min(max(recent[RETURN] + moved / (weight + PRIOR), -1.5), 1.0)
    recent[WEIGHT] = weight


@kernel(forceinline=True)
def _byte(value: float) -> np.uint8:
    return np.uint8(min(max(round(value), 0.0), 255.0))


@kernel(forceinline=True)
def _level_made(made: U1, at: int) -> int:
    return (int(made[at // 2]) >> (4 * (at % 2))) & 15


@kernel(forceinline=True)
def _keep_level(made: U1, at: int, band: int) -> None:
    shift = 4 * (at % 2)
    made[at // 2] = np.uint8((int(made[at // 2]) & (15 << (4 - shift))) | (band << shift))


@kernel()
def calibrate(
    state: F8, parameter: F8, t: float, value: float, taken: int, interval_s: float, due: F8, forecasts: F4, made: U1,
    stretch: F4, recent: F4, tried: U2,
) -> None:  # fmt: skip
    """Score the forecasts that meet the plausible reading ``value`` at ``t`` (µs) and, if it was taken, make new ones.

    A forecast meets the first reading at its time, plus or minus half the usual ``interval_s``, 2.5 min at most. A
    forecast that meets no reading is dropped. ``SLOTS`` forecasts of each horizon are pending at once, evenly spread.
    """
    if t < due[NEXT]:
        return
    allowance = min(0.5 * interval_s, 150.0) * 1e6
    following = math.inf
    shortest = 0
    while shortest < HORIZONS - 1 and HORIZONS_S[shortest] < 0.9 * interval_s:
        shortest += 1
    learnt = shortest
    while learnt < HORIZONS - 1 and HORIZONS_S[learnt] < FROM_S:
        learnt += 1
    for h in range(HORIZONS):
        span = HORIZONS_S[h] * 1e6
        newest = -math.inf
        free = -1
        for slot in range(SLOTS):
            at = h * SLOTS + slot
            when = due[1 + at]
            if when > 0.0 and t >= when - allowance:
                if t <= when + allowance:
                    error, sd, band = value - forecasts[at, 0], float(forecasts[at, 1]), _level_made(made, at)
                    _judge(
                        h, error, sd * width(parameter, h, band, 0), sd * width(parameter, h, band, 1), stretch, tried
                    )
                    if h == shortest:
                        usual = sd * math.exp(-LEAST_CODE - PER_CODE * made[OF_RECENT + slot])
                        _note(recent, (error / usual) ** 2, max(HORIZONS_S[h] / SLOTS, interval_s), interval_s)
                    if h == learnt and made[OF_RETURN + slot] > 0:
                        _learn_return(recent, (made[OF_RETURN + slot] - MIDDLE) / PER_SPREAD, error / sd)
                newest = max(newest, when)
                due[1 + at] = 0.0
            if due[1 + at] > 0.0:
                newest = max(newest, when)
                following = min(following, when - allowance)
            else:
                free = at
        wanted = newest - span + span / SLOTS
        if free >= 0 and taken != 0 and t >= wanted - allowance and HORIZONS_S[h] >= 0.5 * interval_s:
            due[1 + free] = t + span
            band = level_of(parameter, state[M0])
            wider, back = _make(state, parameter, h, band, recent, forecasts[free])
            _keep_level(made, free, band)
            slot = free - h * SLOTS
            if h == shortest:
                made[OF_RECENT + slot] = _byte((math.log(wider) - LEAST_CODE) / PER_CODE)
            if h == learnt:
                made[OF_RETURN + slot] = max(_byte(MIDDLE + PER_SPREAD * back), np.uint8(1))
            wanted = t + span / SLOTS
            following = min(following, t + span - allowance)
        following = min(following, max(wanted - allowance, t + 1.0))
    due[NEXT] = following


@kernel()
def _make(state: F8, parameter: F8, h: int, band: int, recent: F4, forecast: F4) -> tuple[float, float]:
    """Write mean and spread of a new forecast at horizon ``h``.

    Returns the factor that recent errors give the spread, and the expected return of the fast mode in spreads.
    """
    mean, _, variance = ahead(state, parameter, HORIZONS_S[h])
    back = way_back(parameter, state[M0] - parameter[A_MEAN] - state[M1], HORIZONS_S[h])
    forecast[0], spread = corrected(parameter, h, band, recent[RETURN], back, mean, variance)
    wider = unrest(ratio_of(recent), h)
    forecast[1] = spread * wider
    return wider, back / (spread * wider)
