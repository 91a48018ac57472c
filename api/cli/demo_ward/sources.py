"""The readings of a demo patient's devices between two moments: a recording in a loop, or a synthetic person.

Both are pure functions of service time, so that a killed demo continues at the right place.
"""

from typing import Protocol

import numpy as np

from streams.recordings.recording import Recording
from twins.arrays import F8, I8, U2
from twins.simulation.cohort import Person, readings

__all__ = ["Loop", "Simulated", "Source"]

_LONGEST_PAUSE_US = 900_000_000
_PAUSE_US = 300_000_000


class Source(Protocol):
    """A patient's devices: ``between`` gives signal codes, times (µs) and values in (after, until]."""

    def between(self, after: int, until: int) -> tuple[U2, I8, F8]:
        """The readings of a window."""


class Loop:
    """One patient's recording played forwards, then backwards, and so on, so that there is no jump at the ends.

    The position in the loop depends on the time only. Pauses of more than a quarter of an hour are removed.
    """

    def __init__(self, recording: Recording, patient: str) -> None:
        columns = recording.of_patients({patient}).by_time().columns
        if not len(columns):
            raise ValueError(f"{recording.name} has no patient {patient}")
        steps = np.diff(columns.time, prepend=columns.time[0])
        steps[steps > _LONGEST_PAUSE_US] = _PAUSE_US
        forth = np.cumsum(steps)
        span = int(forth[-1])
        inner = np.flatnonzero((forth > 0) & (forth < span))[::-1]
        self._period = 2 * span
        self._time: I8 = np.concatenate([forth, 2 * span - forth[inner]])
        self._code: U2 = np.concatenate([columns.signal, columns.signal[inner]])
        self._value: F8 = np.concatenate([columns.value, columns.value[inner]])

    def between(self, after: int, until: int) -> tuple[U2, I8, F8]:
        """The readings of a window."""
        parts = []
        for cycle in range(after // self._period, until // self._period + 1):
            start = cycle * self._period
            first, last = np.searchsorted(self._time, [after - start, until - start], side="right")
            parts.append((self._code[first:last], self._time[first:last] + start, self._value[first:last]))
        code, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return code, time, value


class Simulated:
    """A synthetic person whose schedule of episodes began at ``origin`` (µs)."""

    def __init__(self, person: Person, cadence_s: dict[str, float], origin: int) -> None:
        self._person = person
        self._cadence_s = cadence_s
        self._origin = origin // 1_000_000 * 1_000_000

    def between(self, after: int, until: int) -> tuple[U2, I8, F8]:
        """The readings of a window."""
        # The person's window is half open at the other end. Readings are never half a millisecond apart, so a shift is safe.
        begin, end = ((edge - self._origin) / 1e6 + 5e-4 for edge in (after, until))
        code, time_s, value = readings(self._person, begin, end, self._cadence_s)
        return code, np.round(time_s * 1e6).astype(np.int64) + self._origin, value
