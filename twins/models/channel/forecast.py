"""Forecasts of a channel's next readings: mean, spread and quantiles by horizon."""

import math

import numpy as np
import numpy.typing as npt

from twins.arrays import F4, F8, I8
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    A_MEAN,
    A_QUANTUM,
    A_R,
    B_LEVEL,
    B_NOISE,
    B_P00,
    B_P01,
    B_P11,
    B_RECENT,
    B_RETURN,
    B_SLOW,
    B_STRETCH,
    COUNT,
    HORIZONS,
    HORIZONS_S,
    M0,
    M1,
    P00,
    P01,
    P11,
    R_SCALE,
    RECENT,
    RETURN,
    USUAL,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.corrections import corrected, level_of, nearest, way_back, width
from twins.models.channel.filter import predict

_SQRT2 = math.sqrt(2.0)
Z80, Z95 = 1.2815515655446004, 1.959963984540054
TAIL = 0.12
"""Before any results, the 95 % band is farther out than normal by this (logarithm), because tails are heavy."""
FOLLOWS = tuple(0.5 * math.exp(-horizon_s / 3600.0) for horizon_s in HORIZONS_S)
"""Share of the squared width that follows recent errors, by horizon."""
LEAST_USUAL = 0.05
"""Usual squared errors count for no less, as a multiple of what is expected."""


@kernel()
def below(limit: float, mean: float, sd: float) -> float:
    """Probability that a normal variable is below ``limit``."""
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
def stretch_at(stretch: F4, horizon_s: float, which: int) -> float:
    """Width factor of the 80 % band (0), or the additional factor of the 95 % band (1), at any horizon.

    Log-linear between the tracked horizons.
    """
    below = 0
    while below < HORIZONS - 1 and HORIZONS_S[below + 1] <= horizon_s:
        below += 1
    first = stretch[below, which]
    if below == HORIZONS - 1 or horizon_s <= HORIZONS_S[0]:
        return math.exp(first)
    share = math.log(horizon_s / HORIZONS_S[below]) / math.log(HORIZONS_S[below + 1] / HORIZONS_S[below])
    return math.exp(first + share * (stretch[below + 1, which] - first))


@kernel(forceinline=True)
def unrest(ratio: float, h: int) -> float:
    """Factor on the width at tracked horizon ``h`` if squared recent errors are ``ratio`` times the usual ones.

    Recent errors say more about the next minutes than about the next hours.
    """
    return math.sqrt(1.0 + FOLLOWS[h] * (ratio - 1.0))


@kernel(forceinline=True)
def ratio_of(recent: F4) -> float:
    """Squared recent errors as a multiple of this channel's usual ones; 1 before any result."""
    return float(recent[RECENT] / max(recent[USUAL], LEAST_USUAL)) if recent[USUAL] > 0.0 else 1.0


@kernel()
def write_belief(state: F8, parameter: F8, stretch: F4, recent: F4, belief: F4, last: F4) -> None:
    """Write everything that forecasts of a channel are computed from; the level is NaN without a measurement.

    ``last`` gets the columns from ``B_RECENT`` on, which are sent apart.
    """
    belief[B_LEVEL] = state[M0] if state[COUNT] > 0.0 else np.nan
    belief[B_SLOW] = state[M1]
    belief[B_P00] = state[P00]
    belief[B_P01] = state[P01]
    belief[B_P11] = state[P11]
    belief[B_NOISE] = parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]
    for h in range(HORIZONS):
        belief[B_STRETCH + 2 * h] = stretch[h, 0]
        belief[B_STRETCH + 2 * h + 1] = stretch[h, 1]
    last[0] = ratio_of(recent)
    last[B_RETURN - B_RECENT] = recent[RETURN]


