"""The fan of a forecast: quantiles by horizon, worked out from a channel's belief when somebody looks."""

import numpy as np
import numpy.typing as npt

from twins.kernels import forecast, layout
from twins.records import F4, HORIZONS_MIN, QUANTILES

__all__ = ["fan"]

_Z: npt.NDArray[np.float64] = np.array(
    [-1.6448536269514722, -1.2815515655446004, -0.6744897501960817, 0.0, 0.6744897501960817, 1.2815515655446004,
     1.6448536269514722]
)  # fmt: skip
"""Standard normal quantiles of ``QUANTILES``."""


def fan(belief: F4, signal: npt.NDArray[np.uint16]) -> F4:
    """Quantiles of the next readings, shape (rows, ``HORIZONS_MIN``, ``QUANTILES``); NaN where nothing was measured yet."""
    quantiles = np.empty((len(belief), len(HORIZONS_MIN), len(QUANTILES)), np.float32)
    # The kernel is compiled for one kind of array: columns off the wire are read-only and may be of a narrower stride.
    forecast.quantiles(np.array(belief), layout.PARAMETERS, np.array(signal, np.uint16), _Z, quantiles)
    return quantiles
