"""Forecasts of what a channel's next readings will be: mean, spread and quantiles by horizon."""

import math

import numpy as np
import numpy.typing as npt

from twins.kernels.channel import predict
from twins.kernels.jit import kernel
from twins.kernels.layout import A_HIGH, A_LOW, A_QUANTUM, A_R, M0, M1, P00, P01, P11, R_SCALE

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_SQRT2 = math.sqrt(2.0)


@kernel()
def below(limit: float, mean: float, sd: float) -> float:
    """Probability that a normal variable lies below ``limit``."""
    return 0.5 * math.erfc((mean - limit) / (sd * _SQRT2))


@kernel(allocates=True)
def normal(z: F8) -> F8:
    """The standard normal distribution function of each of ``z``."""
    probability = np.empty(len(z))
    for i in range(len(z)):
        probability[i] = 0.5 * math.erfc(-z[i] / _SQRT2)
    return probability


@kernel()
def ahead(state: F8, parameter: F8, horizon_s: float) -> tuple[float, float, float]:
    """Mean, variance of the patient's value and variance of a reading ``horizon_s`` after the last measurement."""
    mean, _, variance, _, _ = predict(state[M0], state[M1], state[P00], state[P01], state[P11], parameter, horizon_s)
    return mean, variance, variance + parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]


@kernel()
def quantiles(
    state: F8, parameters: F8, rows: I8, signal_of_row: npt.NDArray[np.uint16], horizons_s: F8, z: F8, out: F4
) -> None:
    """Forecast quantiles of ``rows`` into ``out[len(rows), horizons, len(z)]``, kept inside the plausible range."""
    for i in range(len(rows)):
        row = rows[i]
        parameter = parameters[signal_of_row[row]]
        for h in range(len(horizons_s)):
            mean, _, variance = ahead(state[row], parameter, horizons_s[h])
            sd = math.sqrt(variance)
            for q in range(len(z)):
                out[i, h, q] = min(max(mean + z[q] * sd, parameter[A_LOW]), parameter[A_HIGH])


@kernel()
def moments(
    state: F8, parameters: F8, rows: I8, signal_of_row: npt.NDArray[np.uint16], horizons_s: F8, mean: F8, sd: F8
) -> None:
    """Mean and standard deviation of a reading, by row and horizon, into ``mean`` and ``sd``."""
    for i in range(len(rows)):
        parameter = parameters[signal_of_row[rows[i]]]
        for h in range(len(horizons_s)):
            m, _, variance = ahead(state[rows[i]], parameter, horizons_s[h])
            mean[i, h] = m
            sd[i, h] = math.sqrt(variance)