@kernel()
def quantiles(belief: F4, parameters: F8, signal: npt.NDArray[np.uint16], horizons: I8, z: F8, out: F4) -> None:
    """Write quantiles to ``out[len(belief), len(horizons), len(z)]``, within the plausible range; NaN if unknown.

    ``horizons`` are indices into ``HORIZONS_S``.

    Outside the 80 % band the tails are stretched to reach the calibrated 95 % band.
    """
    for i in range(len(belief)):
        own = belief[i]
        parameter = parameters[signal[i]]
        band = level_of(parameter, own[B_LEVEL])
        for place in range(len(horizons)):
            h = horizons[place]
            mean, _, variance, _, _ = predict(
                own[B_LEVEL], own[B_SLOW], own[B_P00], own[B_P01], own[B_P11], parameter, HORIZONS_S[h]
            )
            back = way_back(parameter, own[B_LEVEL] - parameter[A_MEAN] - own[B_SLOW], HORIZONS_S[h])
            mean, spread = corrected(parameter, h, band, own[B_RETURN], back, mean, variance + own[B_NOISE])
            spread *= unrest(own[B_RECENT], h) * math.exp(own[B_STRETCH + 2 * h])
            low, high = spread * width(parameter, h, band, 0), spread * width(parameter, h, band, 1)
            tail = math.exp(own[B_STRETCH + 2 * h + 1] + TAIL)
            for q in range(len(z)):
                if math.isnan(mean):
                    out[i, place, q] = np.nan
                    continue
                beyond = min(max((abs(z[q]) - Z80) / (Z95 - Z80), 0.0), 1.0)
                x = mean + z[q] * (low if z[q] < 0.0 else high) * (1.0 + beyond * (tail - 1.0))
                out[i, place, q] = min(max(x, parameter[A_LOW]), parameter[A_HIGH])


@kernel()
def moments(
    state: F8, parameters: F8, rows: I8, signal_of_row: npt.NDArray[np.uint16], horizons_s: F8, mean: F8, sd: F8
) -> None:
    """Write mean and standard deviation of a reading, by row and horizon, to ``mean`` and ``sd``."""
    for i in range(len(rows)):
        parameter = parameters[signal_of_row[rows[i]]]
        for h in range(len(horizons_s)):
            m, _, variance = ahead(state[rows[i]], parameter, horizons_s[h])
            mean[i, h] = m
            sd[i, h] = math.sqrt(variance)


@kernel()
def uncorrected(
    state: F8, parameters: F8, rows: I8, signal_of_row: npt.NDArray[np.uint16], time: I8, horizons_s: F8, out: F8
) -> None:  # fmt: skip
    """Forecasts of the modes alone, ``horizons_s`` after ``time`` (µs): ``out`` is [3, rows, horizons].

    Mean and spread of a reading, and the return of the fast mode that is expected until then. NaN stays where nothing was
    measured.
    """
    for i in range(len(rows)):
        own = state[rows[i]]
        if own[COUNT] == 0.0:
            continue
        parameter = parameters[signal_of_row[rows[i]]]
        fast = own[M0] - parameter[A_MEAN] - own[M1]
        late_s = max(float(time[i]) - own[T], 0.0) * 1e-6
        for h in range(len(horizons_s)):
            mean, _, variance = ahead(own, parameter, horizons_s[h] + late_s)
            out[0, i, h], out[1, i, h] = mean, math.sqrt(variance)
            out[2, i, h] = way_back(parameter, fast, horizons_s[h] + late_s)


@kernel()
def bands(
    state: F8, parameters: F8, stretch: F4, recent: F4, rows: I8, signal_of_row: npt.NDArray[np.uint16], time: I8,
    horizons_s: F8, mean: F8, low: F8, high: F8, tail: F8,
) -> None:  # fmt: skip
    """Calibrated forecasts of a reading ``horizons_s`` after ``time``: mean, spread on either side, stretch of the tails.

    ``time`` (µs) is at or after each row's newest measurement; columns are (rows, horizons).
    """
    for i in range(len(rows)):
        row = rows[i]
        if state[row, COUNT] == 0.0:
            continue
        parameter = parameters[signal_of_row[row]]
        band, ratio = level_of(parameter, state[row, M0]), ratio_of(recent[row])
        fast = state[row, M0] - parameter[A_MEAN] - state[row, M1]
        late_s = max(float(time[i]) - state[row, T], 0.0) * 1e-6
        for h in range(len(horizons_s)):
            span = horizons_s[h] + late_s
            near = nearest(span)
            m, _, variance = ahead(state[row], parameter, span)
            back = way_back(parameter, fast, span)
            mean[i, h], spread = corrected(parameter, near, band, recent[row, RETURN], back, m, variance)
            spread *= unrest(ratio, near) * stretch_at(stretch[row], span, 0)
            low[i, h], high[i, h] = spread * width(parameter, near, band, 0), spread * width(parameter, near, band, 1)
            tail[i, h] = math.exp(TAIL) * stretch_at(stretch[row], span, 1)
