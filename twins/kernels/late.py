"""Readings that come late: the newest ones are kept in order with two earlier states, and run again with what was missing.

A channel keeps its last ``RING`` readings and, every ``PERIOD`` of them, the state before the next. A late reading newer
than the older state is put in its place and everything since is run again: the result is, bit for bit, what it would
have been in time. A value that comes again for a time already known, but differs, is a correction.
"""

import numpy as np
import numpy.typing as npt

from twins.kernels.channel import DUPLICATE, LATE, update
from twins.kernels.jit import kernel
from twins.kernels.layout import HEAD, LAST, PERIOD, RING, STATE_WIDTH

__all__ = ["CORRECTED", "INSERTED", "insert", "keep"]

F8 = npt.NDArray[np.float64]

INSERTED, CORRECTED = 10, 11


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


@kernel()
def insert(state: F8, parameter: F8, watch: F8, ring: F8, kept: F8, t: float, value: float) -> int:
    """Take a reading not newer than the newest; returns its ``Status``. LATE changes nothing: it is too old."""
    count = int(watch[HEAD])
    begin = (count - 1) // PERIOD * PERIOD
    if not t > kept[(begin // PERIOD) % 2, LAST]:
        begin -= PERIOD
        if begin < 0 or not t > kept[(begin // PERIOD) % 2, LAST]:
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
    for field in range(STATE_WIDTH):
        state[field] = kept[(begin // PERIOD) % 2, field]
    for k in range(begin, count):
        _snapshot(state, kept, k)
        update(state, parameter, ring[k % RING, 0], ring[k % RING, 1])
    watch[HEAD] = count
    return status
