"""Chances of recorded patients as they would have been stated online, with slope, offset and precision given."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8, U1
from twins.bank.layout import PENDING_STATEMENTS
from twins.compiled.jit import kernel
from twins.models.channel.chances import FLOOR, NEXT_READING
from twins.models.channel.recalibration import Recalibration
from twins.models.channel.statements import EVERY_US, OVERLAP, learn

__all__ = ["JudgedPairs", "follow", "logit", "patients_of", "states", "weight"]

_FEW_PATIENTS = 4
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


@kernel(allocates=True)
def follow(  # noqa: PLR0917 - a kernel takes columns
    x: F8, came: U1, patient: I8, time: F8, parameters: F8, kind: int, stated: F8
) -> None:  # fmt: skip
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
    follow(logit(pairs.raw), pairs.came, pairs.patient, pairs.time, figures, kind, stated)
    return stated


def weight(pairs: JudgedPairs) -> float:
    """How much a file counts: n patients for whom it came true weigh n / (n + 4), so that one patient is no population."""
    patients = patients_of(pairs)
    return patients / (patients + _FEW_PATIENTS)


def patients_of(pairs: JudgedPairs) -> int:
    """For how many patients it came true."""
    return len(np.unique(pairs.patient[pairs.came == 1]))
