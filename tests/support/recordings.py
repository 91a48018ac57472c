"""Recordings made for a test."""

from collections.abc import Sequence

import numpy as np

from streams.recordings.recording import Recording
from twins.arrays import F8
from twins.records import Columns

__all__ = ["recording"]

_T0 = 946_684_800_000_000


def recording(signal: int, value: Sequence[float] | F8, every_s: float) -> Recording:
    """One patient "a" with readings of one signal at regular times."""
    count = len(value)
    time = _T0 + (np.arange(count) * every_s * 1e6).astype(np.int64)
    columns = Columns(
        ["a"], np.zeros(count, np.uint32), np.full(count, signal, np.uint16), time, np.asarray(value, float)
    )
    return Recording("made.csv", columns)
