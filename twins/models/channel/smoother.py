"""The smoothed course of one channel: a fixed-interval smoother over the filter's own forward pass.

Rauch, Tung, Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 3 (1965), in Joseph form.
That is a sum of squares, so rounding leaves every covariance symmetric and positive semi-definite. Every reading is a
node; a reading that was not believed is a node without a measurement. Moments are rows of ``MOMENTS``: the level, the
slow mode, their covariance P00 P01 P11, and the variance added to P00 where the patient was believed to have jumped.
"""

import math

import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8
from twins.bank.layout import A_MEAN, COUNT, INNOVATION, M0, M1, P00, P01, P11, T
from twins.compiled.jit import kernel
from twins.models.channel.filter import REACQUIRED, begin, predict, update

__all__ = ["MOMENTS", "backward", "forward", "interpolate"]

Five = tuple[float, float, float, float, float]

MOMENTS = 6
"""Columns of an array of moments."""
_INVALID = 9
_FAR = 2.0**30
_SINGULAR = 1e-13
"""The least share of P00 P11 that the determinant must keep; below it the inverse has no meaning."""


@kernel()
def _put(table: F8, row: int, moments: Five, jump: float) -> None:
    table[row, 0], table[row, 1], table[row, 2], table[row, 3], table[row, 4] = moments
    table[row, 5] = jump


@kernel()
def _at(table: F8, row: int) -> Five:
    return table[row, 0], table[row, 1], table[row, 2], table[row, 3], table[row, 4]


@kernel()
def _moments_of(state: F8) -> Five:
    return state[M0], state[M1], state[P00], state[P01], state[P11]


@kernel()
def _later(moments: Five, parameter: F8, dt: float) -> Five:
    return predict(moments[0], moments[1], moments[2], moments[3], moments[4], parameter, dt)


@kernel()
def _transition(parameter: F8, dt: float) -> Five:
    """Decays of fast and slow mode over ``dt`` s and the covariance q00 q01 q11 they gain, read off ``predict``.

    Predicting a state without spread gives the noise alone. Predicting a state with modes at known distances from the
    mean gives the decays.
    """
    mean = parameter[A_MEAN]
    n0, n1, q00, q01, q11 = predict(mean + 1.0 + _FAR, 1.0, 0.0, 0.0, 0.0, parameter, dt)
    return (n0 - mean - n1) / _FAR, n1, q00, q01, q11


@kernel()
def _jump(prior: Five, state: F8) -> float:
    """The square of the innovation by which a re-acquisition widened the level, from the state after ``update``.

    The level moved by d = (P00 + i²) i / s, and the stored innovation is z = i / √s. So z² i² - d i + z² P00 = 0. Its
    larger root is i, because a surprise is many times its own spread. A censored reading needs no special case.
    """
    moved = state[M0] - prior[0]
    zz = state[INNOVATION] * state[INNOVATION]
    if zz <= 0.0:
        return 0.0
    root = math.sqrt(max(moved * moved - 4.0 * zz * zz * prior[2], 0.0))
    innovation: float = (abs(moved) + root) / (2.0 * zz)
    return innovation * innovation


@kernel()
def forward(
    state: F8, parameter: F8, time: I8, value: F8, status: npt.NDArray[np.uint8], prior: F8, posterior: F8
) -> int:
    """Filter readings (effective time µs, never decreasing) as live; returns how many were believed.

    ``state`` is a row of zeros used as scratch. Written are ``status`` (n) and the moments before and after each
    reading, ``prior`` and ``posterior`` (n, MOMENTS). Until the first reading is believed, both are the population's.
    """
    if not len(time):
        return 0
    begin(state, parameter, float(time[0]))
    population = _moments_of(state)
    for i in range(len(time)):
        t = float(time[i])
        count = state[COUNT]
        before = population if count == 0.0 else _later(_moments_of(state), parameter, (t - state[T]) * 1e-6)
        status[i] = update(state, parameter, t, value[i]) if math.isfinite(value[i]) else _INVALID
        if state[COUNT] == count:
            _put(prior, i, before, 0.0)
            _put(posterior, i, before, 0.0)
            continue
        jump = _jump(before, state) if status[i] == REACQUIRED else 0.0
        _put(prior, i, (before[0], before[1], before[2] + jump, before[3], before[4]), jump)
        _put(posterior, i, _moments_of(state), 0.0)
    return int(state[COUNT])


