"""Truth of the alarm conditions of one channel: hysteresis, delay, sensor fault, silence, predicted crossing.

A condition goes idle → pending (true, waiting out its delay) → on → idle. Changes to and from *on* are written as rows
of ``events``; what becomes of them (latching, acknowledgement) is decided outside the kernels.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels import passage
from twins.kernels.channel import ACCEPTED, GATED, IMPLAUSIBLE, REACQUIRED
from twins.kernels.forecast import stretch_at
from twins.kernels.jit import kernel
from twins.kernels.layout import (
    A_FAST,
    A_MEAN,
    A_PREDICTIVE,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    A_SPREAD_BOTH,
    A_SPREAD_FAST,
    A_SPREAD_SLOW,
    A_STAY_FAST,
    A_STAY_SLOW,
    BAD,
    BAD_SINCE,
    CONDITIONS,
    COUNT,
    CRITICAL_DELAY,
    CRITICAL_HIGH,
    CRITICAL_LOW,
    DELAY,
    DIRTY,
    E_BEGIN,
    E_CONDITION,
    E_EXPECTED,
    E_EXTRA,
    E_LIMIT,
    E_MEAN,
    E_QUALITY,
    E_RING,
    E_ROW,
    E_SD,
    E_TIME,
    E_TREND,
    E_VALUE,
    FAULT,
    GOOD,
    HEAD,
    HIGH,
    HYSTERESIS,
    IDLE,
    INTERVAL,
    LAST,
    LOW,
    M0,
    M1,
    ON,
    P00,
    P01,
    P11,
    PENDING,
    PREDICT_WITHIN_S,
    PREDICTED,
    PREDICTED_HIGH,
    PREDICTED_LOW,
    QUALITY,
    RECEIVED,
    RING,
    SHOWN,
    SILENCE,
    SILENT,
    TREND,
    VALUE,
)  # fmt: skip

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

FAULT_RUN = 5
"""Unusable readings in a row that make a sensor fault …"""
FAULT_SPAN_US = 4e6
"""… if they span this long."""
RECOVER_RUN = 3
PREDICT_ON, PREDICT_OFF = 0.5, 0.3
PREDICT_EVERY_US = 5e6
_NODES = (-2.85697001387280, -1.35562617997427, 0.0, 1.35562617997427, 2.85697001387280)
_WEIGHTS = (0.0112574113277207, 0.222075922005613, 0.533333333333333, 0.222075922005613, 0.0112574113277207)
"""Gauss-Hermite for a standard normal variable."""
_ROOT_2PI = math.sqrt(2.0 * math.pi)
FAR = 4.0
"""So many of its spreads away from the level at its nearest, a limit is out of question: 0.00006 at most."""
PREDICT_AFTER = 6.0
"""Measurements a channel needs before its forecast may alarm."""
SILENT_INTERVALS = 4.0


@kernel()
def note(
    events: F8,
    n: int,
    row: int,
    condition: int,
    begin: float,
    time: float,
    limit: float,
    state: F8,
    watch: F8,
    ring: F8,
) -> int:
    """Write one event with the channel as it stands, newest readings included; returns the next free place."""
    event = events[n]
    event[E_ROW] = row
    event[E_CONDITION] = condition
    event[E_BEGIN] = begin
    event[E_TIME] = time
    event[E_VALUE] = state[VALUE]
    event[E_LIMIT] = limit
    event[E_MEAN] = state[M0]
    event[E_SD] = math.sqrt(max(state[P00], 0.0))
    event[E_TREND] = state[TREND]
    event[E_QUALITY] = state[QUALITY]
    event[E_EXTRA] = 0.0
    event[E_EXPECTED] = 0.0
    head = int(watch[HEAD])
    for i in range(SHOWN):
        at = (head + i - SHOWN) % RING
        event[E_RING + 2 * i] = ring[at, 0]
        event[E_RING + 2 * i + 1] = ring[at, 1]
    watch[DIRTY] = 1.0
    return n + 1


@kernel()
def _turn(phase: U1, since: I8, condition: int, true: int, clear: int, time: float, delay_us: float) -> int:
    """Move one condition; +1 when it goes on, −1 when it ends, else 0."""
    now = int(time)
    if phase[condition] == ON:
        if clear:
            phase[condition] = IDLE
            since[condition] = now
            return -1
        return 0
    if not true:
        phase[condition] = IDLE
        return 0
    if phase[condition] == IDLE:
        phase[condition] = PENDING
        since[condition] = now
    if now - since[condition] >= delay_us:
        phase[condition] = ON
        return 1
    return 0


@kernel()
def after_reading(
    row: int, status: int, t: float, received: float, value: float, state: F8, watch: F8, ring: F8, limit: F8, phase: U1,
    since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Conditions of one channel after one reading that was neither late nor a duplicate; returns the new event count.

    Critical limits look at every plausible reading as observed, so that no filter delays them; the other limits look at
    the filtered value.
    """
    watch[DIRTY] = 1.0
    watch[RECEIVED] = received
    if phase[SILENT] == ON:
        phase[SILENT] = IDLE
        n = note(events, n, row, SILENT, 0.0, t, 0.0, state, watch, ring)
    good = status in (ACCEPTED, REACQUIRED)
    if good:
        watch[GOOD] += 1.0
        watch[BAD] = 0.0
    else:
        if watch[BAD] == 0.0:
            watch[BAD_SINCE] = t
        watch[BAD] += 1.0
        watch[GOOD] = 0.0
    if phase[FAULT] == ON:
        if watch[GOOD] >= RECOVER_RUN:
            phase[FAULT] = IDLE
            n = note(events, n, row, FAULT, 0.0, t, 0.0, state, watch, ring)
    elif watch[BAD] >= FAULT_RUN and t - watch[BAD_SINCE] >= FAULT_SPAN_US:
        phase[FAULT] = ON
        since[FAULT] = int(watch[BAD_SINCE])
        n = note(events, n, row, FAULT, 1.0, t, 0.0, state, watch, ring)
    if status == IMPLAUSIBLE:
        return n
    margin = limit[HYSTERESIS]
    for condition in range(4):
        bound = limit[condition]
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        if not critical and status == GATED:
            continue
        x = value if critical else state[M0]
        low_side = condition in (CRITICAL_LOW, LOW)
        # A missing limit is NaN: never true, and it clears what an earlier limit began.
        true = x < bound if low_side else x > bound
        clear = not (x < bound + margin) if low_side else not (x > bound - margin)
        turned = _turn(phase, since, condition, true, clear, t, limit[CRITICAL_DELAY] if critical else limit[DELAY])
        if turned != 0:
            n = note(events, n, row, condition, 1.0 if turned > 0 else 0.0, t, bound, state, watch, ring)
    return n


