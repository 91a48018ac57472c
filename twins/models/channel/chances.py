"""The chance of a reading beyond a limit that a channel states, from its forecast and from what became of earlier ones.

Where readings come often, the chance is that of a reading beyond the limit within ``PREDICT_WITHIN_S``: first the
probability that the level crosses it (``passage``), on the process as it was fitted, without the stretch of the bands.
Where readings are sparse (``is_sparse``), a crossing between two readings would be seen by nobody. There the chance is
that the next reading is beyond the limit: a normal probability at the usual distance of readings, with their noise.

Such a *raw* chance is then recalibrated: stated = σ(slope · logit(raw) + offset + the patient's own offset). Slope and
offset are fitted to recorded patients (``recalibration``); the last is learnt online from what became of statements.
"""

import math

from twins.arrays import F4, F8, I8, U1, U2
from twins.bank.layout import (
    A_CHANCES,
    A_FAST,
    A_HIGH,
    A_LOW,
    A_MEAN,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    A_SPREAD_BOTH,
    A_SPREAD_FAST,
    A_SPREAD_SLOW,
    A_STAY_FAST,
    A_STAY_SLOW,
    C_OFFSET,
    C_SLOPE,
    CHANCE_WIDTH,
    COUNT,
    FAULT,
    HEAD,
    INTERVAL,
    LOW,
    M0,
    M1,
    ON,
    P00,
    P01,
    P11,
    PREDICT_WITHIN_S,
    RING,
    VALUE,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel import passage
from twins.models.channel.forecast import ahead, below

__all__ = [
    "FEWEST", "FLOOR", "NEXT_READING", "WITHIN", "chances", "is_sparse", "may_state", "nearest_distance", "raw_chance",
    "raw_of", "stated_of",
]  # fmt: skip

WITHIN, NEXT_READING = 0, 1
"""Kinds of chance: a reading beyond the limit within half an hour; the next reading is beyond it."""
SPARSE_S = 600.0
"""Readings farther apart than this are sparse."""
_GAPS, _MOST_OF_GAPS = 5, 3
FEWEST = 6.0
"""Measurements that a channel needs before it states a chance."""
FLOOR = 1e-4
"""A raw chance below this, or as near to 1, counts as this: nothing is learnt from so far out in the tail."""
FAR = 4.0
"""If the level stays more than this many spreads away from a limit, the raw chance is ``FLOOR`` without more ado."""
_NODES = (-2.85697001387280, -1.35562617997427, 0.0, 1.35562617997427, 2.85697001387280)
_WEIGHTS = (0.0112574113277207, 0.222075922005613, 0.533333333333333, 0.222075922005613, 0.0112574113277207)
"""Gauss-Hermite nodes and weights for a standard normal variable."""
_ROOT_2PI = math.sqrt(2.0 * math.pi)


@kernel()
def is_sparse(watch: F8, ring: F8) -> bool:
    """Whether readings are usually farther apart than ``SPARSE_S``, and so were most of the last five gaps.

    The usual interval alone would count a channel as sparse for hours after a single long pause.
    """
    if not watch[INTERVAL] > SPARSE_S:
        return False
    head = int(watch[HEAD])
    count = min(head - 1, _GAPS)
    long = 0
    for back in range(1, count + 1):
        gap = ring[(head - back) % RING, 0] - ring[(head - back - 1) % RING, 0]
        if gap > SPARSE_S * 1e6:
            long += 1
    return 2 * long > count


@kernel(forceinline=True)
def nearest_distance(state: F8, parameter: F8, limit: float, side: float) -> float:
    """The smallest distance of the level from a limit within ``PREDICT_WITHIN_S``, in spreads.

    The mean of each mode only approaches zero and the spread only grows. So the nearer end of each mode and the last
    spread give a bound for all times between.
    """
    stay_fast, stay_slow = parameter[A_STAY_FAST], parameter[A_STAY_SLOW]
    fast = side * (state[M0] - parameter[A_MEAN] - state[M1])
    slow = side * state[M1]
    distance = side * (limit - parameter[A_MEAN]) - max(fast, stay_fast * fast) - max(slow, stay_slow * slow)
    lean = stay_slow - stay_fast
    variance = stay_fast * stay_fast * state[P00] + 2.0 * stay_fast * lean * state[P01] + lean * lean * state[P11]
    variance += parameter[A_SPREAD_FAST] + 2.0 * parameter[A_SPREAD_BOTH] + parameter[A_SPREAD_SLOW]
    return float(distance / math.sqrt(variance))


@kernel()
def _unlikely(state: F8, parameter: F8, limit: float, side: float, matters: float) -> bool:
    """Whether a crossing within ``PREDICT_WITHIN_S`` is so much less likely than ``matters`` that no paths are needed.

    For uncoupled modes when the level is not near the limit. The slow mode takes the values of five Gauss-Hermite
    nodes. The fast mode hits the limit, z of its spreads away, at the rate λ z φ(z) of a stationary Ornstein-Uhlenbeck
    process at a high level (Leadbetter, Lindgren & Rootzén 1983, chapter 12). Twice this probability must stay below
    ``matters``.
    """
    fast_sd = math.sqrt(parameter[A_S11])
    if parameter[A_S12] != 0.0 or side * (limit - state[M0]) < 2.0 * fast_sd:
        return False
    slow = side * state[M1]
    stay = parameter[A_STAY_SLOW]
    apart = side * (limit - parameter[A_MEAN]) - max(slow, stay * slow)
    slow_sd = math.sqrt(stay * stay * state[P11] + parameter[A_SPREAD_SLOW])
    total = 0.0
    for node in range(5):
        z = (apart - _NODES[node] * slow_sd) / fast_sd
        if z < 1.0:
            total += _WEIGHTS[node]
        else:
            rate = parameter[A_FAST] * z * math.exp(-0.5 * z * z) / _ROOT_2PI
            total += _WEIGHTS[node] * (1.0 - math.exp(-rate * PREDICT_WITHIN_S))
    return bool(2.0 * total < matters)


@kernel(forceinline=True)
def raw_within(
    state: F8, parameter: F8, limit: float, side: float, matters: float, scratch: F4
) -> tuple[float, float]:  # fmt: skip
    """The probability that the level crosses within ``PREDICT_WITHIN_S``, and the expected time to it (s).

    If bounds already say that it is below ``matters``, no paths are drawn, and the result is any number below that.
    """
    if nearest_distance(state, parameter, limit, side) > FAR:
        return FLOOR, math.nan
    if _unlikely(state, parameter, limit, side, matters):
        return FLOOR, math.nan
    _, most = passage.screen(
        state[M0], state[M1], state[P00], state[P01], state[P11], parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW],
        parameter[A_S11], parameter[A_S12], parameter[A_S22], limit, side, PREDICT_WITHIN_S,
    )  # fmt: skip
    if most < matters:
        return most, math.nan
    return passage.crossing(
        state[M0], state[M1], state[P00], state[P01], state[P11], parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW],
        parameter[A_S11], parameter[A_S12], parameter[A_S22], limit, side, PREDICT_WITHIN_S, scratch,
    )  # fmt: skip


