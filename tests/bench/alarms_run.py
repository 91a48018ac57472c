"""A recording run through the twins as the service does it, with its ticks: the alarm transitions that result."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from streams.log.frame import as_record
from streams.recordings.evaluate import aligned
from streams.recordings.recording import Recording, cut
from twins.arrays import I8
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Discharge, Tick, Transition
from twins.step.dispatch import step

__all__ = ["Run", "sounds_anew"]

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_SOON_US, _LATER_US = 2 * _MINUTE_US, 180 * _MINUTE_US
_DENSE_US = 10 * _SECOND_US


def sounds_anew(change: Transition) -> bool:
    """Whether a transition is an alarm that somebody hears: it began, or began again, and no other alarm covers it."""
    return change.event in ("began", "recurred") and not change.under and not change.past


class Run:
    """The transitions of a recording's patients, as the service makes them; ``shift`` is what was taken from their times.

    Each patient is admitted before the first reading and discharged after the last.
    """

    def __init__(self, recording: Recording) -> None:
        self.columns = columns = aligned(recording)
        first = np.full(len(columns.patients), np.iinfo(np.int64).max)
        np.minimum.at(first, recording.columns.patient, recording.columns.time)
        moved = np.full(len(columns.patients), np.iinfo(np.int64).max)
        np.minimum.at(moved, columns.patient, columns.time)
        self.shift = dict(zip(columns.patients, (first - moved).tolist(), strict=True))
        self._first: I8 = moved
        self._last = np.zeros(len(columns.patients), np.int64)
        np.maximum.at(self._last, columns.patient, columns.time)
        self.transitions: list[Transition] = []
        self._dense = _usual_us(columns) <= _DENSE_US
        self._bank = Bank()
        self._offset = 0

    def stream(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Put everything through the twins, a frame a moment as soon as it is measured, with ticks in between."""
        columns, before, reported = self.columns, 0, 0
        coming = [columns.patients[at] for at in np.argsort(self._first, kind="stable").tolist()]
        coming_at = np.sort(self._first).tolist()
        going = np.argsort(self._last, kind="stable").tolist()
        there = gone = 0
        cuts = [0, *(np.flatnonzero(np.diff(columns.time)) + 1).tolist(), len(columns)]
        for first, last in pairwise(cuts):
            part = cut(columns, first, last)
            now = int(part.time[-1])
            while gone < len(going) and self._last[going[gone]] < part.time[0]:
                self._step(Discharge(patient=columns.patients[going[gone]], received=int(self._last[going[gone]])))
                gone += 1
            if there > gone:
                for at in _moments(before, int(part.time[0]), self._dense):
                    self._step(Tick(at))
            while there < len(coming) and coming_at[there] <= now:
                self._step(Admit(patient=coming[there], received=coming_at[there]))
                there += 1
            self._step(as_record(part, now))
            before = now
            if last - reported >= 2_000:
                reported = last
                tell(last)
        tell(len(columns))

    def _step(self, record: Any) -> None:
        self.transitions += step(self._bank, record, self._offset).transitions
        self._offset += 1


def _usual_us(columns: Columns) -> float:
    """The median over channels of the median step."""
    channel = columns.patient.astype(np.int64) * 1000 + columns.signal
    order = np.lexsort((columns.time, channel))
    steps = np.diff(columns.time[order])[np.diff(channel[order]) == 0]
    return float(np.median(steps[steps > 0])) if len(steps) else 0.0


def _moments(before: int, now: int, dense: bool) -> Iterator[int]:
    """Times of ticks between two frames: every second, or less often where nothing is near that ticks decide.

    Where readings are rare: every 10 s for two minutes, every minute for three hours, then every 20 minutes.
    """
    at = before
    while at < now:
        since = at - before
        if dense:
            at += _SECOND_US
        elif since < _SOON_US:
            at += 10 * _SECOND_US
        else:
            at += _MINUTE_US if since < _LATER_US else 20 * _MINUTE_US
        yield min(at, now)
