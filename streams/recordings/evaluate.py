"""Stream a recorded file through the twins and score their forecasts, causally.

Raw readings go through ``step`` in order of time. After every reading a forecast is made from what has arrived so far. At
the end each forecast is compared with the reading nearest to its horizon, at most half a sampling step (but no more than
2.5 min) away. Persistence is scored on the same pairs. A reading outside the plausible range is no measurement of the
patient: it goes through the twins like any other, but is neither origin nor target of a forecast.

Coverage is also counted by group (``groups``), and stated chances and warnings of a crossing are judged (``chances``).
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.log.frame import as_record
from streams.recordings.chances import Channel, Side, Stated, Warnings, channels_of, sides_of
from streams.recordings.groups import STEP, Group, Pooled, after_steps, groups
from streams.recordings.recording import Recording, cut
from twins.arrays import F4, F8, I8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.fitting.scores import BANDS, HypoTable, Score, hypo_table, score, targets
from twins.models.channel import forecast
from twins.records import HORIZONS_MIN, Admit, Columns, Tick
from twins.signals import FILTERED, SIGNALS
from twins.step.dispatch import step

__all__ = ["HORIZONS", "Evaluation", "Forecasts", "SignalScores", "aligned", "evaluate", "pairs"]

HORIZONS: tuple[int, ...] = HORIZONS_MIN
"""Minutes; the short ones only for signals measured that often."""

_MINUTE_US = 60_000_000
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US
_ALARMS = "predicted.low"
_Z80 = NormalDist().inv_cdf(0.9)


class SignalScores(msgspec.Struct, kw_only=True):
    """One signal: scores over all pairs, the medians of the patients' own scores, and groups, by horizon in minutes.

    ``crossings`` has the chances and warnings of each limit.
    """

    readings: int
    left_out: int
    horizons: dict[str, Score]
    median: dict[str, dict[str, float]]
    groups: dict[str, list[Group]]
    crossings: list[Side]
    hypo_alarms: HypoTable | None = None


class Evaluation(msgspec.Struct, kw_only=True):
    """The evaluation of a file."""

    file: str
    readings: int
    patients: int
    signals: dict[str, SignalScores]


def evaluate(recording: Recording, tell: Callable[[int], None] = lambda _: None) -> Evaluation:
    """Score the twins on a recording; ``tell`` gets the number of readings done."""
    run = Forecasts(recording, HORIZONS)
    run.stream(tell)
    columns = run.columns
    channels = channels_of(columns)
    signals = {}
    for code in np.unique(columns.signal).tolist():
        if FILTERED[code]:
            signals[SIGNALS[code].name] = _signal_scores(run, code, channels.get(code, []))
    return Evaluation(file=recording.name, readings=len(recording), patients=len(columns.patients), signals=signals)


class Forecasts:
    """The readings of a recording in order of time, with the forecast made after each.

    ``mean``, ``low`` and ``high`` (the spreads below and above it) and ``tail`` (how much farther than normal the 95 % band
    lies) are (readings, horizons), ``level`` is the estimate that each was made from; NaN where there was none.
    ``alarms`` has (patient, signal, effective time) of every
    predicted crossing below.
    """

    def __init__(self, recording: Recording, horizons_min: Sequence[int]) -> None:
        self.columns = columns = aligned(recording)
        self.horizons_min = tuple(horizons_min)
        shape = len(columns), len(horizons_min)
        self.mean: F4 = np.full(shape, np.nan, np.float32)
        self.low: F4 = np.full(shape, np.nan, np.float32)
        self.high: F4 = np.full(shape, np.nan, np.float32)
        self.tail: F4 = np.full(shape, np.nan, np.float32)
        self.level: F4 = np.full(shape[0], np.nan, np.float32)
        self.alarms: list[tuple[str, str, int]] = []
        self.stated = Stated(len(columns))
        self.warnings = Warnings()

    def stream(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Put everything through the twins of one bank, frame by frame, as a worker does."""
        bank, columns = Bank(), self.columns
        horizons_s = 60.0 * np.array(self.horizons_min)
        offset = 0
        for patient in columns.patients:
            step(bank, Admit(patient=patient, received=int(columns.time[0])), offset)
            offset += 1
        reported, before = 0, 0
        for first, last in _frames(columns):
            part = cut(columns, first, last)
            now = int(part.time[-1])
            # A tick of the same moment would send the patient's estimates, and the frame's readings would wait.
            ticked = step(bank, Tick(max(before, now - _SECOND_US)), offset)
            before = now
            outcome = step(bank, as_record(part, now), offset + 1)
            offset += 2
            changes = (*ticked.transitions, *outcome.transitions)
            self.warnings.note(changes)
            for change in changes:
                if change.condition == _ALARMS and change.presence == "on":
                    self.alarms.append((change.patient, change.signal, change.time))
            self._note(bank, part, first, horizons_s)
            if last - reported >= 2_000:
                reported = last
                tell(last)
        tell(len(columns))

    def _note(self, bank: Bank, part: Columns, first: int, horizons_s: F8) -> None:
        numbers = np.array([bank.index.get(patient, -1) for patient in part.patients], np.int64)[part.patient]
        rows = np.where(numbers >= 0, bank.slot[numbers, part.signal], -1).astype(np.int64)
        known = np.flatnonzero(rows >= 0)
        mean = np.full((len(known), len(horizons_s)), np.nan)
        low, high, tail = (np.full_like(mean, np.nan) for _ in range(3))
        # After a reading the twin did not use, the forecast is from an older one: its horizons reach further.
        forecast.bands(
            bank.state, layout.PARAMETERS, bank.stretch, bank.recent, rows[known], bank.signal_of_row, part.time[known],
            horizons_s, mean, low, high, tail,
        )  # fmt: skip
        self.mean[first + known], self.tail[first + known] = mean, tail
        self.low[first + known], self.high[first + known] = low, high
        self.level[first + known] = bank.state[rows[known], layout.M0]
        self.stated.note(bank, rows[known], first + known, part.time[known])


