"""Late, corrected and retracted readings: the newest readings are stored with two earlier states, and filtered again.

A channel stores its last ``RING`` readings and, every ``PERIOD`` readings, the state before the next one. A late
reading that is newer than the older stored state is inserted in its place, and everything after that state is filtered
again. The result is, bit for bit, as if the reading had been in time. Another value for a time that is already stored
is a correction. After a retraction the filter runs again without the reading. Its place in the ring gets the time 0. A
stored state that is no longer an earlier state of the channel has ``LAST`` at infinity, so it is never used.
"""

import numpy as np

from twins.arrays import F8
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    A_QUANTUM,
    A_REPEAT,
    COUNT,
    HEAD,
    LAST,
    PERIOD,
    REJECTS,
    RING,
    STATE_WIDTH,
    VALUE,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import ACCEPTED, DUPLICATE, LATE, update

__all__ = ["CORRECTED", "DUPLICATE", "INSERTED", "RETRACTED", "insert", "keep", "retract"]


INSERTED, CORRECTED, RETRACTED = 10, 11, 12


@kernel()
def _snapshot(state: F8, kept: F8, count: int) -> None:
    """Store the state before reading number ``count``, if one is due."""
    if count % PERIOD == 0:
        for field in range(STATE_WIDTH):
            kept[(count // PERIOD) % 2, field] = state[field]


@kernel()
def keep(state: F8, watch: F8, ring: F8, kept: F8, t: float, value: float) -> None:
    """Store a reading that is newer than all before; call it before ``update`` moves the state."""
    count = int(watch[HEAD])
    _snapshot(state, kept, count)
    ring[count % RING, 0] = t
    ring[count % RING, 1] = value
    watch[HEAD] = count + 1


@kernel(forceinline=True)
def take(state: F8, parameter: F8, t: float, value: float) -> int:
    """Like ``filter.update``; but a reading that only repeats the one before it becomes the newest and does no more."""
    if parameter[A_REPEAT] > 0.0 and t > state[LAST] and _repeats(state, parameter, t, value):
        state[LAST] = t
        state[VALUE] = value
        return ACCEPTED
    return update(state, parameter, t, value)


@kernel()
def _repeats(state: F8, parameter: F8, t: float, value: float) -> bool:
    """Whether a reading repeats the value of one that was taken too short a time before for a second measurement.

    Values count as equal within two steps of the display: a conversion to another unit rounds by as much.
    """
    if state[COUNT] == 0.0 or state[REJECTS] != 0.0 or not t - state[T] < parameter[A_REPEAT]:
        return False
    apart = abs(value - state[VALUE])
    return bool(apart * apart <= 48.0 * parameter[A_QUANTUM] and parameter[A_LOW] <= value <= parameter[A_HIGH])


@kernel()
def _reach(kept: F8, count: int, t: float) -> int:
    """The number of the reading from which to filter again for a change at ``t``; -1 if no stored state is older."""
    begin = (count - 1) // PERIOD * PERIOD
    if not t > kept[(begin // PERIOD) % 2, LAST]:
        begin -= PERIOD
        if begin < 0 or not t > kept[(begin // PERIOD) % 2, LAST]:
            return -1
    return begin


@kernel()
def _rerun(state: F8, parameter: F8, ring: F8, kept: F8, begin: int, count: int) -> None:
    """Go back to the state stored before reading number ``begin`` and take all readings since."""
    for field in range(STATE_WIDTH):
        state[field] = kept[(begin // PERIOD) % 2, field]
    for k in range(begin, count):
        _snapshot(state, kept, k)
        take(state, parameter, ring[k % RING, 0], ring[k % RING, 1])


@kernel()
def insert(state: F8, parameter: F8, watch: F8, ring: F8, kept: F8, t: float, value: float) -> int:
    """Take a reading that is not newer than the newest; returns its ``Status``. LATE: too old, nothing changed."""
    count = int(watch[HEAD])
    begin = _reach(kept, count, t)
    if begin < 0:
        return LATE
    at = begin
    while at < count and ring[at % RING, 0] < t:
        at += 1
    status = INSERTED
    if at < count and ring[at % RING, 0] == t:
        if ring[at % RING, 1] == value:
            return DUPLICATE
        status = CORRECTED
    else:
        for k in range(count, at, -1):
            ring[k % RING, 0] = ring[(k - 1) % RING, 0]
            ring[k % RING, 1] = ring[(k - 1) % RING, 1]
        count += 1
    ring[at % RING, 0] = t
    ring[at % RING, 1] = value
    _rerun(state, parameter, ring, kept, begin, count)
    watch[HEAD] = count
    return status


@kernel()
def retract(state: F8, parameter: F8, watch: F8, ring: F8, kept: F8, t: float) -> int:
    """Retract the reading at exactly ``t``: RETRACTED. LATE (too old) and DUPLICATE (no reading) change nothing."""
    count = int(watch[HEAD])
    if count == 0:
        return DUPLICATE
    begin = _reach(kept, count, t)
    if begin < 0:
        return LATE
    at = begin
    while at < count and ring[at % RING, 0] < t:
        at += 1
    if at == count or ring[at % RING, 0] != t:
        return DUPLICATE
    count -= 1
    for k in range(at, count):
        ring[k % RING, 0] = ring[(k + 1) % RING, 0]
        ring[k % RING, 1] = ring[(k + 1) % RING, 1]
    ring[count % RING, 0] = 0.0
    ring[count % RING, 1] = 0.0
    _rerun(state, parameter, ring, kept, begin, count)
    if count == 0:
        kept[:, :] = 0.0
    elif count % PERIOD == 0:
        kept[(count // PERIOD) % 2, LAST] = np.inf
    watch[HEAD] = count
    return RETRACTED
