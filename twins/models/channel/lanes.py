"""Many channels updated at once: readings of different rows side by side, so that one instruction works on eight.

For one reading at a time, the arithmetic of the filter is a chain: two series, two divisions and a square root, each
waiting for the one before. Here 16 readings of different rows are laid out as columns, updated by the same functions in
a loop that the compiler vectorises, and written back. A reading that is not of the usual kind (late, sparse, at an end
of the range, a surprise) goes through ``filter.update`` alone. Results are the same, bit for bit.
"""

import math

import numpy as np

from twins.arrays import F8, I8, U1, U2
from twins.bank.layout import (
    A_ABOVE,
    A_BELOW,
    A_FAST,
    A_HIGH,
    A_LOW,
    A_MEAN,
    A_QUANTUM,
    A_R,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    A_TREND_S,
    COUNT,
    INNOVATION,
    LAST,
    M0,
    M1,
    P00,
    P01,
    P11,
    QUALITY,
    R_SCALE,
    REJECTS,
    STATE_WIDTH,
    TREND,
    VALUE,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.compiled.prefetch import AHEAD, prefetch
from twins.compiled.transpose import LANES, WIDE, columns_of, distinct, rows_of
from twins.models.channel import filter as channel

__all__ = ["SCRATCH", "update_rows"]


INVALID = 9
# The scratch has columns of the state, of the first 16 parameters, and whether a lane is of the usual kind. It is one
# array with fixed places, so the compiler sees that no two columns overlap.
_PARAMETERS = LANES * STATE_WIDTH
_USUAL = _PARAMETERS + LANES * 16
SCRATCH = _USUAL + LANES
_M0, _M1, _P00, _P01, _P11, _T = (LANES * field for field in (M0, M1, P00, P01, P11, T))
_SCALE, _Z, _COUNT, _REJECTS = (LANES * field for field in (R_SCALE, INNOVATION, COUNT, REJECTS))
_QUALITY, _VALUE, _LAST, _TREND = (LANES * field for field in (QUALITY, VALUE, LAST, TREND))
_LOW, _HIGH, _BELOW, _ABOVE = (_PARAMETERS + LANES * field for field in (A_LOW, A_HIGH, A_BELOW, A_ABOVE))
_MEAN, _S11, _S12, _S22 = (_PARAMETERS + LANES * field for field in (A_MEAN, A_S11, A_S12, A_S22))
_R, _QUANTUM, _FAST, _SLOW, _WINDOW = (
    _PARAMETERS + LANES * field for field in (A_R, A_QUANTUM, A_FAST, A_SLOW, A_TREND_S)
)


@kernel(forceinline=True)
def _move(lanes: F8, time: I8, value: F8) -> int:
    """Update every lane with its reading as if all were of the usual kind; returns how many were, and marks them."""
    count = 0
    for j in range(LANES):
        t, y = float(time[j]), value[j]
        before, scale = lanes[_M0 + j], lanes[_SCALE + j]
        counted, quality = lanes[_COUNT + j] + 1.0, lanes[_QUALITY + j]
        dt = (t - lanes[_T + j]) * 1e-6
        x1, x2 = lanes[_FAST + j] * dt, lanes[_SLOW + j] * dt
        m0, m1, p00, p01, p11 = channel.moved(
            before, lanes[_M1 + j], lanes[_P00 + j], lanes[_P01 + j], lanes[_P11 + j], lanes[_MEAN + j],
            lanes[_S11 + j], lanes[_S12 + j], lanes[_S22 + j], channel.series_of(x1), channel.series_of(x2),
        )  # fmt: skip
        r = lanes[_R + j] * scale + lanes[_QUANTUM + j]
        innovation = y - m0
        share = 1.0 / (p00 + r)
        nis = innovation * innovation * share
        z = innovation * math.sqrt(share)
        wider = channel.adapted(scale, nis, z, lanes[_Z + j])
        scale = wider if counted > channel.ADAPT_AFTER else scale
        level, m1, p00, p01, p11 = channel.corrected(m0, m1, p00, p01, p11, innovation, share, r, 0.0)
        window = lanes[_WINDOW + j]
        usual = (
            (t > lanes[_LAST + j]) & (counted > 1.0) & (x1 < channel.SERIES) & (x2 < channel.SERIES)
            & (y >= lanes[_LOW + j]) & (y <= lanes[_HIGH + j]) & (y >= lanes[_BELOW + j]) & (y <= lanes[_ABOVE + j])
            & (abs(y) < np.inf) & (not nis > channel.GATE) & (not scale > channel.R_MOST)
        )  # fmt: skip
        lanes[_TREND + j] = (level - before + window * lanes[_TREND + j]) / (window + dt)
        lanes[_M0 + j] = level
        lanes[_M1 + j] = m1
        lanes[_P00 + j] = p00
        lanes[_P01 + j] = p01
        lanes[_P11 + j] = p11
        lanes[_T + j] = t
        lanes[_SCALE + j] = scale
        lanes[_Z + j] = z
        lanes[_COUNT + j] = counted
        lanes[_REJECTS + j] = 0.0
        lanes[_QUALITY + j] = quality + channel.GRADE * (1.0 - quality)
        lanes[_VALUE + j] = y
        lanes[_LAST + j] = t
        lanes[_USUAL + j] = 1.0 if usual else 0.0
        count += 1 if usual else 0
    return count


@kernel()
def _update_one(state: F8, parameters: F8, row: int, signal: int, time: int, value: float) -> int:
    """Take one reading by the general rules."""
    if not np.isfinite(value):
        return INVALID
    return channel.update(state[row], parameters[signal], float(time), value)


@kernel(forceinline=True)
def _prefetch_rows(state: F8, rows: I8, at: int) -> None:
    """Prefetch the rows of two readings that come later; beyond the end, those of the last reading again.

    Two at a time, between other work: more at once exceed the number of outstanding loads of a core, and it stalls.
    """
    last = len(rows) - 1
    prefetch(state, rows[min(at, last)])
    prefetch(state, rows[min(at + 1, last)])


@kernel()
def _same(signal: U2, k: int, other: int) -> bool:
    """Whether the readings from ``k`` have the same signals as those from ``other``: parameters are loaded already."""
    for j in range(LANES):  # noqa: SIM110 - kernels know no generators
        if signal[k + j] != signal[other + j]:
            return False
    return True


@kernel(forceinline=True)
def _write(state: F8, rows: I8, k: int, ahead: int, usual: int, lanes: F8) -> None:
    """Write all lanes back; a lane that is not of the usual kind keeps its row as it was."""
    if usual < LANES:
        for j in range(LANES):
            if lanes[_USUAL + j] == 0.0:
                for field in range(STATE_WIDTH):
                    lanes[LANES * field + j] = state[rows[k + j], field]
    for at in range(0, LANES, WIDE):
        _prefetch_rows(state, rows, ahead + at // 2)
        rows_of(state, rows, k + at, 0, lanes, at)
        _prefetch_rows(state, rows, ahead + at // 2 + 2)
        rows_of(state, rows, k + at, WIDE, lanes, at + LANES * WIDE)


@kernel()
def update_rows(
    state: F8, parameters: F8, rows: I8, signal: U2, time: I8, value: F8, status: U1, lanes: F8
) -> None:  # fmt: skip
    """Take readings in order of arrival into their rows, with prefetching; ``lanes`` has the length ``SCRATCH``."""
    k = 0
    laid = -1
    while k < len(rows):
        usual = 0
        ahead = k + AHEAD
        if k + 2 * LANES <= len(rows) and distinct(rows, k) and distinct(rows, k + WIDE):
            for at in range(0, LANES, WIDE):
                columns_of(state, rows, k + at, 0, lanes, at)
                _prefetch_rows(state, rows, ahead + at // 2)
                columns_of(state, rows, k + at, WIDE, lanes, at + LANES * WIDE)
                _prefetch_rows(state, rows, ahead + at // 2 + 2)
            if laid < 0 or not _same(signal, k, laid):
                for at in range(0, LANES, WIDE):
                    columns_of(parameters, signal, k + at, 0, lanes, at + _PARAMETERS)
                    columns_of(parameters, signal, k + at, WIDE, lanes, at + _PARAMETERS + LANES * WIDE)
                laid = k
            usual = _move(lanes, time[k:], value[k:])
        if usual > 0:
            _write(state, rows, k, ahead + LANES // 2, usual, lanes)
            told = status[k:]
            for j in range(LANES):
                told[j] = channel.ACCEPTED
        else:
            for at in range(0, LANES, 2):
                _prefetch_rows(state, rows, ahead + at)
        if usual < LANES:
            for i in range(k, min(k + LANES, len(rows))):
                if usual == 0 or lanes[_USUAL + i - k] == 0.0:
                    status[i] = _update_one(state, parameters, rows[i], signal[i], time[i], value[i])
        k += LANES
