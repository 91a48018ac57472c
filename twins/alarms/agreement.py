"""Two sources of one quantity, such as heart rate (ECG) and pulse rate: how far apart they usually are, when they disagree.

The usual difference, the bias, is a slow random walk followed by a scalar Kalman filter on pairs of posteriors, and the
spread about it a running variance. A difference far from the bias moves neither; where it lasts, one sensor is wrong.
"""

import math

import msgspec
import numpy as np

from twins.alarms.limits import note
from twins.arrays import F8, I4, I8, U1
from twins.bank.layout import (
    A_ABOVE,
    A_TOP,
    COUNT,
    DISAGREEMENT,
    E_EXPECTED,
    E_EXTRA,
    G_BIAS,
    G_DIFFERENCE,
    G_FIRST,
    G_PHASE,
    G_RUN,
    G_SECOND,
    G_SINCE,
    G_SPREAD,
    G_VARIANCE,
    IDLE,
    INTERVAL,
    M0,
    M1,
    ON,
    P00,
    P01,
    P11,
    RECENT_MOST_US,
    SILENT,
    VALUE,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import predict
from twins.signals import BY_NAME

__all__ = ["CODES", "HOLD_US", "PAIRS", "PLACE", "Pair", "compare", "place"]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two signals that measure one quantity, and how they may differ, in their unit.

    Nearer to the bias than ``tolerance``, or than the share ``relative`` of the first, is never a disagreement.
    ``bias_sd`` and ``spread_sd`` hold before both have been measured; the bias walks ``drift`` in an hour; the spread
    grows to ``spread_most`` of the tolerance. With ``readings`` the newest readings have to disagree as well as the
    estimates: where filters take in a step within a minute, each does so in its own time.
    """

    first: str
    second: str
    tolerance: float
    relative: float
    bias_sd: float
    spread_sd: float
    spread_most: float
    drift: float
    readings: bool


PAIRS: tuple[Pair, ...] = (
    # The recordings' patients have biases of -4 to 1 /min and spreads of 0.5 to 6 /min.
    Pair(
        first="heart_rate", second="pulse_rate", tolerance=10.0, relative=0.1, bias_sd=3.0, spread_sd=2.0,
        spread_most=0.5, drift=1.0, readings=False,
    ),
    # ISO 80601-2-61 lets an oximeter err by 4 % (root mean square). Before anything is learned two may stand 7 apart; then
    # the bias holds how each of them errs, and one that leaves it by 4 has become another.
    Pair(
        first="oxygen_saturation", second="second_oxygen_saturation", tolerance=4.0, relative=0.0, bias_sd=1.5,
        spread_sd=1.0, spread_most=0.25, drift=0.5, readings=True,
    ),
)  # fmt: skip
"""At the place of their row in ``agreement``; rows are only ever appended."""

CODES = np.array([[BY_NAME[pair.first].code, BY_NAME[pair.second].code] for pair in PAIRS])
"""The codes of both, (pairs, 2)."""
PLACE: dict[str, int] = {pair.second: at for at, pair in enumerate(PAIRS)}
"""By the name of the second source, which pair it belongs to."""
_TOLERANCE, _RELATIVE, _BIAS_SD, _SPREAD_SD, _SPREAD_MOST, _DRIFT, _READINGS = range(7)
_FIGURES = np.array([
    [p.tolerance, p.relative, p.bias_sd, p.spread_sd, p.spread_most, p.drift**2 / 3600.0, float(p.readings)]
    for p in PAIRS
])  # fmt: skip
"""As the kernel reads them, (pairs, 7); the drift as variance per s."""
APART_US, APART_INTERVALS = 10e6, 3.0
"""Measurements make a pair up to so far apart, or so many of the usual intervals of the slower source."""
SIGMAS = 4.0
"""What lies within so many standard deviations of the bias is no disagreement either."""
HOLD_US, HOLD_PAIRS = 15e6, 3.0
"""A disagreement begins, and ends, when so many pairs in a row over so long say so."""
BACK = 0.7
"""It ends within this share of what begins it."""
TOGETHER_S = 20.0
"""Posteriors so near in time say the same: only pairs so far apart count in full for the bias."""
SPREAD_S = 300.0
MOST = 0.5
"""The bias does not grow beyond this share of the tolerance: a sensor that drifts away is not followed."""


@kernel()
def _turn(own: F8, true: bool, t: float) -> int:  # noqa: FBT001 - a truth is what is judged
    """Turn the condition when ``true``, which asks for the turn, has held long enough: +1 begins, -1 ends, else 0."""
    if not true:
        own[G_SINCE] = own[G_RUN] = 0.0
        return 0
    if own[G_RUN] == 0.0:
        own[G_SINCE] = t
    own[G_RUN] += 1.0
    if own[G_RUN] < HOLD_PAIRS or t - own[G_SINCE] < HOLD_US:
        return 0
    own[G_SINCE] = own[G_RUN] = 0.0
    begins = own[G_PHASE] != ON
    own[G_PHASE] = ON if begins else IDLE
    return 1 if begins else -1


@kernel()
def _learn(own: F8, error: float, noise: float, most: float, most_spread: float, dt: float) -> None:
    """Move bias and spread by a difference ``error`` from the bias, ``dt`` seconds after the last one."""
    share = dt / (SPREAD_S + dt)
    own[G_SPREAD] = min(own[G_SPREAD] + share * (error * error - own[G_SPREAD]), most_spread * most_spread)
    if dt > 0.0:
        gain = own[G_VARIANCE] / (own[G_VARIANCE] + noise * max(1.0, TOGETHER_S / dt))
        own[G_BIAS] = min(max(own[G_BIAS] + gain * error, -most), most)
        own[G_VARIANCE] *= 1.0 - gain


@kernel()
def _judge(first: F8, second: F8, of_first: F8, of_second: F8, figures: F8, apart: float, own: F8) -> tuple[int, float]:
    """Take a pair, if there is a new one, and judge it: the turn (+1 begins, -1 ends, else 0) and the distance allowed.

    ``apart`` is the most µs between the measurements of a pair, 0 where a source is silent.
    """
    t = max(first[T], second[T])
    if first[COUNT] == 0.0 or second[COUNT] == 0.0 or abs(first[T] - second[T]) > apart or apart == 0.0:
        # A source that says nothing contradicts nobody.
        ends = own[G_PHASE] == ON
        own[G_PHASE] = IDLE
        own[G_SINCE] = own[G_RUN] = 0.0
        return (-1 if ends else 0), 0.0
    if not (first[T] > own[G_FIRST] and second[T] > own[G_SECOND]):
        return 0, 0.0
    f, pf, s, ps = first[M0], first[P00], second[M0], second[P00]
    if first[T] < t:
        f, _, pf, _, _ = predict(f, first[M1], pf, first[P01], first[P11], of_first, (t - first[T]) * 1e-6)
    elif second[T] < t:
        s, _, ps, _, _ = predict(s, second[M1], ps, second[P01], second[P11], of_second, (t - second[T]) * 1e-6)
    dt = (t - max(own[G_FIRST], own[G_SECOND])) * 1e-6
    most_variance = figures[_BIAS_SD] * figures[_BIAS_SD]
    if own[G_VARIANCE] == 0.0:
        own[G_SPREAD] = figures[_SPREAD_SD] * figures[_SPREAD_SD]
        own[G_VARIANCE] = most_variance
        dt = 0.0
    elif dt * 1e6 > apart:
        own[G_SINCE] = own[G_RUN] = 0.0
    own[G_FIRST], own[G_SECOND] = first[T], second[T]
    own[G_VARIANCE] = min(own[G_VARIANCE] + figures[_DRIFT] * dt, most_variance)
    own[G_DIFFERENCE] = s - f
    tolerance = max(figures[_TOLERANCE], figures[_RELATIVE] * f)
    noise = max(pf + ps, own[G_SPREAD])
    allowed = max(tolerance, SIGMAS * math.sqrt(noise + own[G_VARIANCE]))
    error = s - f - own[G_BIAS]
    on = own[G_PHASE] == ON
    shown = abs(error)
    if figures[_READINGS] != 0.0:
        shown = abs(second[VALUE] - first[VALUE] - own[G_BIAS])
    agree = min(abs(error), shown) <= BACK * allowed
    turned = _turn(own, agree if on else abs(error) > allowed and not agree, t)
    if not on and max(abs(error), shown) <= allowed:
        if first[VALUE] > of_first[A_ABOVE] and second[VALUE] > of_second[A_ABOVE]:
            # Both at the end of their range: how far apart they are is known to within the room there, no nearer.
            error = math.copysign(max(abs(error) - (of_first[A_TOP] - of_first[A_ABOVE]), 0.0), error)
        _learn(own, error, noise, MOST * tolerance, figures[_SPREAD_MOST] * tolerance, dt)
    return turned, allowed


@kernel()
def compare(
    begin: int, numbers: I8, now: int, slot: I4, state: F8, watch: F8, ring: F8, phase: U1, parameters: F8, agreement: F8,
    events: F8, counts: I8,
) -> int:  # fmt: skip
    """Judge both sources of patients ``numbers`` from place ``begin``; pauses and counts as ``walk.frame`` does.

    The condition is the second one's; its event tells the difference (second less first) and the distance allowed from
    the bias. A patient with one source costs a look.
    """
    n = 0
    k = begin
    while k < len(numbers):
        if n + len(CODES) > len(events):
            break
        number = numbers[k]
        k += 1
        for pair in range(len(CODES)):
            a, b = CODES[pair, 0], CODES[pair, 1]
            first, second = slot[number, a], slot[number, b]
            if first < 0 or second < 0:
                continue
            apart = max(APART_US, APART_INTERVALS * 1e6 * max(watch[first, INTERVAL], watch[second, INTERVAL]))
            if phase[first, SILENT] == ON or phase[second, SILENT] == ON:
                apart = 0.0
            own = agreement[number, pair]
            if own[G_PHASE] != ON and now - max(state[first, T], state[second, T]) > RECENT_MOST_US:
                continue  # what came late is of the past
            turned, allowed = _judge(
                state[first], state[second], parameters[a], parameters[b], _FIGURES[pair], apart, own
            )
            if turned != 0:
                t = max(state[first, T], state[second, T])
                begins = 1.0 if turned > 0 else 0.0
                n = note(
                    events, n, second, DISAGREEMENT, begins, t, 0.0, state[second], watch[second], ring[second]
                )  # fmt: skip
                events[n - 1, E_EXTRA] = own[G_DIFFERENCE]
                events[n - 1, E_EXPECTED] = allowed
    counts[0] = n
    return k


def place(first: int, second: int) -> int:
    """The pair that two signals are, by their codes; -1 for none.

    >>> place(0, 1), place(0, 2)
    (0, -1)
    """
    return next((at for at, codes in enumerate(CODES.tolist()) if codes == [first, second]), -1)
