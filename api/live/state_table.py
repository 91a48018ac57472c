"""The newest estimate of every (patient, signal) as columns, and its conversion for the wire.

The columns are arrays, so that a few vector assignments store a batch of estimates. Python objects are made only for rows
that are about to be sent.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from api.live.protocol import STATES, SignalState
from twins.arrays import F8, I8
from twins.bank.layout import BELIEF
from twins.models.channel.fan import fan
from twins.records import QUANTILES, Estimates
from twins.signals import SIGNALS

__all__ = ["StateTable"]


_COLUMNS = np.dtype(
    [
        ("time", "<i8"), ("emitted", "<i8"), ("revision", "<i8"), ("value", "<f8"), ("mean", "<f8"), ("sd", "<f8"),
        ("trend", "<f8"), ("rejected", "<f8"), ("rejected_time", "<i8"), ("quality", "<f4"), ("status", "u1"),
        ("belief", "<f4", (BELIEF,)),
    ]
)  # fmt: skip
_REJECTED = ("rejected", "rejected_time")
_TAKEN = ("time", "value", "mean", "sd", "trend", "quality", "status", "belief")
_BAND = [0, len(QUANTILES) // 2, len(QUANTILES) - 1]


def _decimals(step: float) -> int:
    return int(np.ceil(-np.log10(step))) if step > 0 else 2


_MEAN = 10.0 ** np.array([_decimals(signal.step) + 1 for signal in SIGNALS])
"""A mean has one digit more than the sensor's display; spreads and trends have one more."""
_FINE = 10.0 * _MEAN
_READING = 100.0 * _MEAN


def _rounded(values: npt.NDArray[np.floating], factor: F8) -> F8:
    rounded: F8 = np.rint(values * factor) / factor
    return rounded


def _rejected(cells: npt.NDArray[np.void], factor: F8) -> list[tuple[int, float] | UnsetType]:
    """For each cell the newest reading as (ms, value) if it was rejected, which is rare."""
    found: list[tuple[int, float] | UnsetType] = [UNSET] * len(cells)
    for at in np.flatnonzero(cells["rejected_time"]).tolist():
        found[at] = (
            int(cells["rejected_time"][at]) // 1000,
            float(_rounded(cells["rejected"][at : at + 1], factor[at])[0]),
        )
    return found


class StateTable:
    """One cell per (row, signal) ever estimated; a row is a patient's number in the live state."""

    def __init__(self) -> None:
        self._place: npt.NDArray[np.int32] = np.full((64, len(SIGNALS)), -1, np.int32)
        self._cells = np.zeros(256, _COLUMNS)
        self._free: list[int] = list(range(255, -1, -1))
        self._with_rejected: set[int] = set()
        """The cells with a rejected reading; the columns for it are written only while there are some."""

    def room(self, rows: int) -> None:
        """Make room for ``rows`` patients."""
        held = len(self._place)
        if rows > held:
            more = np.full((max(rows, 2 * held) - held, len(SIGNALS)), -1, np.int32)
            self._place = np.concatenate([self._place, more])

    def put(self, estimates: Estimates, rows: I8, revision: int) -> None:
        """Store a batch; ``rows`` has the row of each of its patients, -1 for unknown ones."""
        columns = estimates.rows
        row = rows[columns["patient"]]
        signal = columns["signal"]
        if (row < 0).any() or (signal >= len(SIGNALS)).any():
            known = (row >= 0) & (signal < len(SIGNALS))
            columns = {name: column[known] for name, column in columns.items()}
            row, signal = row[known], columns["signal"]
        place = self._place[row, signal]
        if (place < 0).any():
            self._open(row[place < 0], signal[place < 0])
            place = self._place[row, signal]
        for name in _TAKEN:
            self._cells[name][place] = columns[name]
        if estimates.rejected_time or self._with_rejected:
            for name in _REJECTED:
                self._cells[name][place] = columns[name]
            self._with_rejected.difference_update(place.tolist())
            self._with_rejected.update(place[columns["rejected_time"] != 0].tolist())
        self._cells["emitted"][place] = estimates.emitted
        self._cells["revision"][place] = revision

    def drop(self, row: int) -> None:
        """Forget a patient's estimates."""
        place = self._place[row]
        self._free.extend(place[place >= 0].tolist())
        self._place[row] = -1

    def states(self, rows: Sequence[int], since: Sequence[int], *, full: bool) -> list[dict[str, SignalState]]:
        """For each row the signals that changed after the revision in ``since``, rounded for the wire."""
        which, cells, signal = self._newer(rows, since)
        quantiles = fan(cells["belief"], signal.astype(np.uint16))
        quantiles = quantiles if full else quantiles[:, :, _BAND]
        mean, fine = _MEAN[signal], _FINE[signal]
        times = [time if time > 0 else None for time in (cells["time"] // 1000).tolist()]
        states = map(
            SignalState,
            times,
            _rounded(cells["value"], _READING[signal]).tolist(),
            _rounded(cells["mean"], mean).tolist(),
            _rounded(cells["sd"], fine).tolist(),
            _rounded(cells["trend"] * 60.0, fine).tolist(),
            _rounded(cells["quality"], np.full(len(cells), 100.0)).tolist(),
            [STATES[code] for code in cells["status"].tolist()],
            _rounded(quantiles, mean[:, None, None]).tolist(),
            _rejected(cells, _READING[signal]),
        )
        found: list[dict[str, SignalState]] = [{} for _ in rows]
        for place, code, state in zip(which.tolist(), signal.tolist(), states, strict=True):
            found[place][SIGNALS[code].name] = state
        return found

    def newest(self, rows: Sequence[int]) -> list[int]:
        """The revision that last changed any cell of each row; 0 where there is none."""
        place = self._place[np.asarray(rows, np.intp)]
        newest: list[int] = np.where(place >= 0, self._cells["revision"][place], 0).max(axis=1, initial=0).tolist()
        return newest

    def of(self, row: int) -> tuple[list[int], npt.NDArray[np.void], npt.NDArray[np.float32]]:
        """A patient's signal codes, the cells unchanged, and the forecast quantiles of each."""
        _, cells, signal = self._newer([row], [-1])
        return signal.tolist(), cells, fan(cells["belief"], signal.astype(np.uint16))

    def _newer(self, rows: Sequence[int], since: Sequence[int]) -> tuple[I8, npt.NDArray[np.void], I8]:
        place = self._place[np.asarray(rows, np.intp)]
        after = np.asarray(since, np.int64)[:, None]
        newer = (place >= 0) & (self._cells["revision"][place] > after)
        which, signal = np.nonzero(newer)
        return which, self._cells[place[newer]], signal

    def _open(self, row: I8, signal: I8) -> None:
        pairs = np.unique(np.stack([row, signal.astype(np.int64)], axis=1), axis=0)
        missing = len(pairs) - len(self._free)
        if missing > 0:
            held = len(self._cells)
            more = max(missing, held)
            self._cells = np.concatenate([self._cells, np.zeros(more, _COLUMNS)])
            self._free.extend(range(held + more - 1, held - 1, -1))
        for patient, code in pairs.tolist():
            self._place[patient, code] = self._free.pop()
