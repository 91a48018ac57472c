"""The channel twin's arithmetic: a level that is the sum of a fast and a slow stationary mode, robustly updated.

Each mode is an Ornstein-Uhlenbeck process; where their drivers are coupled with -1 the sum is a level with a damped
trend. State: the level (mean included) and the slow mode, so that a reading measures the first component. Covariances in
Joseph form, float64. Policy (range check, gate, re-acquisition, adaptive R): see the robustness table in docs/channel.md.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels.jit import kernel
from twins.kernels.layout import (
    A_ABOVE,
    A_BELOW,
    A_FAST,
    A_HIGH,
    A_JUMP,
    A_LOW,
    A_MEAN,
    A_QUANTUM,
    A_R,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    A_TOP,
    A_TREND_S,
    COUNT,
    FIRST,
    INNOVATION,
    LAST,
    M0,
    M1,
    P00,
    P01,
    P11,
    QUALITY,
    R_SCALE,
    REJECT_SINCE,
    REJECTS,
    TREND,
    VALUE,
    T,
)  # fmt: skip

F8 = npt.NDArray[np.float64]

ACCEPTED, GATED, IMPLAUSIBLE, LATE, DUPLICATE, REACQUIRED = 0, 1, 2, 3, 4, 8

GATE = 16.0
"""Normalised innovation squared above which a reading is a surprise (4 sigma), if it is also a jump for its signal."""
REACQUIRE_AFTER = 8
"""Surprises of one sign in a row after which the patient is believed to have changed, not the sensor …"""
REACQUIRE_SPARSE = 3
"""… or so many, where they span more than ``REACQUIRE_SPAN_S``: readings that come every few minutes."""
REACQUIRE_SPAN_S = 120.0
ADAPT = 0.02
"""Share of one reading in the adapted noise."""
ADAPT_AFTER = 5.0
R_MOST = 400.0
_ROOT_2PI = math.sqrt(2.0 * math.pi)
_SERIES = 0.0625


@kernel()
def expm1_of(x: float) -> float:
    """exp(-x) - 1 for x ≥ 0, to 1e-15 of itself; a series where readings are dense and x is small."""
    if x < _SERIES:
        y = 1.0 - x / 6.0 * (1.0 - x / 7.0 * (1.0 - x * 0.125))
        return -x * (1.0 - x * 0.5 * (1.0 - x / 3.0 * (1.0 - x * 0.25 * (1.0 - x * 0.2 * y))))
    return math.expm1(-x)


@kernel()
def predict(
    m0: float, m1: float, p00: float, p01: float, p11: float, parameter: F8, dt: float
) -> tuple[float, float, float, float, float]:
    """State ``dt`` seconds later: means pulled to the population's, covariance saturating at the stationary one."""
    f1 = expm1_of(parameter[A_FAST] * dt)
    f2 = expm1_of(parameter[A_SLOW] * dt)
    e1 = 1.0 + f1
    e2 = 1.0 + f2
    mean = parameter[A_MEAN]
    n1 = e2 * m1
    n0 = mean + e1 * (m0 - mean - m1) + n1
    q11 = -f1 * (2.0 + f1) * parameter[A_S11]
    q12 = -(f1 + f2 + f1 * f2) * parameter[A_S12]
    q22 = -f2 * (2.0 + f2) * parameter[A_S22]
    g = f2 - f1
    a = e1 * p00 + g * p01
    b = e1 * p01 + g * p11
    return n0, n1, a * e1 + b * g + max(q11 + 2.0 * q12 + q22, 0.0), b * e2 + q12 + q22, e2 * e2 * p11 + q22


@kernel()
def begin(state: F8, parameter: F8, t: float) -> None:
    """What is known of a patient before the first reading: the population."""
    s12, s22 = parameter[A_S12], parameter[A_S22]
    state[M0] = parameter[A_MEAN]
    state[M1] = 0.0
    state[P00] = parameter[A_S11] + 2.0 * s12 + s22
    state[P01] = s12 + s22
    state[P11] = s22
    state[T] = t
    state[FIRST] = t
    state[R_SCALE] = 1.0
    state[QUALITY] = 1.0


