"""What recorded patients taught about the forecasts of the two modes: corrections by signal, horizon, level and side.

``vitaltwin fit --bands`` fits them to recorded patients at even places by id; ``corrections_fitted`` has the figures. A
signal's values are divided into bands of level at clinical edges (``Signal.levels``); a signal without them has one band.
"""

import math

import msgspec
import numpy as np

from twins.arrays import F8
from twins.bank.layout import A_CODE, A_FAST, HORIZONS, HORIZONS_S
from twins.compiled.jit import kernel
from twins.models.channel.corrections_fitted import CORRECTIONS, Correction
from twins.records import HORIZONS_MIN
from twins.signals import SIGNALS

__all__ = [
    "HIGH",
    "LEVELS",
    "LOW",
    "SHIFT",
    "corrected",
    "in_force",
    "level_of",
    "nearest",
    "table",
    "way_back",
    "width",
]

LEVELS = 5
"""Bands of level of a signal, at most."""
RETURN, DOUBT, SHIFT, LOW, HIGH = 0, 1, 2, 2 + LEVELS, 2 + 2 * LEVELS
"""Columns of the table: the share of the return, the doubt, and from these on, by level, the shift, and the logarithms of the
factors on the width below and above."""


def _edges() -> F8:
    edges = np.full((len(SIGNALS), LEVELS - 1), np.inf)
    for signal in SIGNALS:
        edges[signal.code, : len(signal.levels)] = signal.levels
    return edges


def table(corrections: dict[str, dict[int, Correction]]) -> F8:
    """Corrections as the kernels read them, float64 of shape (signals, horizons, columns)."""
    columns = np.zeros((len(SIGNALS), HORIZONS, 2 + 3 * LEVELS))
    columns[:, :, DOUBT] = msgspec.structs.fields(Correction)[1].default
    for signal in SIGNALS:
        for minutes, correction in corrections.get(signal.name, {}).items():
            own = columns[signal.code, HORIZONS_MIN.index(minutes)]
            own[RETURN], own[DOUBT] = correction.back, correction.doubt
            for first, values in (
                (SHIFT, correction.shift),
                (LOW, np.log(correction.low)),
                (HIGH, np.log(correction.high)),
            ):
                own[first : first + len(values)] = values
    return columns


_EDGES, _TABLE = _edges(), table(CORRECTIONS)


def in_force(code: int, h: int) -> F8:
    """The row of the table of a signal and a tracked horizon."""
    row: F8 = _TABLE[code, h].copy()
    return row


@kernel(forceinline=True)
def level_of(parameter: F8, value: float) -> int:
    """The band of level that a value lies in, from 0; a band contains its lower edge."""
    code = int(parameter[A_CODE])
    band = 0
    for edge in range(LEVELS - 1):
        if value >= _EDGES[code, edge]:
            band += 1
    return band


@kernel()
def nearest(horizon_s: float) -> int:
    """The tracked horizon that is nearest to another."""
    h = 0
    while h < HORIZONS - 1 and HORIZONS_S[h + 1] - horizon_s < horizon_s - HORIZONS_S[h]:
        h += 1
    return h


@kernel(forceinline=True)
def way_back(parameter: F8, fast: float, horizon_s: float) -> float:
    """How much of a displacement ``fast`` of the fast mode is expected to be gone after a horizon."""
    return float(fast * (1.0 - math.exp(-parameter[A_FAST] * horizon_s))) if parameter[A_FAST] > 0.0 else 0.0


@kernel(forceinline=True)
def corrected(
    parameter: F8, h: int, band: int, own: float, back: float, mean: float, variance: float
) -> tuple[float, float]:  # fmt: skip
    """Mean and spread of a forecast at tracked horizon ``h``, from those of the two modes.

    ``back`` is the expected return of the fast mode, which the mean already contains. ``RETURN`` is the share of it that did
    not come in recorded patients; the patient's ``own`` is added to that. Whether it comes at all is not known: ``DOUBT``
    times its square is variance.
    """
    fit = _TABLE[int(parameter[A_CODE]), h]
    spread = math.sqrt(variance + fit[DOUBT] * back * back)
    return mean + min(max(fit[RETURN] + own, -1.5), 1.0) * back + fit[SHIFT + band] * spread, spread


@kernel(forceinline=True)
def width(parameter: F8, h: int, band: int, side: int) -> float:
    """Factor on a band's width at tracked horizon ``h`` below (``side`` 0) or above (1) the mean."""
    return math.exp(_TABLE[int(parameter[A_CODE]), h, (LOW if side == 0 else HIGH) + band])