def _signal_scores(run: Forecasts, code: int, channels: list[Channel]) -> SignalScores:
    columns, signal = run.columns, SIGNALS[code]
    low, high = signal.plausible
    of_signal = columns.signal == code
    usable = of_signal & (columns.value >= low) & (columns.value <= high)
    pooled: dict[int, list[npt.NDArray[Any]]] = {minutes: [] for minutes in HORIZONS}
    grouped: dict[int, list[Pooled]] = {minutes: [] for minutes in HORIZONS}
    stories: list[tuple[I8, F8, I8]] = []
    for number, (patient, time, value, places) in enumerate(channels):
        stepped: I8 | None = None
        for column, minutes in enumerate(HORIZONS):
            forecasts = tuple(part[places, column] for part in (run.mean, run.low, run.high, run.tail))
            origin, target, part = _pairs(time, value, forecasts, minutes)
            pooled[minutes].append(part)
            if not len(origin):
                continue
            error, spread = _off(part)
            if stepped is None:
                stepped = time[target[np.abs(error) >= STEP * spread]]
            after = after_steps(time, stepped)[origin]
            ends = error < -_Z80 * spread, error > _Z80 * spread
            grouped[minutes].append(Pooled(value[origin], *ends, after, np.full(len(origin), number)))
        raised = [at for who, what, at in run.alarms if who == patient and what == signal.name]
        stories.append((time, value, np.array(raised, np.int64)))
    horizons, median, groups_at = {}, {}, {}
    for minutes, parts in pooled.items():
        filled = [part for part in parts if part.shape[1]]
        if filled:
            horizons[str(minutes)] = score(*np.concatenate(filled, axis=1))
            median[str(minutes)] = _medians([score(*part) for part in filled])
            together = Pooled(*map(np.concatenate, zip(*grouped[minutes], strict=True)))
            groups_at[str(minutes)] = groups(together, signal.levels)
    return SignalScores(
        readings=int(of_signal.sum()),
        left_out=int(of_signal.sum() - usable.sum()),
        horizons=horizons,
        median=median,
        groups=groups_at,
        crossings=sides_of(channels, code, run.stated, run.warnings.raised),
        hypo_alarms=hypo_table(stories) if signal.kind == "glucose" and stories else None,
    )