@kernel()
def raw_next(state: F8, parameter: F8, interval_s: float, limit: float, side: float) -> float:
    """The probability that a reading ``interval_s`` after the newest one is beyond the limit."""
    mean, _, variance = ahead(state, parameter, interval_s)
    if side < 0.0:
        return below(limit, mean, math.sqrt(variance))
    return below(-limit, -mean, math.sqrt(variance))


@kernel(forceinline=True)
def raw_chance(
    state: F8, parameter: F8, watch: F8, limit: float, side: float, kind: int, matters: float, scratch: F4
) -> tuple[float, float]:
    """The raw chance of ``kind`` and the expected time to it (s); below ``matters`` it may be a rough one."""
    if kind == NEXT_READING:
        return raw_next(state, parameter, watch[INTERVAL], limit, side), watch[INTERVAL]
    return raw_within(state, parameter, limit, side, matters, scratch)


@kernel(forceinline=True)
def stated_of(raw: float, parameter: F8, kind: int, side: int, own: float) -> float:
    """The stated chance of a raw one; ``own`` is the patient's own offset."""
    raw = min(max(raw, FLOOR), 1.0 - FLOOR)
    at = A_CHANCES + (2 * kind + side) * CHANCE_WIDTH
    return 1.0 / (
        1.0 + math.exp(-(parameter[at + C_SLOPE] * math.log(raw / (1.0 - raw)) + parameter[at + C_OFFSET] + own))
    )


@kernel(forceinline=True)
def raw_of(stated: float, parameter: F8, kind: int, side: int, own: float) -> float:
    """The raw chance of which a stated one (within 0–1) comes: the inverse of ``stated_of``."""
    at = A_CHANCES + (2 * kind + side) * CHANCE_WIDTH
    logit = math.log(stated / (1.0 - stated))
    return 1.0 / (1.0 + math.exp(-(logit - own - parameter[at + C_OFFSET]) / parameter[at + C_SLOPE]))


@kernel(forceinline=True)
def may_state(state: F8, parameter: F8, phase: U1) -> bool:
    """Whether the channel may state a chance: enough measurements, a plausible newest reading, no faulty sensor."""
    if state[COUNT] < FEWEST or phase[FAULT] == ON:
        return False
    return bool(state[VALUE] >= parameter[A_LOW] and state[VALUE] <= parameter[A_HIGH])


@kernel()
def chances(
    rows: I8, signal_of_row: U2, state: F8, watch: F8, ring: F8, limit: F8, phase: U1, offsets: F4, parameters: F8,
    scratch: F4, raw: F8, stated: F8, kind: U1,
) -> None:  # fmt: skip
    """Write what each row states now: ``raw`` and ``stated`` chance (rows, 2: low and high side) and its ``kind``.

    NaN where nothing is stated: no limit on that side, the newest reading is beyond it or implausible, a faulty sensor,
    or too few measurements.
    """
    for i in range(len(rows)):
        row = rows[i]
        own, parameter = state[row], parameters[signal_of_row[row]]
        raw[i] = math.nan
        stated[i] = math.nan
        kind[i] = NEXT_READING if is_sparse(watch[row], ring[row]) else WITHIN
        if not may_state(own, parameter, phase[row]):
            continue
        for side in range(2):
            bound = limit[row, LOW + side]
            toward = -1.0 if side == 0 else 1.0
            if math.isnan(bound) or toward * (own[VALUE] - bound) > 0.0:
                continue
            chance, _ = raw_chance(own, parameter, watch[row], bound, toward, kind[i], FLOOR, scratch)
            raw[i, side] = chance
            stated[i, side] = stated_of(chance, parameter, kind[i], side, offsets[row, side, 0])
