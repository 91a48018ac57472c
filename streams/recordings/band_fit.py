"""Fit the corrections of forecasts (``twins.models.channel.corrections``) to recorded patients at even places by id.

The twins run over the recordings with the corrections in force. From the forecasts of the two modes alone follow the share of
returns, the doubt, and the shifts by level; from the bands that were stated follows how each width must change, so that a
tenth of the outcomes lies beyond it. So the widths are right once a run with the figures of the run before changes nothing:
three runs are enough.

A figure is the mean over the files, each weighed by how well it is known there (random effects, DerSimonian & Laird 1986;
patients are the units within a file). It is drawn to 0 the more, the less it differs from 0 compared with its error
(positive-part James-Stein): m · max(0, 1 - c · error² / m²). Last, each horizon takes a part of its neighbours' figures.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from streams.recordings.evaluate import HORIZONS, Forecasts, pairs
from streams.recordings.recording import Recording
from twins.arrays import F4, F8, I8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.channel.corrections import HIGH, LOW, in_force
from twins.models.channel.corrections_fitted import Correction
from twins.models.channel.forecast import Z80, uncorrected
from twins.records import Columns
from twins.signals import FILTERED, SIGNALS

__all__ = ["Part", "doubt_of", "fit_bands", "mean_of_files", "share_and_shifts", "smoothed", "width_of"]

MOST = 200
"""Pairs of one patient at one horizon that count."""
SHRINK = 2.0
FEWEST_PATIENTS, FEWEST_IN_FILE, FEWEST_PAIRS = 4, 3, 60
DOUBTS = (0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
USUAL_DOUBT = 0.3
_CLIP = 4.0
_SLOPE = 0.225
"""By how much the share beyond the end of an 80 % band falls, if the logarithm of a normal one's width rises by 1."""
_NARROWEST, _WIDEST = 0.5, 2.0


class Part(NamedTuple):
    """One patient's pairs at one horizon.

    Errors of the forecast of the modes alone, its spread, the return it expects, the band of the level, and how far outcomes
    lie from the mean that was stated, in spreads of their side.
    """

    file: str
    error: F8
    spread: F8
    back: F8
    band: I8
    reach: F8


def fit_bands(
    recordings: Sequence[Recording], tell: Callable[[str, int], None] = lambda *_: None
) -> dict[str, dict[int, Correction]]:
    """Corrections by signal and horizon in minutes; ``tell`` gets a file's name and how many of its readings are done."""
    found: dict[tuple[int, int], list[Part]] = defaultdict(list)
    for recording in recordings:
        even = recording.of_patients(sorted(recording.columns.patients)[0::2])
        made = _Made(even, HORIZONS)
        made.stream(lambda done, name=recording.name: tell(name, done))  # type: ignore[misc]
        _gather(recording.name, made, found)
    return {
        SIGNALS[code].name: _corrections(
            code, {h: parts for (signal, h), parts in sorted(found.items()) if signal == code}
        )
        for code in sorted({code for code, _ in found})
    }


class _Made(Forecasts):
    """Forecasts with those of the modes alone."""

    def __init__(self, recording: Recording, horizons_min: Sequence[int]) -> None:
        super().__init__(recording, horizons_min)
        self.modes: F4 = np.full((3, *self.mean.shape), np.nan, np.float32)

    def _note(self, bank: Bank, part: Columns, first: int, horizons_s: F8) -> None:
        super()._note(bank, part, first, horizons_s)
        numbers = np.array([bank.index.get(patient, -1) for patient in part.patients], np.int64)[part.patient]
        rows = np.where(numbers >= 0, bank.slot[numbers, part.signal], -1).astype(np.int64)
        known = np.flatnonzero(rows >= 0)
        modes = np.full((3, len(known), len(horizons_s)), np.nan)
        uncorrected(bank.state, layout.PARAMETERS, rows[known], bank.signal_of_row, part.time[known], horizons_s, modes)
        self.modes[:, first + known] = modes


