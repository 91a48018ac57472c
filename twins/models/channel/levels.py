"""How much wider or narrower a band is at a patient's level than on the average, each side of its own.

A signal's readings are cut into bands of level by fixed clinical edges (``Signal.levels``). The factors are fitted to
recorded patients at even places by id by ``vitaltwin fit --levels``: for each horizon, the 10 and 90 % quantiles of what
came, in units of the band that was stated, so that a tenth lies beyond either end (conformal prediction by groups).
"""

import numpy as np

from twins.arrays import F8
from twins.bank.layout import A_CODE, HORIZONS
from twins.compiled.jit import kernel
from twins.models.channel.level_widths import WIDTHS
from twins.records import HORIZONS_MIN
from twins.signals import SIGNALS

__all__ = ["LEVELS", "level_of", "width"]

LEVELS = 5
"""Bands of level of a signal, at most."""


def _edges() -> F8:
    table = np.full((len(SIGNALS), LEVELS - 1), np.inf)
    for signal in SIGNALS:
        table[signal.code, : len(signal.levels)] = signal.levels
    return table


def _widths() -> F8:
    table = np.zeros((len(SIGNALS), HORIZONS, LEVELS, 2))
    for signal in SIGNALS:
        for minutes, (low, high) in WIDTHS.get(signal.name, {}).items():
            at = table[signal.code, HORIZONS_MIN.index(minutes)]
            at[: len(low), 0], at[: len(high), 1] = np.log(low), np.log(high)
    return table


_EDGES, _WIDTHS = _edges(), _widths()


@kernel(forceinline=True)
def level_of(parameter: F8, value: float) -> int:
    """The band of level a value lies in, from 0."""
    code = int(parameter[A_CODE])
    band = 0
    for edge in range(LEVELS - 1):
        if value >= _EDGES[code, edge]:
            band += 1
    return band


@kernel(forceinline=True)
def width(parameter: F8, h: int, band: int, side: int) -> float:
    """Logarithm of the factor on a band's width at horizon ``h`` below (``side`` 0) or above (1)."""
    return float(_WIDTHS[int(parameter[A_CODE]), h, band, side])
