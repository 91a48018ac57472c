"""Truth of the alarm conditions of one channel: hysteresis, delay, sensor fault, silence, predicted crossing.

A condition goes idle → pending (true, waiting out its delay) → on → idle. Changes to and from *on* are written as rows
of ``events``; what becomes of them (latching, acknowledgement) is decided outside the kernels.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels.channel import ACCEPTED, GATED, IMPLAUSIBLE, REACQUIRED
from twins.kernels.forecast import ahead, below
from twins.kernels.jit import kernel
from twins.kernels.layout import (
    A_PREDICTIVE,
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
    E_EXTRA,
    E_HORIZON,
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
    ON,
    P00,
    PENDING,
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

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

FAULT_RUN = 5
"""Unusable readings in a row that make a sensor fault …"""
FAULT_SPAN_US = 4e6
"""… if they span this long."""
RECOVER_RUN = 3
PREDICT_ON, PREDICT_OFF = 0.5, 0.3
PREDICT_WITHIN_S = 1800.0
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
    event[E_HORIZON] = 0.0
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
def predicted(
    row: int, state: F8, parameter: F8, watch: F8, ring: F8, limit: F8, phase: U1, since: I8, events: F8, n: int
) -> int:
    """Predicted crossings of the low and high limit within half an hour; returns the new event count.

    The probability is the largest over a grid of horizons of the probability to be beyond the limit then: a lower bound
    of the first-passage probability. On from ``PREDICT_ON``, off below ``PREDICT_OFF`` or when the limit itself is crossed.
    """
    if parameter[A_PREDICTIVE] == 0.0 or state[COUNT] < PREDICT_AFTER:
        return n
    t = state[LAST]
    low, high = limit[LOW], limit[HIGH]
    watch_low = phase[LOW] != ON and phase[FAULT] != ON and not math.isnan(low)
    watch_high = phase[HIGH] != ON and phase[FAULT] != ON and not math.isnan(high)
    most_low = most_high = 0.0
    when_low = when_high = 0.0
    for step in range(1, 7):
        h = PREDICT_WITHIN_S * step / 6.0
        mean, variance, _ = ahead(state, parameter, h)
        sd = math.sqrt(variance)
        # Beyond four of its spreads a limit is out of question: the thresholds are far from 0.00003.
        if watch_low and mean - low < 4.0 * sd:
            p = below(low, mean, sd)
            if p > most_low:
                most_low, when_low = p, h
        if watch_high and high - mean < 4.0 * sd:
            p = 1.0 - below(high, mean, sd)
            if p > most_high:
                most_high, when_high = p, h
    # One more reading must agree where readings are sparse; 20 s of agreement where they are dense.
    delay = 20e6 if watch[INTERVAL] < 10.0 else 1.0
    for side in range(2):
        condition = PREDICTED_LOW if side == 0 else PREDICTED_HIGH
        probability, horizon = (most_low, when_low) if side == 0 else (most_high, when_high)
        turned = _turn(phase, since, condition, probability >= PREDICT_ON, probability < PREDICT_OFF, t, delay)
        if turned != 0:
            bound = low if side == 0 else high
            n = note(events, n, row, condition, 1.0 if turned > 0 else 0.0, t, bound, state, watch, ring)
            events[n - 1, E_EXTRA] = probability
            events[n - 1, E_HORIZON] = horizon
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
