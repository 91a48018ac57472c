"""Fit the process model of a signal to recorded patients, and compare forms of it on held-out patients.

By id within their file, patients at even places are for fitting, those at odd places for testing. The score of a file is
the mean over the horizons of the mean negative log density of the readings there, so that every horizon weighs the same.
For sparse readings, half the score of each next reading is added. Files weigh the same, except those of few patients: n
patients weigh n / (n + 4), so that one slipped oximeter does not count as a population. A file in which no horizon has
more than 200 pairs is left out, unless there is no other.
"""

from collections.abc import Callable, Iterator, Sequence
from math import inf, isfinite

import msgspec
import numpy as np
from scipy.optimize import OptimizeResult, minimize

from streams.recordings.recording import Recording
from streams.recordings.split import FEWEST_PAIRS, HORIZONS_S, MOST, Half, gather
from twins.arrays import F8
from twins.fitting.forms import FORMS, Frame, begin, decode, encode, modes_of, motion_of, reaches
from twins.fitting.likelihood import (
    GAIN_LIMIT,
    HORIZON_LIMIT,
    PAIRS,
    PERSISTENCE,
    SCORE,
    SQUARES,
    STEP_LIMIT,
    TALLY_WIDTH,
    WORK,
    follow,
)
from twins.models.channel.modes import Modes
from twins.signals import BY_NAME

__all__ = ["SHOWN_MIN", "FileUse", "Fit", "SignalFit", "fit", "judge"]

SHOWN_MIN = (1, 5, 15, 30, 60, 120)
"""Horizons whose skill is shown."""
_STEP_WEIGHT = 0.5
_FEW_PATIENTS = 4
_MOVED_WEIGHT = 10.0
_CALLS = 100
"""Evaluations of the objective, for each parameter."""
_TOLERANCE = 1e-5
_SIMPLER = {"coupled": ("ou", "trend"), "three": ("ou",)}
"""Forms whose result is a starting point of a richer form."""
_CHOICE = ("single", "trend", "ou", "coupled")
"""Forms for the channel twin, simplest first. The Matérn process is only compared: its matrix row is ill-conditioned."""
_SIMPLER_BY = 0.005
"""Nats that a richer form must gain on the training patients to be preferred."""


