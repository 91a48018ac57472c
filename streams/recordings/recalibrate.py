"""Minimise the score of a recalibration on judged chances of recorded patients.

The score of three parameters (slope, offset, precision of the patients' own offsets) is the mean negative log
likelihood of what came, when every chance is stated with the patient's own offset as learnt up to then (Dawid 1984,
prequential). So slope and offset are those of a patient who is still unknown, and the precision says how fast to learn.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from twins.arrays import F8, U1
from twins.fitting.recalibration import JudgedPairs, follow, logit, patients_of, weight
from twins.models.channel.recalibration import Recalibration

__all__ = ["fit"]

_TIGHTNESS = 0.3
"""The pull to the centre, divided by the number of patients for whom it came true."""
_SCALE = np.array([0.5, 1.0, 0.7])
"""How far slope (its logarithm), offset, and precision (its logarithm) may be from the centre: one standard deviation."""
_STEP = np.array([0.4, 0.7, 0.7])
_CALLS, _TOLERANCE = 200, 1e-4


def fit(parts: Sequence[JudgedPairs], kind: int, centre: Recalibration) -> Recalibration:
    """The recalibration with the best score on ``parts``, drawn towards ``centre`` if patients are few.

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
    pull = _TIGHTNESS / sum(map(patients_of, parts))

    def objective(place: F8) -> float:
        parameters = np.array([np.exp(place[0]), place[1], np.exp(place[2])])
        scores = np.empty(len(parts))
        for at, part in enumerate(parts):
            follow(logits[at], part.came, part.patient, part.time, parameters, kind, stated[at])
            scores[at] = _surprise(stated[at], part.came) / worth[at]
        away = float(np.sum(((place - about) / _SCALE) ** 2))
        return float(weights @ scores) / float(weights.sum()) + pull * away

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