def _gather(name: str, made: _Made, found: dict[tuple[int, int], list[Part]]) -> None:
    columns = made.columns
    low, high = np.array([signal.plausible for signal in SIGNALS]).T
    usable = np.flatnonzero(
        FILTERED[columns.signal] & (columns.value >= low[columns.signal]) & (columns.value <= high[columns.signal])
    )
    channel = columns.patient[usable].astype(np.int64) * len(SIGNALS) + columns.signal[usable]
    order = np.argsort(channel, kind="stable")
    for places in np.split(usable[order], np.flatnonzero(np.diff(channel[order])) + 1):
        code = int(columns.signal[places[0]])
        for h, minutes in enumerate(HORIZONS):
            origin, target = pairs(columns.time[places], minutes)
            known = np.flatnonzero(np.isfinite(made.mean[places[origin], h]))
            if not len(known):
                continue
            some = known[np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int)]
            at, value = places[origin[some]], columns.value[places[target[some]]]
            mean, spread, back = made.modes[:, at, h].astype(float)
            off = value - made.mean[at, h]
            side = np.maximum(np.where(off < 0, made.low[at, h], made.high[at, h]), 1e-9)
            band = np.searchsorted(SIGNALS[code].levels, made.level[at], side="right")
            found[code, h].append(Part(name, value - mean, spread, back, band, off / side))


def _corrections(code: int, parts_at: dict[int, list[Part]]) -> dict[int, Correction]:
    """The corrections of a signal by horizon in minutes."""
    rows = smoothed(np.array([_row(code, h, parts) for h, parts in parts_at.items()]))
    bands = len(SIGNALS[code].levels) + 1
    made = {}
    for h, row in zip(parts_at, rows, strict=True):
        share, doubt = _figures(row[:2])
        shift, low, high = (
            _figures(part) for part in (row[2 : 2 + bands], *np.exp(row[2 + bands :].reshape(2, bands)))
        )
        plain = set(low + high) == {1.0}
        made[HORIZONS[h]] = Correction(
            share, doubt, shift if any(shift) else (), () if plain else low, () if plain else high
        )
    return made


def _row(code: int, h: int, parts: list[Part]) -> F8:
    """Share, doubt, shifts and logarithms of the widths, below and above, at one horizon."""
    bands = len(SIGNALS[code].levels) + 1
    share, shifts = share_and_shifts(parts, bands if bands > 1 else 0)
    before = in_force(code, h)
    widths = [
        width_of(parts, band, side, float(before[(LOW, HIGH)[side] + band]))
        for side in range(2)
        for band in range(bands)
    ]
    return np.array([share, doubt_of(parts, share), *shifts, *widths])


def smoothed(rows: F8) -> F8:
    """Rows by horizon, each with its neighbours: twice itself and each neighbour once, so that a fan has no kinks.

    >>> smoothed(np.array([[0.0], [4.0], [0.0]])).ravel().round(2).tolist()
    [1.33, 2.0, 1.33]
    """
    count = len(rows)
    near = [[at for at in (place - 1, place + 1) if 0 <= at < count] for place in range(count)]
    result: F8 = np.array([
        (2.0 * rows[place] + rows[near[place]].sum(axis=0)) / (2.0 + len(near[place])) for place in range(count)
    ])  # fmt: skip
    return result


def _figures(values: F8) -> tuple[float, ...]:
    return tuple(round(float(value), 3) + 0.0 for value in values)


def mean_of_files(files: Sequence[str], sums: F8, weights: F8) -> tuple[float, float]:
    """Mean of sums / weights of patients over the files, and the square of its error in a file not yet seen."""
    names = np.array(files)
    means, errors = [], []
    for name in np.unique(names):
        here = names == name
        count, weight = int(here.sum()), float(weights[here].sum())
        if count < FEWEST_IN_FILE or weight <= 0.0:
            continue
        mean = float(sums[here].sum()) / weight
        rest = sums[here] - mean * weights[here]
        means.append(mean)
        errors.append(float((rest**2).sum()) / weight**2 * count / (count - 1) * (1.0 + 2.0 / (count - 1)))
    return _together(np.array(means), np.array(errors))


def _together(means: F8, errors: F8) -> tuple[float, float]:
    if not len(means):
        return 0.0, 0.0
    weight = 1.0 / (errors + 1e-12)
    mean = float((weight * means).sum() / weight.sum())
    between = 0.0
    if len(means) > 1:
        excess = float((weight * (means - mean) ** 2).sum()) - (len(means) - 1)
        between = max(0.0, excess / max(float(weight.sum() - (weight**2).sum() / weight.sum()), 1e-12))
    weight = 1.0 / (errors + 1e-12 + between)
    return float((weight * means).sum() / weight.sum()), 1.0 / float(weight.sum()) + between


