"""Phases of alarm conditions, and the events that the kernels write when a phase changes.

A condition goes idle → pending (true, but its delay is not over) → on → idle. Changes to and from *on* are written as
rows of ``events``. What follows from them (latching, acknowledgement) is decided outside the kernels.
"""

import math

from twins.arrays import F8, I8, U1
from twins.bank.layout import (
    DIRTY,
    E_BEGIN,
    E_CONDITION,
    E_EXPECTED,
    E_EXTRA,
    E_KIND,
    E_LIMIT,
    E_MEAN,
    E_QUALITY,
    E_RING,
    E_ROW,
    E_SD,
    E_TIME,
    E_TREND,
    E_VALUE,
    HEAD,
    IDLE,
    M0,
    ON,
    P00,
    PENDING,
    QUALITY,
    RING,
    SHOWN,
    TREND,
    VALUE,
)  # fmt: skip
from twins.compiled.jit import kernel


@kernel()
def note(
    events: F8, n: int, row: int, condition: int, begin: float, time: float, limit: float, state: F8, watch: F8, ring: F8
) -> int:  # fmt: skip
    """Write one event with the state of the channel and its newest readings; returns the next free place."""
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
    event[E_KIND] = 0.0
    head = int(watch[HEAD])
    for i in range(SHOWN):
        at = (head + i - SHOWN) % RING
        event[E_RING + 2 * i] = ring[at, 0]
        event[E_RING + 2 * i + 1] = ring[at, 1]
    watch[DIRTY] = 1.0
    return n + 1


@kernel(forceinline=True)
def turn(phase: U1, since: I8, condition: int, true: int, clear: int, time: float, delay_us: float) -> int:
    """Update one condition; +1 when it goes on, −1 when it ends, else 0."""
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
