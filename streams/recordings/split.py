"""Split the patients of a recorded file into two halves, training and test, as series with their horizons.

Readings are used unchanged, also those at the end of a sensor's range; implausible readings are left out.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.recordings.recording import Recording
from twins.arrays import F8, I8
from twins.fitting.scores import targets
from twins.signals import BY_NAME

__all__ = ["FEWEST_PAIRS", "HORIZONS_S", "MOST", "Half", "gather"]

HORIZONS_S = np.array([10, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 2_700, 3_600, 5_400, 7_200], np.float64)
"""Horizons that are scored."""
MOST = 15_000
"""About how many readings of a file's half are used; three times as many if readings are dense and few are origins."""

FEWEST_PAIRS = 200
"""A horizon of a file with more pairs than this is scored."""

_FEWEST = 8
_FEWEST_OF_ONE = 50
_DENSE_S, _DENSE_STRIDE, _DENSE_MOST = 5.0, 30, 3
_OFTEN_S, _OFTEN_STRIDE = 450.0, 3
_FASTER_S, _EVERY = 0.5, 4
_TOLERANCE_S = 150.0


class Half(NamedTuple):
    """One file's patients of one parity, in the kernel's form; ``mids`` are the patients' medians.

    Every 30th reading is an origin of forecasts if readings come within 5 s, every third if within 7.5 min.
    """

    file: str
    patients: int
    time_s: F8
    value: F8
    starts: I8
    stride: I8
    meets: npt.NDArray[np.int32]
    mids: F8
    dense: bool

    @property
    def telling(self) -> bool:
        """Whether some horizon has enough pairs for a meaningful mean score."""
        return bool(((self.meets >= 0).sum(axis=1) > FEWEST_PAIRS).any())


def gather(recording: Recording, signal: str, parity: int, *, most: int = MOST) -> Half | None:
    """One signal's plausible readings of the patients whose places by id are even (0) or odd (1).

    Of each patient the first readings are taken, in a proportion that makes ``most`` in total, but at least 50. Patients
    with fewer than 8 are left out; if no patient has 8, the result is ``None``. Four readings a second become one.
    """
    columns, about = recording.columns, BY_NAME[signal]
    low, high = about.plausible
    place_of = np.argsort(np.argsort(np.array(columns.patients)))
    usable = np.flatnonzero((columns.signal == about.code) & (columns.value >= low) & (columns.value <= high))
    usable = usable[place_of[columns.patient[usable]] % 2 == parity]
    usable = usable[np.lexsort((columns.time[usable], columns.patient[usable]))]
    edges = np.flatnonzero(np.diff(columns.patient[usable])) + 1
    series = []
    for places in np.split(usable, edges):
        time, value = columns.time[places], columns.value[places]
        new = np.append(True, np.diff(time) > 0)[: len(time)]
        if new.sum() >= _FEWEST:
            series.append(_thinned(time[new], value[new]))
    if not series:
        return None
    dense = _usual_s(series) < _DENSE_S
    share = most * (_DENSE_MOST if dense else 1) / sum(len(time) for time, _ in series)
    cut = [max(int(share * len(time)), _FEWEST_OF_ONE) for time, _ in series]
    return _joined(recording.name, [(time[:n], value[:n]) for n, (time, value) in zip(cut, series, strict=True)])


def _thinned(time_us: I8, value: F8) -> tuple[I8, F8]:
    every = _EVERY if np.median(np.diff(time_us)) < _FASTER_S * 1e6 and len(time_us) >= _EVERY * _FEWEST else 1
    return time_us[::every], value[::every]


def _steps_s(series: list[tuple[I8, F8]]) -> F8:
    return np.array([float(np.median(np.diff(time))) * 1e-6 for time, _ in series])


def _usual_s(series: list[tuple[I8, F8]]) -> float:
    return float(np.median(_steps_s(series)))


def _joined(name: str, series: list[tuple[I8, F8]]) -> Half:
    starts = np.cumsum([0, *(len(time) for time, _ in series)])
    meets = np.full((len(HORIZONS_S), starts[-1]), -1, np.int32)
    steps_s = _steps_s(series)
    strides = np.select([steps_s < _DENSE_S, steps_s < _OFTEN_S], [_DENSE_STRIDE, _OFTEN_STRIDE], 1).astype(np.int64)
    for start, (time, _), step_s, stride in zip(starts[:-1].tolist(), series, steps_s.tolist(), strides, strict=True):
        origin = np.arange(len(time)) % stride == 0
        for row, horizon_s in zip(meets, HORIZONS_S.tolist(), strict=True):
            if horizon_s >= step_s / 2:
                met = targets(time, int(horizon_s * 1e6), int(min(step_s / 2, _TOLERANCE_S) * 1e6))
                row[start : start + len(time)] = np.where((met >= 0) & origin, met + start, -1)
    return Half(
        file=name,
        patients=len(series),
        time_s=np.concatenate([(time - time[0]) * 1e-6 for time, _ in series]),
        value=np.concatenate([value for _, value in series]),
        starts=starts.astype(np.int64),
        stride=strides,
        meets=meets,
        mids=np.array([float(np.median(value)) for _, value in series]),
        dense=_usual_s(series) < _DENSE_S,
    )