@kernel()
def _nearness(state: F8, parameter: F8, limit: float, side: float, stretch: float) -> float:
    """How many of its spreads the level at its nearest stays away from a limit within ``PREDICT_WITHIN_S``.

    Each mode's mean only comes closer to nothing and the spread only grows, so the nearer end of each mode and the last
    spread are not beaten in between.
    """
    stay_fast, stay_slow = parameter[A_STAY_FAST], parameter[A_STAY_SLOW]
    fast = side * (state[M0] - parameter[A_MEAN] - state[M1])
    slow = side * state[M1]
    distance = side * (limit - parameter[A_MEAN]) - max(fast, stay_fast * fast) - max(slow, stay_slow * slow)
    lean = stay_slow - stay_fast
    variance = stay_fast * stay_fast * state[P00] + 2.0 * stay_fast * lean * state[P01] + lean * lean * state[P11]
    variance += parameter[A_SPREAD_FAST] + 2.0 * parameter[A_SPREAD_BOTH] + parameter[A_SPREAD_SLOW]
    return float(distance / (stretch * math.sqrt(variance)))


@kernel()
def _unlikely(state: F8, parameter: F8, limit: float, side: float, stretch: float, matters: float) -> bool:
    """Whether a crossing within ``PREDICT_WITHIN_S`` is so much less likely than ``matters`` that no paths need be drawn.

    For uncoupled modes with the level not near the limit: the slow mode stands where it may be (five Gauss-Hermite nodes)
    and the fast one hits the limit, z of its spreads away, at the rate λ z φ(z) of a stationary Ornstein-Uhlenbeck
    process at a high level (Leadbetter, Lindgren & Rootzén 1983, chapter 12). Doubled, it must stay below ``matters``.
    """
    fast_sd = stretch * math.sqrt(parameter[A_S11])
    if parameter[A_S12] != 0.0 or side * (limit - state[M0]) < 2.0 * fast_sd:
        return False
    slow = side * state[M1]
    stay = parameter[A_STAY_SLOW]
    apart = side * (limit - parameter[A_MEAN]) - max(slow, stay * slow)
    slow_sd = stretch * math.sqrt(stay * stay * state[P11] + parameter[A_SPREAD_SLOW])
    total = 0.0
    for node in range(5):
        z = (apart - _NODES[node] * slow_sd) / fast_sd
        if z < 1.0:
            total += _WEIGHTS[node]
        else:
            rate = parameter[A_FAST] * z * math.exp(-0.5 * z * z) / _ROOT_2PI
            total += _WEIGHTS[node] * (1.0 - math.exp(-rate * PREDICT_WITHIN_S))
    return bool(2.0 * total < matters)


