"""The channel twin's arithmetic: a Matérn-3/2 level and trend around the patient's own baseline, robustly updated.

State-space form and discretisation: Hartikainen & Särkkä 2010. Covariances are updated in Joseph form, float64.
Policy (range check, gate, re-acquisition, adaptive R): see the robustness table in the documentation.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels.jit import kernel
from twins.kernels.layout import (
    A_HIGH,
    A_LAMBDA,
    A_LOW,
    A_QUANTUM,
    A_R,
    A_SIGMA,
    A_TYPICAL,
    A_TYPICAL_SD,
    BASE,
    COUNT,
    FIRST,
    LAST,
    M0,
    M1,
    NIS,
    P00,
    P01,
    P11,
    QUALITY,
    R_SCALE,
    REJECT_SINCE,
    REJECTS,
    VALUE,
    T,
)  # fmt: skip

F8 = npt.NDArray[np.float64]

ACCEPTED, GATED, IMPLAUSIBLE, LATE, DUPLICATE, REACQUIRED = 0, 1, 2, 3, 4, 8

GATE = 16.0
"""Normalised innovation squared above which a reading is a surprise: 4 sigma."""
REACQUIRE_AFTER = 8
"""Surprises of one sign in a row after which the patient is believed to have changed, not the sensor …"""
REACQUIRE_SPARSE = 3
"""… or so many, where they span more than ``REACQUIRE_SPAN_S``: readings that come every few minutes."""
REACQUIRE_SPAN_S = 120.0
ADAPT = 0.02
R_LEAST, R_MOST = 0.2, 25.0
BASELINE_SPANS = 8.0
"""The baseline forgets over so many time-scales."""


@kernel()
def predict(
    m0: float, m1: float, p00: float, p01: float, p11: float, base: float, sigma: float, lam: float, dt: float
) -> tuple[float, float, float, float, float]:
    """State ``dt`` seconds later: mean pulled to ``base``, covariance saturating at the stationary one."""
    x = lam * dt
    decay = math.exp(-x)
    a00 = decay * (1.0 + x)
    a01 = decay * dt
    a10 = -decay * lam * x
    a11 = decay * (1.0 - x)
    deviation = m0 - base
    n0 = base + a00 * deviation + a01 * m1
    n1 = a10 * deviation + a11 * m1
    s2 = sigma * sigma
    gone = decay * decay
    if x < 0.01:
        # Of 1 - exp(-2x)(1 + 2x + 2x²) nothing is left after cancellation; this is its series, to 1e-11 of itself.
        q00 = s2 * x * x * x * (4.0 / 3.0 - x * (2.0 - x * (1.6 - x * (8.0 / 9.0 - x * (8.0 / 21.0)))))
    else:
        q00 = max(s2 * (1.0 - gone * (1.0 + 2.0 * x + 2.0 * x * x)), 0.0)
    q01 = 2.0 * lam * s2 * x * x * gone
    q11 = lam * lam * s2 * (1.0 - gone * (1.0 - 2.0 * x + 2.0 * x * x))
    c00 = a00 * p00 + a01 * p01
    c01 = a00 * p01 + a01 * p11
    c10 = a10 * p00 + a11 * p01
    c11 = a10 * p01 + a11 * p11
    return (
        n0,
        n1,
        c00 * a00 + c01 * a01 + q00,
        c00 * a10 + c01 * a11 + q01,
        c10 * a10 + c11 * a11 + q11,
    )


@kernel()
def restart(state: F8, parameter: F8, t: float, value: float) -> None:
    """Begin (again) at ``value``: population prior times the measurement, trend unknown around zero."""
    noise = parameter[A_R] + parameter[A_QUANTUM]
    prior = parameter[A_TYPICAL_SD] * parameter[A_TYPICAL_SD]
    state[BASE] = (parameter[A_TYPICAL] * noise + value * prior) / (noise + prior)
    state[M0] = state[BASE]
    state[M1] = 0.0
    state[P00] = noise * prior / (noise + prior)
    state[P01] = 0.0
    velocity = parameter[A_LAMBDA] * parameter[A_SIGMA]
    state[P11] = velocity * velocity
    state[T] = t
    state[FIRST] = t
    state[NIS] = 1.0
    state[R_SCALE] = 1.0
    state[REJECTS] = 0.0
    state[REJECT_SINCE] = 0.0


@kernel()
def _grade(state: F8, good: float) -> None:
    state[QUALITY] += 0.1 * (good - state[QUALITY])


@kernel()
def update(state: F8, parameter: F8, t: float, value: float) -> int:
    """Take one reading (effective time µs, own unit) into one channel's row; returns its ``Status``.

    Rules in order: a reading not newer than the newest is late, or a duplicate where time and value repeat; outside the
    plausible range it is implausible; beyond 4 sigma it is gated, until enough of one sign say the patient moved.
    """
    if t <= state[LAST]:
        return DUPLICATE if t == state[LAST] and value == state[VALUE] else LATE
    state[LAST] = t
    state[VALUE] = value
    if not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        _grade(state, 0.0)
        return IMPLAUSIBLE
    if state[COUNT] == 0.0:
        restart(state, parameter, t, value)
        state[QUALITY] = 1.0
        state[COUNT] = 1.0
        return ACCEPTED
    dt = (t - state[T]) * 1e-6
    m0, m1, p00, p01, p11 = predict(
        state[M0],
        state[M1],
        state[P00],
        state[P01],
        state[P11],
        state[BASE],
        parameter[A_SIGMA],
        parameter[A_LAMBDA],
        dt,
    )
    r = parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]
    innovation = value - m0
    s = p00 + r
    nis = innovation * innovation / s
    if nis > GATE:
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
        restart(state, parameter, t, value)
        state[COUNT] += 1.0
        _grade(state, 1.0)
        return REACQUIRED
    state[REJECTS] = 0.0
    k0 = p00 / s
    k1 = p01 / s
    state[M0] = m0 + k0 * innovation
    state[M1] = m1 + k1 * innovation
    # Joseph form, written out: (I-KH) P (I-KH)' + K R K'
    g = 1.0 - k0
    state[P00] = g * g * p00 + k0 * k0 * r
    state[P01] = g * (p01 - k1 * p00) + k0 * k1 * r
    state[P11] = p11 - 2.0 * k1 * p01 + k1 * k1 * p00 + k1 * k1 * r
    state[T] = t
    state[COUNT] += 1.0
    state[NIS] += ADAPT * (nis - state[NIS])
    scale = state[R_SCALE] * math.exp(ADAPT * (min(nis, 9.0) - 1.0))
    state[R_SCALE] = min(max(scale, R_LEAST), R_MOST)
    seen = (t - state[FIRST]) * 1e-6
    window = min(BASELINE_SPANS * math.sqrt(3.0) / parameter[A_LAMBDA], seen)
    state[BASE] += dt / (window + dt) * (state[M0] - state[BASE])
    _grade(state, 1.0)
    return ACCEPTED