def _off(part: npt.NDArray[np.float64]) -> tuple[F8, F8]:
    """How far outcomes are off the forecast, and the spread of the middle of the band on that side."""
    error = part[0] - part[1]
    return error, np.where(error < 0.0, part[2], part[3])


class Pairs(NamedTuple):
    """Indices of the origins of forecasts and of the readings they are compared with."""

    origin: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]


def pairs(time: I8, minutes: int) -> Pairs:
    """Indices of the readings of one channel with a reading to compare ``minutes`` later, and of those later readings.

    The nearest reading counts, within half the usual sampling step and 2.5 min; there is none if readings are rarer.
    """
    steps = np.diff(time)
    step_us = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    if step_us == 0.0 or minutes * _MINUTE_US < step_us / 2:
        return Pairs(np.zeros(0, np.intp), np.zeros(0, np.intp))
    meets = targets(time, minutes * _MINUTE_US, int(min(step_us / 2, 2.5 * _MINUTE_US)))
    origin = np.flatnonzero(meets >= 0)
    return Pairs(origin, meets[origin])


def _pairs(
    time: I8, value: F8, forecasts: tuple[F4, ...], minutes: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Origins, targets, and rows of (outcome, mean, low, high, tail, persistence) of one channel at one horizon."""
    origin, target = pairs(time, minutes)
    known = np.isfinite(forecasts[0][origin])
    origin, target = origin[known], target[known]
    rows = np.stack([value[target], *(column[origin].astype(np.float64) for column in forecasts), value[origin]])
    return origin, target, rows


def _medians(scores: Sequence[Score]) -> dict[str, float]:
    names = ("rmse", "mae", "crps", "skill", "persistence_rmse")
    medians = {name: _median([getattr(one, name) for one in scores]) for name in names}
    return medians | {f"coverage.{band}": _median([one.coverage[str(band)] for one in scores]) for band in BANDS}


def _median(figures: Sequence[float]) -> float:
    finite = [figure for figure in figures if np.isfinite(figure)]
    return float(np.median(finite)) if finite else float("nan")


def aligned(recording: Recording) -> Columns:
    """The readings in order of time, the patients shifted so that all begin together, in frames like on a ward.

    Patients share nothing, so this changes no forecast. Signals measured every few minutes or hours are shifted by whole
    days, so that the time of day stays.
    """
    columns = recording.columns
    first = np.full(len(columns.patients), np.iinfo(np.int64).max)
    np.minimum.at(first, columns.patient, columns.time)
    shift = first - first.min()
    if _usual_step_us(columns) >= _MINUTE_US:
        shift = shift // _DAY_US * _DAY_US
    time = columns.time - shift[columns.patient]
    moved = Columns(columns.patients, columns.patient, columns.signal, time, columns.value)
    return Recording(recording.name, moved).by_time().columns


def _usual_step_us(columns: Columns) -> float:
    channel = _channel(columns)
    order = np.lexsort((columns.time, channel))
    steps = np.diff(columns.time[order])[np.diff(channel[order]) == 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _channel(columns: Columns) -> I8:
    return columns.patient.astype(np.int64) * len(SIGNALS) + columns.signal


def _frames(columns: Columns) -> list[tuple[int, int]]:
    """Cuts into frames that contain each channel at most once and span at most half the usual time between readings."""
    channel = _channel(columns)
    order = np.argsort(channel, kind="stable")
    before = np.full(len(columns), -1, np.int64)
    same = np.flatnonzero(np.diff(channel[order]) == 0)
    before[order[same + 1]] = order[same]
    longest_us = max(_SECOND_US, _usual_step_us(columns) / 2)
    cuts = [0]
    begun = int(columns.time[0])
    for at, (repeat, time) in enumerate(zip(before.tolist(), columns.time.tolist(), strict=True)):
        if repeat >= cuts[-1] or time - begun > longest_us:
            cuts.append(at)
            begun = time
    return list(zip(cuts, [*cuts[1:], len(columns)], strict=True))