@kernel()
def within(a: float, b: float, mean: float, s: float) -> tuple[float, float]:
    """Mean and variance of N(mean, s) known to lie between ``a`` and ``b``; the near end where that is beyond belief."""
    sd = math.sqrt(s)
    alpha, beta = (a - mean) / sd, (b - mean) / sd
    share = 0.5 * (math.erfc(-beta / math.sqrt(2.0)) - math.erfc(-alpha / math.sqrt(2.0)))
    if share < 1e-9:
        return (a if mean < a else b), (b - a) * (b - a) / 12.0
    at_a = math.exp(-0.5 * alpha * alpha) / _ROOT_2PI
    at_b = math.exp(-0.5 * beta * beta) / _ROOT_2PI
    shift = (at_a - at_b) / share
    return mean + sd * shift, s * max(1.0 + (alpha * at_a - beta * at_b) / share - shift * shift, 0.0)


@kernel()
def _grade(state: F8, good: float) -> None:
    state[QUALITY] += 0.1 * (good - state[QUALITY])


@kernel()
def update(state: F8, parameter: F8, t: float, value: float) -> int:
    """Take one reading (effective time µs, own unit) into one channel's row; returns its ``Status``.

    Rules in order: a reading not newer than the newest is late, or a duplicate where time and value repeat; outside the
    plausible range it is implausible; beyond 4 sigma and farther than the signal moves in the time it is gated, until
    enough of one sign say the patient moved. A reading at the end of the sensor's range says only that it lies beyond.
    """
    if t <= state[LAST]:
        return DUPLICATE if t == state[LAST] and value == state[VALUE] else LATE
    state[LAST] = t
    state[VALUE] = value
    if not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        _grade(state, 0.0)
        return IMPLAUSIBLE
    first = state[COUNT] == 0.0
    if first:
        begin(state, parameter, t)
    dt = (t - state[T]) * 1e-6
    m0, m1, p00, p01, p11 = predict(state[M0], state[M1], state[P00], state[P01], state[P11], parameter, dt)
    r = parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]
    spread = 0.0
    y = value
    if value < parameter[A_BELOW]:
        y, spread = within(parameter[A_LOW], parameter[A_BELOW], m0, p00 + r)
    elif value > parameter[A_ABOVE]:
        y, spread = within(parameter[A_ABOVE], parameter[A_TOP], m0, p00 + r)
    innovation = y - m0
    s = p00 + r
    nis = innovation * innovation / s
    status = ACCEPTED
    if nis > GATE and abs(innovation) > parameter[A_JUMP] * (1.0 + dt / 60.0) and not first:
        sign = 1.0 if innovation > 0.0 else -1.0
        if state[REJECTS] * sign <= 0.0:
            state[REJECTS] = 0.0
            state[REJECT_SINCE] = t
        state[REJECTS] += sign
        run = abs(state[REJECTS])
        span = (t - state[REJECT_SINCE]) * 1e-6
        if run < REACQUIRE_AFTER and not (run >= REACQUIRE_SPARSE and span >= REACQUIRE_SPAN_S):
            _grade(state, 0.0)
            return GATED
        # The patient has moved: the fast mode may be anywhere.
        p00 += innovation * innovation
        s = p00 + r
        nis = 1.0
        status = REACQUIRED
    state[REJECTS] = 0.0
    k0 = p00 / s
    k1 = p01 / s
    before = state[M0] if not first else y
    level = m0 + k0 * innovation
    state[M0] = level
    state[M1] = m1 + k1 * innovation
    # Joseph form, written out: (I-KH) P (I-KH)' + K (R + what censoring leaves open) K'
    g = 1.0 - k0
    r += spread
    state[P00] = g * g * p00 + k0 * k0 * r
    state[P01] = g * (p01 - k1 * p00) + k0 * k1 * r
    state[P11] = p11 - 2.0 * k1 * p01 + k1 * k1 * p00 + k1 * k1 * r
    state[T] = t
    state[COUNT] += 1.0
    # Noise makes innovations large, a patient who moves makes them large and alike: only the first widens R.
    z = innovation / math.sqrt(s)
    alike = z * state[INNOVATION] if abs(z) < 3.0 and abs(state[INNOVATION]) < 3.0 else 0.0
    if state[COUNT] > ADAPT_AFTER and spread == 0.0:
        scale = state[R_SCALE] * (1.0 + ADAPT * (min(nis, 9.0) - 1.0 - 2.0 * alike))
        state[R_SCALE] = min(max(scale, 1.0), R_MOST)
    state[INNOVATION] = z
    window = parameter[A_TREND_S]
    state[TREND] = (level - before + window * state[TREND]) / (window + dt)
    _grade(state, 1.0)
    return status
