"""The fan of a forecast: quantiles by horizon, computed from a channel's belief when they are requested."""

from functools import cache

import numpy as np
import numpy.typing as npt

from twins.arrays import F4, F8, I8
from twins.bank import layout
from twins.models.channel import forecast
from twins.records import HORIZONS_MIN, QUANTILES

__all__ = ["fan"]

_Z = (
    -1.6448536269514722, -1.2815515655446004, -0.6744897501960817, 0.0, 0.6744897501960817, 1.2815515655446004,
    1.6448536269514722,
)  # fmt: skip
"""Standard normal quantiles of ``QUANTILES``."""


def fan(
    belief: F4,
    signal: npt.NDArray[np.uint16],
    horizons_min: tuple[int, ...] = HORIZONS_MIN,
    quantiles: tuple[float, ...] = QUANTILES,
) -> F4:
    """Quantiles of the next readings, shape (rows, horizons, quantiles); NaN if nothing was measured yet.

    ``horizons_min`` are some of ``HORIZONS_MIN``, ``quantiles`` some of ``QUANTILES``. A value does not depend on which
    others are requested.
    """
    horizon, z = _places(horizons_min, quantiles)
    told = np.empty((len(belief), len(horizon), len(z)), np.float32)
    # The kernel is compiled for one kind of array: columns off the wire are read-only and may have another stride.
    forecast.quantiles(np.array(belief), layout.PARAMETERS, np.array(signal, np.uint16), horizon, z, told)
    return told


@cache
def _places(horizons_min: tuple[int, ...], quantiles: tuple[float, ...]) -> tuple[I8, F8]:
    return (
        np.array([HORIZONS_MIN.index(minutes) for minutes in horizons_min], np.int64),
        np.array([_Z[QUANTILES.index(quantile)] for quantile in quantiles]),
    )
