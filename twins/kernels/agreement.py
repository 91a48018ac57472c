"""Two sources of one quantity, heart rate (ECG) and pulse rate: how far apart they usually are, and when they disagree.

The usual difference, the bias, is a slow random walk followed by a scalar Kalman filter on pairs of posteriors, and the
spread about it a running variance. A difference far from the bias moves neither; where it lasts, one sensor is wrong.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels.channel import predict
from twins.kernels.jit import kernel
from twins.kernels.layout import (
    COUNT,
    DISAGREEMENT,
    E_EXPECTED,
    E_EXTRA,
    G_BIAS,
    G_DIFFERENCE,
    G_HEART,
    G_PHASE,
    G_PULSE,
    G_RUN,
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
    SILENT,
    T,
)  # fmt: skip
from twins.kernels.limits import note
from twins.signals import BY_NAME

__all__ = ["HEART", "HOLD_US", "PULSE", "compare"]

F8 = npt.NDArray[np.float64]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

HEART, PULSE = BY_NAME["heart_rate"].code, BY_NAME["pulse_rate"].code
APART_US, APART_INTERVALS = 10e6, 3.0
"""Measurements make a pair up to so far apart, or so many of the usual intervals of the slower source."""
TOLERANCE, TOLERANCE_SHARE = 10.0, 0.1
"""Nearer to the bias than so many a minute, or such a share of the heart rate, is never a disagreement …"""
SIGMAS = 4.0
"""… nor is what lies within so many standard deviations."""
HOLD_US, HOLD_PAIRS = 15e6, 3.0
"""A disagreement begins, and ends, when so many pairs in a row over so long say so."""
BACK = 0.7
"""It ends within this share of what begins it."""
BIAS_SD, SPREAD_SD = 3.0, 2.0
"""Before the first pair (/min). The recordings' patients have biases of -4 to 1 and spreads of 0.5 to 6."""
DRIFT = 1.0 / 3600.0
"""The bias walks 1 /min in an hour."""
TOGETHER_S = 20.0
"""Posteriors so near in time say the same: only pairs so far apart count in full for the bias."""
SPREAD_S = 300.0
MOST = 0.5
"""Neither bias nor spread grows beyond this share of the tolerance: a sensor that drifts away is not followed."""


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
def _learn(own: F8, error: float, noise: float, most: float, dt: float) -> None:
    """Move bias and spread by a difference ``error`` from the bias, ``dt`` seconds after the last one."""
    share = dt / (SPREAD_S + dt)
    own[G_SPREAD] = min(own[G_SPREAD] + share * (error * error - own[G_SPREAD]), most * most)
    if dt > 0.0:
        gain = own[G_VARIANCE] / (own[G_VARIANCE] + noise * max(1.0, TOGETHER_S / dt))
        own[G_BIAS] = min(max(own[G_BIAS] + gain * error, -most), most)
        own[G_VARIANCE] *= 1.0 - gain


@kernel()
def _judge(heart: F8, pulse: F8, of_heart: F8, of_pulse: F8, apart: float, own: F8) -> tuple[int, float]:
    """Take a pair, if there is a new one, and judge it: the turn (+1 begins, -1 ends, else 0) and the distance allowed.

    ``apart`` is the most µs between the measurements of a pair, 0 where a source is silent.
    """
    t = max(heart[T], pulse[T])
    if heart[COUNT] == 0.0 or pulse[COUNT] == 0.0 or abs(heart[T] - pulse[T]) > apart or apart == 0.0:
        # A source that says nothing contradicts nobody.
        ends = own[G_PHASE] == ON
        own[G_PHASE] = IDLE
        own[G_SINCE] = own[G_RUN] = 0.0
        return (-1 if ends else 0), 0.0
    if not (heart[T] > own[G_HEART] and pulse[T] > own[G_PULSE]):
        return 0, 0.0
    h, ph, p, pp = heart[M0], heart[P00], pulse[M0], pulse[P00]
    if heart[T] < t:
        h, _, ph, _, _ = predict(h, heart[M1], ph, heart[P01], heart[P11], of_heart, (t - heart[T]) * 1e-6)
    elif pulse[T] < t:
        p, _, pp, _, _ = predict(p, pulse[M1], pp, pulse[P01], pulse[P11], of_pulse, (t - pulse[T]) * 1e-6)
    dt = (t - max(own[G_HEART], own[G_PULSE])) * 1e-6
    if own[G_VARIANCE] == 0.0:
        own[G_SPREAD] = SPREAD_SD * SPREAD_SD
        own[G_VARIANCE] = BIAS_SD * BIAS_SD
        dt = 0.0
    elif dt * 1e6 > apart:
        own[G_SINCE] = own[G_RUN] = 0.0
    own[G_HEART], own[G_PULSE] = heart[T], pulse[T]
    own[G_VARIANCE] = min(own[G_VARIANCE] + DRIFT * dt, BIAS_SD * BIAS_SD)
    own[G_DIFFERENCE] = p - h
    tolerance = max(TOLERANCE, TOLERANCE_SHARE * h)
    noise = max(ph + pp, own[G_SPREAD])
    allowed = max(tolerance, SIGMAS * math.sqrt(noise + own[G_VARIANCE]))
    error = p - h - own[G_BIAS]
    on = own[G_PHASE] == ON
    turned = _turn(own, abs(error) <= BACK * allowed if on else abs(error) > allowed, t)
    if not on and abs(error) <= allowed:
        _learn(own, error, noise, MOST * tolerance, dt)
    return turned, allowed


@kernel()
def compare(
    begin: int, numbers: I8, slot: I4, state: F8, watch: F8, ring: F8, phase: U1, parameters: F8, agreement: F8, events: F8,
    counts: I8,
) -> int:  # fmt: skip
    """Judge both sources of patients ``numbers`` from place ``begin``; pauses and counts as ``walk.frame`` does.

    The condition is the pulse's; its event tells the difference (pulse less heart rate) and the distance allowed from
    the bias. A patient with one source costs a look.
    """
    n = 0
    k = begin
    while k < len(numbers):
        if n >= len(events):
            break
        number = numbers[k]
        k += 1
        heart, pulse = slot[number, HEART], slot[number, PULSE]
        if heart < 0 or pulse < 0:
            continue
        apart = max(APART_US, APART_INTERVALS * 1e6 * max(watch[heart, INTERVAL], watch[pulse, INTERVAL]))
        if phase[heart, SILENT] == ON or phase[pulse, SILENT] == ON:
            apart = 0.0
        own = agreement[number]
        turned, allowed = _judge(state[heart], state[pulse], parameters[HEART], parameters[PULSE], apart, own)
        if turned != 0:
            t = max(state[heart, T], state[pulse, T])
            begins = 1.0 if turned > 0 else 0.0
            n = note(
                events, n, pulse, DISAGREEMENT, begins, t, 0.0, state[pulse], watch[pulse], ring[pulse]
            )  # fmt: skip
            events[n - 1, E_EXTRA] = own[G_DIFFERENCE]
            events[n - 1, E_EXPECTED] = allowed
    counts[0] = n
    return k