@kernel()
def _crossing(
    state: F8, parameter: F8, limit: float, side: float, stretch: float, on: int, scratch: F4
) -> tuple[float, float]:  # fmt: skip
    """Probability that the level crosses within ``PREDICT_WITHIN_S`` and the expected time to it (s).

    Bands that were found too narrow or too wide stretch the process: its covariances are taken so many times as large.
    Where the bounds already decide, the paths are spared: the upper one, or 0 far from the limit, is given back.
    """
    if math.isnan(limit) or _nearness(state, parameter, limit, side, stretch) > FAR:
        return 0.0, math.nan
    matters = PREDICT_OFF if on != 0 else PREDICT_ON
    if _unlikely(state, parameter, limit, side, stretch, matters):
        return 0.0, math.nan
    c = stretch * stretch
    p00, p01, p11 = c * state[P00], c * state[P01], c * state[P11]
    s11, s12, s22 = c * parameter[A_S11], c * parameter[A_S12], c * parameter[A_S22]
    _, most = passage.screen(
        state[M0], state[M1], p00, p01, p11, parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW], s11, s12, s22, limit,
        side, PREDICT_WITHIN_S,
    )  # fmt: skip
    if most < matters:
        return most, math.nan
    return passage.crossing(
        state[M0], state[M1], p00, p01, p11, parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW], s11, s12, s22, limit,
        side, PREDICT_WITHIN_S, scratch,
    )  # fmt: skip


@kernel()
def predicted(
    row: int, state: F8, parameter: F8, stretch: F4, watch: F8, ring: F8, limit: F8, phase: U1, since: I8, scratch: F4,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Predicted crossings of the low and high limit within half an hour; returns the new event count.

    By the first-passage probability of the level: on from ``PREDICT_ON``, off below ``PREDICT_OFF`` or when the limit
    itself is crossed.
    """
    t = state[LAST]
    if parameter[A_PREDICTIVE] == 0.0 or state[COUNT] < PREDICT_AFTER or t - watch[PREDICTED] < PREDICT_EVERY_US:
        return n
    watch[PREDICTED] = t
    wide = stretch_at(stretch, PREDICT_WITHIN_S, 0)
    # One more reading must agree where readings are sparse; 20 s of agreement where they are dense.
    delay = 20e6 if watch[INTERVAL] < 10.0 else 1.0
    for which in range(2):
        condition = PREDICTED_LOW if which == 0 else PREDICTED_HIGH
        bound = limit[LOW] if which == 0 else limit[HIGH]
        side = -1.0 if which == 0 else 1.0
        probability = 0.0
        expected = math.nan
        if phase[LOW if which == 0 else HIGH] != ON and phase[FAULT] != ON:
            on = 1 if phase[condition] == ON else 0
            probability, expected = _crossing(state, parameter, bound, side, wide, on, scratch)
        turned = _turn(phase, since, condition, probability >= PREDICT_ON, probability < PREDICT_OFF, t, delay)
        if turned != 0:
            n = note(events, n, row, condition, 1.0 if turned > 0 else 0.0, t, bound, state, watch, ring)
            events[n - 1, E_EXTRA] = probability
            events[n - 1, E_EXPECTED] = expected
    return n


@kernel()
def after_tick(
    row: int, now: float, state: F8, watch: F8, ring: F8, limit: F8, phase: U1, since: I8, events: F8, n: int
) -> int:
    """Conditions that time alone moves: silence, and delays that run out between readings."""
    if watch[RECEIVED] == 0.0:
        return n
    quiet = now - watch[RECEIVED]
    if phase[SILENT] != ON and quiet > max(limit[SILENCE], SILENT_INTERVALS * watch[INTERVAL] * 1e6):
        phase[SILENT] = ON
        since[SILENT] = int(state[LAST])
        n = note(events, n, row, SILENT, 1.0, now, 0.0, state, watch, ring)
        events[n - 1, E_EXTRA] = quiet * 1e-6
        for condition in range(CONDITIONS):
            if phase[condition] == PENDING:
                phase[condition] = IDLE
        return n
    if phase[SILENT] == ON:
        return n
    for condition in range(4):
        if phase[condition] == PENDING:
            critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
            delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
            if state[LAST] - since[condition] + quiet >= delay:
                phase[condition] = ON
                n = note(events, n, row, condition, 1.0, now, limit[condition], state, watch, ring)
    return n
