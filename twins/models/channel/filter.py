"""The channel twin's arithmetic: a level that is the sum of a fast and a slow stationary mode, robustly updated.

Each mode is an Ornstein-Uhlenbeck process. If their driving noises have the correlation -1, the sum is a level with a
damped trend. The state is the level (mean included) and the slow mode, so a reading measures the first component.
Covariances are updated in Joseph form, float64. For the rules (range check, gate, re-acquisition, adaptive R) see the
robustness table in docs/channel.md.
"""

import math

from twins.arrays import F8
from twins.bank.layout import (
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
from twins.compiled.jit import kernel

ACCEPTED, GATED, IMPLAUSIBLE, LATE, DUPLICATE, REACQUIRED = 0, 1, 2, 3, 4, 8

GATE = 16.0
"""Normalised innovation squared above which a reading is a surprise (4 sigma), if it is also a jump for its signal …"""
DENSE_S = 10.0
"""… or if readings are so dense (s apart) that waiting for ``REACQUIRE_SPARSE`` of them to agree loses nothing."""
REACQUIRE_AFTER = 8
"""After this many surprises of one sign in a row, the patient is believed to have changed, not the sensor …"""
REACQUIRE_SPARSE = 3
"""… or after this many that span more than ``REACQUIRE_SPAN_S``, for readings that come every few minutes."""
REACQUIRE_SPAN_S = 120.0
GRADE = 0.1
"""Weight of one reading in the signal quality."""
ADAPT = 0.02
"""Weight of one reading in the adapted noise."""
ADAPT_AFTER = 5.0
R_MOST = 400.0
"""The largest adapted noise as a multiple of the fitted noise, unless a quarter of the signal's jump is larger."""
_ROOT_2PI = math.sqrt(2.0 * math.pi)
SERIES = 0.0625
_C3, _C4, _C5, _C6, _C7, _C8 = 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320


@kernel(forceinline=True)
def series_of(x: float) -> float:
    """exp(-x) - 1 for 0 ≤ x < 1/16, to a relative error of 1e-15; terms are paired so that few wait for each other."""
    y = x * x
    return y * ((0.5 - x * _C3) + y * ((_C4 - x * _C5) + y * ((_C6 - x * _C7) + y * _C8))) - x


@kernel()
def expm1_of(x: float) -> float:
    """exp(-x) - 1 for x ≥ 0, to a relative error of 1e-15; by a series if x is small, as with dense readings."""
    return series_of(x) if x < SERIES else math.expm1(-x)


@kernel(forceinline=True)
def moved(
    m0: float, m1: float, p00: float, p01: float, p11: float, mean: float, s11: float, s12: float, s22: float,
    f1: float, f2: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """State after a time for which exp(-x) - 1 is ``f1`` for the fast mode and ``f2`` for the slow one."""
    e1 = 1.0 + f1
    e2 = 1.0 + f2
    n1 = e2 * m1
    n0 = mean + e1 * (m0 - mean - m1) + n1
    q11 = -f1 * (2.0 + f1) * s11
    q12 = -(f1 + f2 + f1 * f2) * s12
    q22 = -f2 * (2.0 + f2) * s22
    g = f2 - f1
    a = e1 * p00 + g * p01
    b = e1 * p01 + g * p11
    return n0, n1, a * e1 + b * g + max(q11 + 2.0 * q12 + q22, 0.0), b * e2 + q12 + q22, e2 * e2 * p11 + q22


@kernel()
def predict(
    m0: float, m1: float, p00: float, p01: float, p11: float, parameter: F8, dt: float
) -> tuple[float, float, float, float, float]:
    """State ``dt`` seconds later: means move to the population's, the covariance approaches the stationary one."""
    return moved(
        m0, m1, p00, p01, p11, parameter[A_MEAN], parameter[A_S11], parameter[A_S12], parameter[A_S22],
        expm1_of(parameter[A_FAST] * dt), expm1_of(parameter[A_SLOW] * dt),
    )  # fmt: skip


@kernel()
def begin(state: F8, parameter: F8, t: float) -> None:
    """The state before a patient's first reading: the population."""
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
    """Mean and variance of N(mean, s) truncated to ``a`` … ``b``; the nearer end if its probability is negligible."""
    sd = math.sqrt(s)
    alpha, beta = (a - mean) / sd, (b - mean) / sd
    share = 0.5 * (math.erfc(-beta / math.sqrt(2.0)) - math.erfc(-alpha / math.sqrt(2.0)))
    if share < 1e-9:
        return (a if mean < a else b), (b - a) * (b - a) / 12.0
    at_a = math.exp(-0.5 * alpha * alpha) / _ROOT_2PI
    at_b = math.exp(-0.5 * beta * beta) / _ROOT_2PI
    shift = (at_a - at_b) / share
    return mean + sd * shift, s * max(1.0 + (alpha * at_a - beta * at_b) / share - shift * shift, 0.0)


@kernel(forceinline=True)
def _grade(state: F8, good: float) -> None:
    state[QUALITY] += GRADE * (good - state[QUALITY])


@kernel()
def _disbelieved(state: F8, t: float, innovation: float, enough: int) -> bool:
    """Count one more surprise; whether there are fewer than ``enough`` of one sign, and no few that span a long time."""
    sign = 1.0 if innovation > 0.0 else -1.0
    if state[REJECTS] * sign <= 0.0:
        state[REJECTS] = 0.0
        state[REJECT_SINCE] = t
    state[REJECTS] += sign
    run = abs(state[REJECTS])
    span = (t - state[REJECT_SINCE]) * 1e-6
    return run < enough and not (run >= REACQUIRE_SPARSE and span >= REACQUIRE_SPAN_S)


@kernel(forceinline=True)
def adapted(scale: float, nis: float, z: float, earlier: float) -> float:
    """The noise scale after an innovation ``z`` of squared size ``nis``, before it is limited.

    Noise makes innovations large. A patient who moves makes them large and of equal sign. Only the first widens R.
    """
    alike = z * earlier if abs(z) < 3.0 and abs(earlier) < 3.0 else 0.0
    return max(scale * (1.0 + ADAPT * (min(nis, 9.0) - 1.0 - 2.0 * alike)), 1.0)


@kernel(forceinline=True)
def corrected(
    m0: float, m1: float, p00: float, p01: float, p11: float, innovation: float, share: float, r: float, spread: float
) -> tuple[float, float, float, float, float]:
    """State after a reading. In Joseph form, written out: (I-KH) P (I-KH)' + K (R + the variance left by censoring) K'."""
    k0 = p00 * share
    k1 = p01 * share
    g = 1.0 - k0
    r += spread
    return (
        m0 + k0 * innovation,
        m1 + k1 * innovation,
        g * g * p00 + k0 * k0 * r,
        g * (p01 - k1 * p00) + k0 * k1 * r,
        p11 - 2.0 * k1 * p01 + k1 * k1 * (p00 + r),
    )


@kernel(forceinline=True)
def _take(
    state: F8, parameter: F8, t: float, dt: float, y: float, spread: float, first: bool,  # noqa: FBT001 - kernels take columns
    m0: float, m1: float, p00: float, p01: float, p11: float,
) -> int:  # fmt: skip
    """Judge a reading ``y`` against its prediction and update with it; ``spread`` is the variance left by censoring."""
    # Everything is read before anything is written: the compiler cannot know that a row is not part of the table.
    scale, earlier, count, quality = state[R_SCALE], state[INNOVATION], state[COUNT] + 1.0, state[QUALITY]
    before = state[M0] if not first else y
    window = parameter[A_TREND_S]
    trend = window * state[TREND]
    r = parameter[A_R] * scale + parameter[A_QUANTUM]
    innovation = y - m0
    share = 1.0 / (p00 + r)
    nis = innovation * innovation * share
    status = ACCEPTED
    rejects = 0.0
    if nis > GATE and not first:
        jump = abs(innovation) > parameter[A_JUMP] * (1.0 + dt / 60.0)
        if jump or dt < DENSE_S:
            if _disbelieved(state, t, innovation, REACQUIRE_AFTER if jump else REACQUIRE_SPARSE):
                _grade(state, 0.0)
                return GATED
            rejects = state[REJECTS]
        if jump:
            # The patient has changed: the fast mode is unknown.
            p00 += innovation * innovation
            share = 1.0 / (p00 + r)
            nis = 1.0
            rejects = 0.0
            status = REACQUIRED
    z = innovation * math.sqrt(share)
    if count > ADAPT_AFTER and spread == 0.0:
        scale = adapted(scale, nis, z, earlier)
        if scale > R_MOST:
            scale = min(scale, max(parameter[A_JUMP] * parameter[A_JUMP] / (16.0 * parameter[A_R]), R_MOST))
    level, m1, p00, p01, p11 = corrected(m0, m1, p00, p01, p11, innovation, share, r, spread)
    state[M0] = level
    state[M1] = m1
    state[P00] = p00
    state[P01] = p01
    state[P11] = p11
    state[T] = t
    state[R_SCALE] = scale
    state[INNOVATION] = z
    state[COUNT] = count
    state[REJECTS] = rejects
    state[QUALITY] = quality + GRADE * (1.0 - quality)
    state[TREND] = (level - before + trend) / (window + dt)
    return status


@kernel()
def _take_special(state: F8, parameter: F8, t: float, value: float) -> int:
    """Take a plausible reading that is the first, comes after a gap or is at an end of the sensor's range.

    Not part of ``update``: a call of expm1 or erfc there would cost registers even when it is not made.
    """
    first = state[COUNT] == 0.0
    if first:
        begin(state, parameter, t)
    dt = (t - state[T]) * 1e-6
    m0, m1, p00, p01, p11 = predict(state[M0], state[M1], state[P00], state[P01], state[P11], parameter, dt)
    s = p00 + parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]
    y, spread = value, 0.0
    if value < parameter[A_BELOW]:
        y, spread = within(parameter[A_LOW], parameter[A_BELOW], m0, s)
    elif value > parameter[A_ABOVE]:
        y, spread = within(parameter[A_ABOVE], parameter[A_TOP], m0, s)
    return _take(state, parameter, t, dt, y, spread, first, m0, m1, p00, p01, p11)


@kernel(forceinline=True)
def update(state: F8, parameter: F8, t: float, value: float) -> int:
    """Take one reading (effective time µs, own unit) into one channel's row; returns its ``Status``.

    Rules in order. A reading that is not newer than the newest is late, or a duplicate if time and value repeat.
    Outside the plausible range it is implausible. Beyond 4 sigma, and farther than the signal moves in that time, it is
    gated until enough readings of one sign show that the patient moved. If readings are dense, it is gated beyond 4
    sigma alone, until a third agrees. A reading at the end of the sensor's range only says that the value is beyond
    that end.
    """
    if t <= state[LAST]:
        return DUPLICATE if t == state[LAST] and value == state[VALUE] else LATE
    state[LAST] = t
    state[VALUE] = value
    return judge(state, parameter, t, value)


@kernel(forceinline=True)
def judge(state: F8, parameter: F8, t: float, value: float) -> int:
    """``update`` for a reading that is already in the row as its newest."""
    if not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        _grade(state, 0.0)
        return IMPLAUSIBLE
    dt = (t - state[T]) * 1e-6
    x1 = parameter[A_FAST] * dt
    x2 = parameter[A_SLOW] * dt
    dense = x1 < SERIES and x2 < SERIES and state[COUNT] > 0.0
    if not (dense and value >= parameter[A_BELOW] and value <= parameter[A_ABOVE]):
        return _take_special(state, parameter, t, value)
    m0, m1, p00, p01, p11 = moved(
        state[M0], state[M1], state[P00], state[P01], state[P11], parameter[A_MEAN], parameter[A_S11], parameter[A_S12],
        parameter[A_S22], series_of(x1), series_of(x2),
    )  # fmt: skip
    return _take(state, parameter, t, dt, value, 0.0, False, m0, m1, p00, p01, p11)