class FileUse(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of a file, and the result of one form there: score, and skill by horizon in minutes."""

    file: str
    patients: int
    readings: int
    pairs: int
    score: float
    skill: dict[str, float]


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """One form: parameters, which of them are at a bound, mean scores (nats, less is better), skill on held-out patients.

    ``skill`` is 1 - RMSE / RMSE of persistence by minutes, the weighted mean of the files with enough pairs there.
    """

    form: str
    parameters: dict[str, float]
    at_bound: list[str]
    modes: Modes | None
    train: float
    held_out: float
    skill: dict[str, float]
    train_files: list[FileUse]
    held_out_files: list[FileUse]
    calls: int


class SignalFit(msgspec.Struct, frozen=True, kw_only=True):
    """All forms fitted to a signal, or to several together, and the form chosen for the channel twin."""

    signals: list[str]
    chosen: str
    forms: dict[str, Fit]


def fit(
    recordings: Sequence[Recording],
    signals: Sequence[str],
    forms: Sequence[str] = tuple(FORMS),
    *,
    most: int = MOST,
    tell: Callable[[str], None] = lambda _: None,
) -> SignalFit | None:
    """Fit ``forms`` to the ``signals`` together; ``None`` if no training patient has 8 plausible readings.

    ``tell`` gets the name of each finished form.
    """
    train, held_out = (
        _telling([half for name in signals for one in recordings if (half := gather(one, name, parity, most=most))])
        for parity in (0, 1)
    )
    if not train:
        return None
    frame = _frame(train, signals)
    done: dict[str, Fit] = {}
    for form in forms:
        simpler = [done[name].modes for name in _SIMPLER.get(form, ()) if name in done]
        grown = [_grown(form, modes, frame) for modes in simpler if modes is not None]
        starts = grown if len(grown) > 1 else [begin(form, frame), *grown]
        place, calls = _descend(form, starts, frame, train)
        done[form] = _told(form, place, frame, (train, held_out), calls)
        tell(form)
    return SignalFit(signals=list(signals), chosen=_chosen(done), forms=done)


def judge(form: str, parameters: dict[str, float], frame: Frame, halves: Sequence[Half]) -> list[FileUse]:
    """The result of parameters on each of the halves."""
    uses = []
    for half, tally, score in _tallies(form, parameters, frame, halves):
        rows = {minutes: tally[int(np.flatnonzero(60.0 * minutes == HORIZONS_S)[0])] for minutes in SHOWN_MIN}
        uses.append(
            FileUse(
                file=half.file,
                patients=half.patients,
                readings=len(half.value),
                pairs=int(tally[:, PAIRS].sum()),
                score=score,
                skill={
                    str(minutes): 1.0 - float(np.sqrt(row[SQUARES] / row[PERSISTENCE]))
                    for minutes, row in rows.items()
                    if row[PAIRS] > FEWEST_PAIRS and row[PERSISTENCE] > 0.0
                },
            )
        )
    return uses


def _telling(halves: list[Half]) -> list[Half]:
    return [half for half in halves if half.telling] or halves


def _frame(train: Sequence[Half], signals: Sequence[str]) -> Frame:
    """The median of the patients' medians, and the spread of all readings about it; files weigh the same, outliers are cut."""
    about = [BY_NAME[name] for name in signals]
    centre = float(np.median(np.concatenate([half.mids for half in train])))
    squares = [np.mean((np.clip(half.value, *np.quantile(half.value, (0.01, 0.99))) - centre) ** 2) for half in train]
    step = min(one.step for one in about)
    plausible = min(one.plausible[0] for one in about), max(one.plausible[1] for one in about)
    return Frame(centre, max(float(np.sqrt(np.mean(squares))), step), plausible, step)


def _grown(form: str, modes: Modes, frame: Frame) -> F8:
    """Two fitted modes as the start of a richer form: unchanged, or with a small third one between them."""
    middle = {"middle_s": float(np.sqrt(modes.fast_s * modes.slow_s)), "middle_sd": 0.5 * modes.fast_sd}
    return encode(form, middle | msgspec.structs.asdict(modes), frame)


def _descend(form: str, starts: Sequence[F8], frame: Frame, train: Sequence[Half]) -> tuple[F8, int]:
    """Minimise score plus prior from the best of the starts, then once more from the result.

    The prior keeps the mean near the patients' median and weighs as much as one more patient.
    """
    patients = sum(half.patients for half in train)

    def objective(place: F8) -> float:
        parameters, moved, _ = decode(form, place, frame)
        away = (parameters["mean"] - frame.centre) / frame.spread
        return _mean(form, parameters, frame, train) + _MOVED_WEIGHT * moved + 0.5 * away**2 / (patients + 1)

    most = _CALLS * len(FORMS[form])
    walks = [_walk(objective, start, step=0.4, most=most // (2 * len(starts))) for start in starts]
    best = min(walks, key=lambda walk: float(walk.fun))
    last = _walk(objective, best.x, step=0.2, most=most // 2)
    return last.x, last.nfev + sum(walk.nfev for walk in walks)


def _walk(objective: Callable[[F8], float], start: F8, *, step: float, most: int) -> OptimizeResult:
    """Nelder–Mead search from ``start``; the other corners of the simplex are ``step`` along each axis.

    NaN counts as infinite: the search avoids it.
    """

    def value(place: F8) -> float:
        found = objective(place)
        return found if isfinite(found) else inf

    return minimize(
        value, start, method="Nelder-Mead",
        options={
            "adaptive": True, "initial_simplex": np.vstack([start, start + step * np.eye(len(start))]), "maxfev": most,
            "fatol": _TOLERANCE, "xatol": _TOLERANCE**0.5,
        },
    )  # fmt: skip


def _told(form: str, place: F8, frame: Frame, halves: tuple[Sequence[Half], Sequence[Half]], calls: int) -> Fit:
    parameters, _, at_bound = decode(form, place, frame)
    train, held_out = (judge(form, parameters, frame, half) for half in halves)
    by_minutes = {str(m): [use for use in held_out if str(m) in use.skill] for m in SHOWN_MIN}
    return Fit(
        form=form,
        parameters=parameters,
        at_bound=at_bound,
        modes=modes_of(form, parameters),
        train=_mean(form, parameters, frame, halves[0]),
        held_out=_mean(form, parameters, frame, halves[1]),
        skill={
            minutes: float(np.average([use.skill[minutes] for use in uses], weights=[_weight(use) for use in uses]))
            for minutes, uses in by_minutes.items()
            if uses
        },
        train_files=train,
        held_out_files=held_out,
        calls=calls,
    )


def _mean(form: str, parameters: dict[str, float], frame: Frame, halves: Sequence[Half]) -> float:
    """Mean score of the files; ``nan`` without any."""
    total = weights = 0.0
    for half, _, score in _tallies(form, parameters, frame, halves):
        total += _weight(half) * score
        weights += _weight(half)
    return total / weights if weights else float("nan")


def _weight(one: Half | FileUse) -> float:
    return one.patients / (one.patients + _FEW_PATIENTS)


def _tallies(
    form: str, parameters: dict[str, float], frame: Frame, halves: Sequence[Half]
) -> Iterator[tuple[Half, F8, float]]:
    """Each half with its tallies by horizon and its score."""
    motion = motion_of(form, parameters, frame)
    reach, left = reaches(motion, HORIZONS_S)
    work = np.zeros(WORK)
    size = len(motion.rate)
    for half in halves:
        tally = np.zeros((len(HORIZONS_S), TALLY_WIDTH))
        result = follow(
            half.time_s, half.value, half.starts, half.stride, half.meets, *motion, reach, left,
            GAIN_LIMIT, STEP_LIMIT, HORIZON_LIMIT, work[:, :size, :size], tally,
        ) / len(half.value)  # fmt: skip
        enough = tally[tally[:, PAIRS] > FEWEST_PAIRS]
        score = result
        if len(enough):
            score = float(np.mean(enough[:, SCORE] / enough[:, PAIRS]))
            if not half.dense:
                score = (score + _STEP_WEIGHT * result) / (1.0 + _STEP_WEIGHT)
        yield half, tally, score


def _chosen(done: dict[str, Fit]) -> str:
    """The form for the channel twin: the simplest of those whose score is close to the best."""
    choice = [form for form in _CHOICE if form in done] or list(done)
    best = min(done[form].train for form in choice)
    return next(form for form in choice if done[form].train <= best + _SIMPLER_BY)
