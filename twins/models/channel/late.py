"""Readings that come late or are taken back: the newest are kept in order with two earlier states, and run again.

A channel keeps its last ``RING`` readings and, every ``PERIOD`` of them, the state before the next. A late reading newer
than the older state is put in its place and everything since is run again: the result is, bit for bit, what it would
have been in time. A value that comes again for a time already known, but differs, is a correction. A reading taken back
is run again without. The places it leaves are no readings and have the time 0; a kept state that is no longer an earlier
one has ``LAST`` at infinity, so that nothing is within its reach.
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
    """Keep the state before reading number ``count``, where one is due."""
    if count % PERIOD == 0:
        for field in range(STATE_WIDTH):
            kept[(count // PERIOD) % 2, field] = state[field]


@kernel()
def keep(state: F8, watch: F8, ring: F8, kept: F8, t: float, value: float) -> None:
    """Note a reading that is newer than all before; call it before ``update`` moves the state."""
    count = int(watch[HEAD])
    _snapshot(state, kept, count)
    ring[count % RING, 0] = t
    ring[count % RING, 1] = value
    watch[HEAD] = count + 1


@kernel(forceinline=True)
def take(state: F8, parameter: F8, t: float, value: float) -> int:
    """``channel.update``, but for a reading that only repeats the one before it: that moves nothing but the newest."""
    if parameter[A_REPEAT] > 0.0 and t > state[LAST] and _repeats(state, parameter, t, value):
        state[LAST] = t
        state[VALUE] = value
        return ACCEPTED
    return update(state, parameter, t, value)


@kernel()
def _repeats(state: F8, parameter: F8, t: float, value: float) -> bool:
    """Whether a reading comes far too soon after one that was taken to be another, and says the same.

    To two steps of the display: so much the rounding in another unit moves a value.
    """
    if state[COUNT] == 0.0 or state[REJECTS] != 0.0 or not t - state[T] < parameter[A_REPEAT]:
        return False
    apart = abs(value - state[VALUE])
    return bool(apart * apart <= 48.0 * parameter[A_QUANTUM] and parameter[A_LOW] <= value <= parameter[A_HIGH])


@kernel()
def _reach(kept: F8, count: int, t: float) -> int:
    """The number of the reading from which to run again for a change at ``t``; -1 where no kept state is older."""
    begin = (count - 1) // PERIOD * PERIOD
    if not t > kept[(begin // PERIOD) % 2, LAST]:
        begin -= PERIOD
        if begin < 0 or not t > kept[(begin // PERIOD) % 2, LAST]:
            return -1
    return begin


@kernel()
def _rerun(state: F8, parameter: F8, ring: F8, kept: F8, begin: int, count: int) -> None:
    """Go back to the state kept before reading number ``begin`` and take all since."""
    for field in range(STATE_WIDTH):
        state[field] = kept[(begin // PERIOD) % 2, field]
    for k in range(begin, count):
        _snapshot(state, kept, k)
        take(state, parameter, ring[k % RING, 0], ring[k % RING, 1])


@kernel()
def insert(state: F8, parameter: F8, watch: F8, ring: F8, kept: F8, t: float, value: float) -> int:
    """Take a reading not newer than the newest; returns its ``Status``. LATE changes nothing: it is too old."""
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
    """Take back the reading at exactly ``t``: RETRACTED. LATE, it is too old, and DUPLICATE, there is none, change nothing."""
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
