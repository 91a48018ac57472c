"""Fit how a stated chance is recalibrated: on judged chances of recorded patients, as the twins would have learnt online.

The score of three parameters (slope, offset, precision of the patients' own offsets) is the mean negative log
likelihood of what came, when every chance is stated with the patient's own offset as learnt up to then (Dawid 1984,
prequential). So slope and offset are those of a patient who is still unknown, and the precision says how fast to learn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from twins.arrays import F8, I8, U1
from twins.bank.layout import PENDING_STATEMENTS
from twins.compiled.jit import kernel
from twins.models.channel.chances import FLOOR, NEXT_READING
from twins.models.channel.recalibration import Recalibration
from twins.models.channel.statements import EVERY_US, OVERLAP, learn

__all__ = ["JudgedPairs", "fit", "logit", "states", "weight"]

_FEW_PATIENTS = 4
_TIGHTNESS = 0.003
_SCALE = np.array([0.5, 1.0, 0.7])
"""How far slope (its logarithm), offset, and precision (its logarithm) may be from the centre: one standard deviation."""
_STEP = np.array([0.4, 0.7, 0.7])
_CALLS, _TOLERANCE = 200, 1e-4
_WINDOW_US = 1_800e6


class JudgedPairs(NamedTuple):
    """Raw chances of one file, kind and side, and what came; sorted by patient, then by time (µs)."""

    file: str
    raw: F8
    came: U1
    patient: I8
    time: F8


def logit(chance: npt.ArrayLike) -> F8:
    """Logarithm of the odds, of chances within ``FLOOR`` to 1 - ``FLOOR``."""
    p = np.clip(np.asarray(chance, np.float64), FLOOR, 1.0 - FLOOR)
    result: F8 = np.log(p) - np.log1p(-p)
    return result


@kernel()
def _follow(x: F8, came: U1, patient: I8, time: F8, parameters: F8, kind: int, stated: F8) -> None:
    """Write what is stated at each logit ``x`` of a raw chance, in order, learning as ``statements`` does online."""
    slope, centre, precision = parameters[0], parameters[1], parameters[2]
    weight = 1.0 if kind == NEXT_READING else OVERLAP
    wait = 1.0 if kind == NEXT_READING else _WINDOW_US
    own = np.zeros(2, np.float32)
    pending = np.zeros(PENDING_STATEMENTS, np.int64)
    count = 0
    again = -np.inf
    for i in range(len(x)):
        if i == 0 or patient[i] != patient[i - 1]:
            own[0] = own[1] = 0.0
            count = 0
            again = -np.inf
        while count > 0 and time[pending[0]] + wait <= time[i]:
            first = pending[0]
            learn(own, stated[first], came[first], precision, weight)
            count -= 1
            for k in range(count):
                pending[k] = pending[k + 1]
        stated[i] = 1.0 / (1.0 + np.exp(-(slope * x[i] + centre + own[0])))
        if time[i] >= again and count < PENDING_STATEMENTS:
            pending[count] = i
            count += 1
            again = time[i] + EVERY_US


def states(pairs: JudgedPairs, fitted: Recalibration, kind: int) -> F8:
    """The chances that would have been stated, shape as ``pairs.raw``."""
    stated = np.empty(len(pairs.raw))
    figures = np.array([fitted.slope, fitted.offset, fitted.precision])
    _follow(logit(pairs.raw), pairs.came, pairs.patient, pairs.time, figures, kind, stated)
    return stated


def weight(pairs: JudgedPairs) -> float:
    """How much a file counts: n patients for whom it came true weigh n / (n + 4), so that one patient is no population."""
    patients = len(np.unique(pairs.patient[pairs.came == 1]))
    return patients / (patients + _FEW_PATIENTS)


def fit(parts: Sequence[JudgedPairs], kind: int, centre: Recalibration) -> Recalibration:
    """The recalibration with the best score on ``parts``, drawn towards ``centre`` as by a few patients more.

    The score of a file is relative to that of its base rate. Files weigh as in ``weight``; the slope is above 0.
    """
    parts = [part for part in parts if part.came.any()]
    if not parts:
        return centre
    about = _encode(centre)
    logits = [logit(part.raw) for part in parts]
    weights = np.array([weight(part) for part in parts])
    worth = np.array([_entropy(float(part.came.mean())) for part in parts])
    stated = [np.empty(len(part.raw)) for part in parts]

    def objective(place: F8) -> float:
        parameters = np.array([np.exp(place[0]), place[1], np.exp(place[2])])
        scores = np.empty(len(parts))
        for at, part in enumerate(parts):
            _follow(logits[at], part.came, part.patient, part.time, parameters, kind, stated[at])
            scores[at] = _surprise(stated[at], part.came) / worth[at]
        away = float(np.sum(((place - about) / _SCALE) ** 2))
        return float(weights @ scores + _TIGHTNESS * away) / float(weights.sum())

    best = minimize(
        objective, about, method="Nelder-Mead",
        options={
            "initial_simplex": about + np.vstack([np.zeros(3), np.diag(_STEP)]), "maxfev": _CALLS, "fatol": _TOLERANCE,
            "xatol": _TOLERANCE**0.5,
        },
    )  # fmt: skip
    slope, offset, precision = best.x.tolist()
    return Recalibration(float(np.exp(slope)), offset, float(np.exp(precision)))


def _encode(one: Recalibration) -> F8:
    return np.array([np.log(one.slope), one.offset, np.log(one.precision)])


def _surprise(stated: F8, came: U1) -> float:
    p = np.clip(stated, 1e-9, 1.0 - 1e-9)
    return -float(np.mean(np.where(came == 1, np.log(p), np.log1p(-p))))


def _entropy(rate: float) -> float:
    rate = min(max(rate, 1e-6), 1.0 - 1e-6)
    return -rate * float(np.log(rate)) - (1.0 - rate) * float(np.log1p(-rate))