def _drawn(mean: float, square: float) -> float:
    """A mean drawn to 0 as far as the square of its error asks."""
    return mean * max(0.0, 1.0 - SHRINK * square / mean**2) if mean else 0.0


def share_and_shifts(parts: Sequence[Part], bands: int) -> tuple[float, F8]:
    """The share of returns that did not come, and the shift by band of level, in spreads."""
    share, shifts = 0.0, np.zeros(max(bands, 1))
    scaled = []
    for part in parts:
        spread = np.sqrt(part.spread**2 + USUAL_DOUBT * part.back**2)
        scaled.append((np.clip(part.error / spread, -_CLIP, _CLIP), part.back / spread, part.band))
    files = [part.file for part in parts]
    for _ in range(2):
        sums = np.array([float((x * (e - shifts[b if bands else 0 * b])).sum()) for e, x, b in scaled])
        weights = np.array([float((x * x).sum()) for _, x, _ in scaled])
        share = _drawn(*mean_of_files(files, sums, weights)) if len(parts) >= FEWEST_PATIENTS else 0.0
        for band in range(bands):
            here = [number for number, (_, _, b) in enumerate(scaled) if (b == band).any()]
            if len(here) < FEWEST_PATIENTS:
                continue
            off = [(scaled[n][0] - share * scaled[n][1])[scaled[n][2] == band] for n in here]
            sums, weights = np.array([one.sum() for one in off]), np.array([float(len(one)) for one in off])
            shifts[band] = _drawn(*mean_of_files([files[n] for n in here], sums, weights))
    return min(max(share, -1.0), 0.8), np.clip(shifts, -1.5, 1.5)


def doubt_of(parts: Sequence[Part], share: float) -> float:
    """The doubt, of those in ``DOUBTS``, with the greatest likelihood if every patient's spread has a factor of its own."""
    costs = np.array([8.0 * math.log((doubt + 0.05) / (USUAL_DOUBT + 0.05)) ** 2 for doubt in DOUBTS])
    for part in parts:
        count = len(part.error)
        if count < 8:
            continue
        squares = (part.error - share * part.back) ** 2
        for number, doubt in enumerate(DOUBTS):
            variance = part.spread**2 + doubt * part.back**2
            own = 1.0
            for _ in range(4):
                own = float(np.mean(np.minimum(squares / variance, 9.0 * own)))
            own = (own * count + 2.0) / (count + 2.0)
            costs[number] += 0.5 * float(np.sum(np.log(variance * own) + np.minimum(squares / variance / own, 9.0)))
    return DOUBTS[int(np.argmin(costs))]


def width_of(parts: Sequence[Part], band: int, side: int, before: float) -> float:
    """Logarithm of the factor on the width of one side, if it was ``before`` (logarithm) when the bands were stated."""
    toward = -1.0 if side == 0 else 1.0
    here = [(part.file, toward * part.reach[part.band == band]) for part in parts]
    here = [(file, reach) for file, reach in here if len(reach)]
    if len(here) < FEWEST_PATIENTS or sum(len(reach) for _, reach in here) < FEWEST_PAIRS:
        return 0.0
    means, errors = [], []
    for name in sorted({file for file, _ in here}):
        own = [reach for file, reach in here if file == name]
        count, total = len(own), sum(map(len, own))
        if count < FEWEST_IN_FILE or total < 40:
            continue
        end = max(float(np.quantile(np.concatenate(own), 0.9)), 1e-6)
        rest = np.array([float(np.sum(reach > end)) - 0.1 * len(reach) for reach in own])
        means.append(before + math.log(min(max(end / Z80, 0.2), 5.0)))
        square = (float((rest**2).sum()) * count / (count - 1) + 0.09 * total) / total**2
        errors.append(square / _SLOPE**2 * (1.0 + 2.0 / (count - 1)))
    found = _drawn(*_together(np.array(means), np.array(errors)))
    return min(max(found, math.log(_NARROWEST)), math.log(_WIDEST))