@kernel()
def _smoothed_moments(parameter: F8, dt: float, now: Five, prior: F8, smoothed: F8, following: int) -> Five:
    """Smoothed moments of a node with filtered moments ``now``, from the next node, which is ``dt`` s later."""
    e1, e2, q00, q01, q11 = _transition(parameter, dt)
    _, _, p00, p01, p11 = now
    a00, a01, a11 = prior[following, 2], prior[following, 3], prior[following, 4]
    q00 += prior[following, 5]
    # P F', with F = [[e1, e2 - e1], [0, e2]]
    c = e2 - e1
    b00, b01 = p00 * e1 + p01 * c, p01 * e2
    b10, b11 = p01 * e1 + p11 * c, p11 * e2
    determinant = a00 * a11 - a01 * a01
    if determinant > _SINGULAR * a00 * a11:
        i00, i01, i11 = a11 / determinant, -a01 / determinant, a00 / determinant
    else:
        # The uncertainty has one direction, or none: use the inverse along that direction alone.
        trace = a00 + a11
        scale = 1.0 / (trace * trace) if trace > 0.0 else 0.0
        i00, i01, i11 = a00 * scale, a01 * scale, a11 * scale
    g00, g01 = b00 * i00 + b01 * i01, b00 * i01 + b01 * i11
    g10, g11 = b10 * i00 + b11 * i01, b10 * i01 + b11 * i11
    d0 = smoothed[following, 0] - prior[following, 0]
    d1 = smoothed[following, 1] - prior[following, 1]
    # (I - G F) P (I - G F)' + G (smoothed P of the next node + Q) G'
    k00, k01 = 1.0 - g00 * e1, -(g00 * c + g01 * e2)
    k10, k11 = -g10 * e1, 1.0 - (g10 * c + g11 * e2)
    s00, s01, s11 = smoothed[following, 2] + q00, smoothed[following, 3] + q01, smoothed[following, 4] + q11
    u00, u01 = k00 * p00 + k01 * p01, k00 * p01 + k01 * p11
    u10, u11 = k10 * p00 + k11 * p01, k10 * p01 + k11 * p11
    v00, v01 = g00 * s00 + g01 * s01, g00 * s01 + g01 * s11
    v10, v11 = g10 * s00 + g11 * s01, g10 * s01 + g11 * s11
    return (
        now[0] + g00 * d0 + g01 * d1,
        now[1] + g10 * d0 + g11 * d1,
        u00 * k00 + u01 * k01 + v00 * g00 + v01 * g01,
        u00 * k10 + u01 * k11 + v00 * g10 + v01 * g11,
        u10 * k10 + u11 * k11 + v10 * g10 + v11 * g11,
    )


@kernel()
def backward(parameter: F8, time: I8, prior: F8, posterior: F8, smoothed: F8) -> None:
    """Write the moments of every node, given all readings, to ``smoothed`` (n, MOMENTS); the last are the filter's."""
    last = len(time) - 1
    if last < 0:
        return
    _put(smoothed, last, _at(posterior, last), 0.0)
    for i in range(last - 1, -1, -1):
        dt = (time[i + 1] - time[i]) * 1e-6
        _put(smoothed, i, _smoothed_moments(parameter, dt, _at(posterior, i), prior, smoothed, i + 1), 0.0)


@kernel()
def interpolate(
    parameter: F8, time: I8, prior: F8, posterior: F8, smoothed: F8, at: I8, mean: F8, variance: F8
) -> None:  # fmt: skip
    """Write the level's mean and variance at the times ``at`` (µs, any order), as if each were a node without reading.

    Between readings, both sides count. After the last it is the filter's prediction. Before the first, it approaches
    the population. Needs at least one reading.
    """
    last = len(time) - 1
    for k in range(len(at)):
        low, high = 0, last + 1
        while low < high:
            middle = (low + high) // 2
            if time[middle] <= at[k]:
                low = middle + 1
            else:
                high = middle
        i = low - 1
        # Before the first node it is the population at any time, because that is stationary.
        now = _at(prior, 0) if i < 0 else _later(_at(posterior, i), parameter, (at[k] - time[i]) * 1e-6)
        if i < last:
            now = _smoothed_moments(parameter, (time[i + 1] - at[k]) * 1e-6, now, prior, smoothed, i + 1)
        mean[k] = now[0]
        variance[k] = now[2]
