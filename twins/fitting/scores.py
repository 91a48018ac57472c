"""How good forecasts and alarms were, measured against what happened later.

A forecast is the mean and standard deviation of a normal distribution. Errors are in the signal's own unit.
"""

from math import sqrt
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8
from twins.models.channel.forecast import normal

__all__ = [
    "BANDS",
    "HypoTable",
    "Score",
    "crps_halves",
    "crps_normal",
    "episodes_below",
    "hypo_table",
    "score",
    "targets",
]

BANDS: tuple[int, ...] = (50, 80, 95)
"""The central bands whose coverage is checked, %."""

_MINUTE_US = 60_000_000


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one signal at one horizon; ``skill`` is 1 - rmse / persistence_rmse, coverage a share by band."""

    pairs: int
    rmse: float
    mae: float
    crps: float
    skill: float
    persistence_rmse: float
    coverage: dict[str, float]


class HypoTable(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms against events; ``lead_min`` is the median time from the first alarm in the window to the onset."""

    events: int
    alarms: int
    days: float
    sensitivity: float
    precision: float
    false_alarms_per_day: float
    lead_min: float


def crps_normal(error: F8, sd: F8) -> F8:
    """Continuous ranked probability score of N(forecast, sd²), ``error`` = outcome - forecast.

    σ (z (2Φ(z) - 1) + 2φ(z) - 1/√π), Gneiting & Raftery 2007, equation 21. With sd → 0 it is the absolute error.
    """
    z = error / sd
    density = np.exp(-0.5 * z * z) / sqrt(2.0 * np.pi)
    result: F8 = sd * (z * (2.0 * normal(z) - 1.0) + 2.0 * density - 1.0 / sqrt(np.pi))
    return result


def crps_halves(error: F8, low: F8, high: F8) -> F8:
    """Continuous ranked probability score of a distribution of two normal halves that meet at the forecast.

    ``low`` and ``high`` are their standard deviations. If they are equal, the score is ``crps_normal``. The half that does
    not contain the outcome costs its spread times ∫ Φ² over the negative numbers, which is φ(0) - 1 / (2√π).

    >>> float(crps_halves(np.array([0.3]), np.ones(1), np.ones(1))[0]) == float(crps_normal(np.array([0.3]), np.ones(1))[0])
    True
    """
    far = 1.0 / sqrt(2.0 * np.pi) - 0.5 / sqrt(np.pi)
    same, other = np.where(error >= 0.0, high, low), np.where(error >= 0.0, low, high)
    result: F8 = crps_normal(np.abs(error), same) + far * (other - same)
    return result


def score(outcome: F8, mean: F8, low: F8, high: F8, tail: F8, persistence: F8) -> Score:  # noqa: PLR0917 - columns
    """Score forecasts against measurements; ``persistence`` is the reading at which each forecast was made.

    ``low`` and ``high`` are the spreads below and above the mean. The 50 and 80 % bands are those of normal halves. The
    95 % band is ``tail`` times as wide as in that distribution.

    >>> score(np.array([1.0, 3.0]), np.array([1.0, 2.0]), np.ones(2), np.ones(2), np.ones(2), np.zeros(2)).mae
    0.5
    """
    error = outcome - mean
    low, high = np.maximum(low, 1e-9), np.maximum(high, 1e-9)
    rmse = _rms(error)
    naive = _rms(outcome - persistence)
    reach = np.abs(error) / np.where(error >= 0.0, high, low)
    return Score(
        pairs=len(outcome),
        rmse=rmse,
        mae=float(np.mean(np.abs(error))),
        crps=float(np.mean(crps_halves(error, low, high))),
        skill=1.0 - rmse / naive if naive > 0.0 else float("nan"),
        persistence_rmse=naive,
        coverage={str(band): float(np.mean(reach <= _reach(band, tail))) for band in BANDS},
    )


def _reach(band: int, tail: F8) -> F8:
    """Half the width of a central band in spreads."""
    z = NormalDist().inv_cdf(0.5 + band / 200.0)
    return z * tail if band == 95 else np.full_like(tail, z)


def targets(time_us: I8, horizon_us: int, tolerance_us: int) -> npt.NDArray[np.intp]:
    """For each reading, the place of the one nearest to ``horizon_us`` later; -1 if none is within the tolerance.

    ``time_us`` must not decrease. A reading is never its own target.

    >>> targets(np.array([0, 300, 610, 900]), 300, 150).tolist()
    [1, 2, 3, -1]
    """
    wanted = time_us + horizon_us
    after = np.searchsorted(time_us, wanted).clip(1, len(time_us) - 1) if len(time_us) > 1 else np.zeros(1, np.intp)
    before = (after - 1).clip(0)
    nearest = np.where(np.abs(time_us[before] - wanted) <= np.abs(time_us[after] - wanted), before, after)
    good = (np.abs(time_us[nearest] - wanted) <= tolerance_us) & (nearest > np.arange(len(time_us)))
    result: npt.NDArray[np.intp] = np.where(good, nearest, -1)
    return result


def episodes_below(time_us: I8, value: F8, threshold: float, at_least_min: float, longest_gap_min: float = 20.0) -> I8:
    """Onsets of the runs of readings below ``threshold`` that last ``at_least_min`` from first to last reading.

    A gap longer than ``longest_gap_min`` ends a run.
    """
    below = value < threshold
    joined = np.zeros(len(below), dtype=bool)
    joined[1:] = below[1:] & below[:-1] & (np.diff(time_us) <= longest_gap_min * _MINUTE_US)
    first = np.flatnonzero(below & ~joined)
    if not len(first):
        return np.zeros(0, np.int64)
    run = np.cumsum(below & ~joined)[below] - 1
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, run, time_us[below])
    result: I8 = time_us[first][last - time_us[first] >= at_least_min * _MINUTE_US]
    return result


def hypo_table(patients: list[tuple[I8, F8, I8]], threshold: float = 70.0) -> HypoTable:
    """Predictive low-glucose alarms against hypoglycaemia: at least 15 min below 70 mg/dL (Prendin 2021).

    ``patients`` has, for each patient, times and values of the readings and the times of the alarms. An event is
    detected when an alarm came 5 to 45 min before its onset. An alarm is true when an event's onset follows it within
    the same times. Alarms raised while glucose was already below the threshold predict nothing and are not counted.
    """
    events = alarms = found = true = 0
    days = 0.0
    leads: list[float] = []
    for time, value, raised in patients:
        onsets = episodes_below(time, value, threshold, 15.0)
        newest = np.searchsorted(time, raised, side="right") - 1
        early = raised[value[newest.clip(0)] >= threshold]
        ahead = (onsets[:, None] - early[None, :]) / _MINUTE_US
        hit = (ahead >= 5.0) & (ahead <= 45.0)
        events += len(onsets)
        alarms += len(early)
        found += int(hit.any(axis=1).sum())
        true += int(hit.any(axis=0).sum())
        leads.extend(np.where(hit, ahead, 0.0).max(axis=1, initial=0.0)[hit.any(axis=1)])
        gaps = np.diff(time)
        days += float(gaps[gaps <= 30 * _MINUTE_US].sum()) / (1_440.0 * _MINUTE_US)
    return HypoTable(
        events=events,
        alarms=alarms,
        days=days,
        sensitivity=_share(found, events),
        precision=_share(true, alarms),
        false_alarms_per_day=_share(alarms - true, days),
        lead_min=float(np.median(leads)) if leads else float("nan"),
    )


def _rms(error: F8) -> float:
    return sqrt(float(np.mean(error * error)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
