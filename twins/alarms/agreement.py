"""Two sources of one quantity, such as heart rate (ECG) and pulse rate: their usual difference, and when they disagree.

The usual difference is the bias. It is modelled as a slow random walk and followed by a scalar Kalman filter on pairs
of posteriors; the spread around it is a running variance. A difference far from the bias changes neither. If such a
difference lasts, one of the sensors is wrong.
"""

import math

import msgspec
import numpy as np

from twins.alarms.phases import note
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
    """Two signals that measure one quantity, and how far they may differ, in their unit.

    A difference closer to the bias than ``tolerance``, or than the share ``relative`` of the first signal, is never a
    disagreement. ``bias_sd`` and ``spread_sd`` are the values before any pair was measured. The bias walks by ``drift``
    in an hour. The spread grows to at most ``spread_most`` of the tolerance. With ``readings``, the newest readings
    must disagree as well as the estimates: if the filters take in a step within a minute, each does so at its own pace.
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
    # ISO 80601-2-61 allows an oximeter an error of 4 % (root mean square). Before anything is learned, two may differ
    # by 7. Afterwards the bias contains the error of each, and a difference of 4 from the bias means that one has
    # changed.
    Pair(
        first="oxygen_saturation", second="second_oxygen_saturation", tolerance=4.0, relative=0.0, bias_sd=1.5,
        spread_sd=1.0, spread_most=0.25, drift=0.5, readings=True,
    ),
)  # fmt: skip
"""Indexed by their row in ``agreement``; rows are only ever appended."""

CODES = np.array([[BY_NAME[pair.first].code, BY_NAME[pair.second].code] for pair in PAIRS])
"""The codes of both, (pairs, 2)."""
PLACE: dict[str, int] = {pair.second: at for at, pair in enumerate(PAIRS)}
"""By the name of the second source, the index of its pair."""
_TOLERANCE, _RELATIVE, _BIAS_SD, _SPREAD_SD, _SPREAD_MOST, _DRIFT, _READINGS = range(7)
_FIGURES = np.array([
    [p.tolerance, p.relative, p.bias_sd, p.spread_sd, p.spread_most, p.drift**2 / 3600.0, float(p.readings)]
    for p in PAIRS
])  # fmt: skip
"""The pairs as the kernel reads them, (pairs, 7); the drift as variance per s."""
APART_US, APART_INTERVALS = 10e6, 3.0
"""Two measurements make a pair if they are at most this far apart, or this many usual intervals of the slower source.
"""
SIGMAS = 4.0
"""A difference within this many standard deviations of the bias is no disagreement either."""
HOLD_US, HOLD_PAIRS = 60e6, 3.0
"""A disagreement begins, and ends, after this many pairs in a row over this time."""
BACK = 0.7
"""It ends when the difference is within this share of the difference that begins it."""
TOGETHER_S = 20.0
"""Posteriors closer in time carry the same information: only pairs this far apart count in full for the bias."""
SPREAD_S = 300.0
MOST = 0.5
"""The bias does not grow beyond this share of the tolerance, so it does not follow a sensor that drifts away."""


@kernel()
def _turn(own: F8, true: bool, t: float) -> int:  # noqa: FBT001 - a truth is what is judged
    """Switch the condition after ``true``, which asks for it, lasted long enough: +1 begins, -1 ends, else 0."""
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
    """Update bias and spread with ``error``, a difference from the bias, ``dt`` seconds after the last one."""
    share = dt / (SPREAD_S + dt)
    own[G_SPREAD] = min(own[G_SPREAD] + share * (error * error - own[G_SPREAD]), most_spread * most_spread)
    if dt > 0.0:
        gain = own[G_VARIANCE] / (own[G_VARIANCE] + noise * max(1.0, TOGETHER_S / dt))
        own[G_BIAS] = min(max(own[G_BIAS] + gain * error, -most), most)
        own[G_VARIANCE] *= 1.0 - gain


@kernel()
def _judge(first: F8, second: F8, of_first: F8, of_second: F8, figures: F8, apart: float, own: F8) -> tuple[int, float]:
    """Take the newest pair, if any, and judge it: the turn (+1 begins, -1 ends, else 0) and the allowed distance.

    ``apart`` is the most µs between the measurements of a pair, 0 if a source is silent.
    """
    t = max(first[T], second[T])
    if first[COUNT] == 0.0 or second[COUNT] == 0.0 or abs(first[T] - second[T]) > apart or apart == 0.0:
        # A silent source cannot disagree.
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
            # Both are at the end of their range. Their true difference is only known up to the width beyond that end.
            error = math.copysign(max(abs(error) - (of_first[A_TOP] - of_first[A_ABOVE]), 0.0), error)
        _learn(own, error, noise, MOST * tolerance, figures[_SPREAD_MOST] * tolerance, dt)
    return turned, allowed


@kernel()
def compare(
    begin: int, numbers: I8, now: int, slot: I4, state: F8, watch: F8, ring: F8, phase: U1, parameters: F8, agreement: F8,
    events: F8, counts: I8,
) -> int:  # fmt: skip
    """Compare both sources of patients ``numbers`` from place ``begin``; pauses and counts as ``walk.frame`` does.

    The condition belongs to the second source. Its event has the difference (second minus first) and the allowed
    distance from the bias. For a patient with one source this costs one lookup.
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
                continue  # a late measurement belongs to the past
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
    """The pair of two signals, by their codes; -1 if there is none.

    >>> place(0, 1), place(0, 2)
    (0, -1)
    """
    return next((at for at, codes in enumerate(CODES.tolist()) if codes == [first, second]), -1)
