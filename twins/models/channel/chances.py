"""The chance of a reading beyond a limit that a channel states, from its forecast and from what became of earlier ones.

Where readings come often, the chance is that of a reading beyond the limit within ``PREDICT_WITHIN_S``. Its raw form is
the mean, over moments of that time, of the probability that a reading then is beyond the limit: the expected share of
the time. The probability that the level crosses the limit (``passage``) had less skill on recorded patients: it counts
every excursion between two readings.
Where readings are sparse (``is_sparse``), the chance is that the next reading is beyond the limit, at the usual distance
of readings. The bands are stretched for the patient; these probabilities are not.

A raw chance is then recalibrated: stated = σ(slope · logit(raw) + offset + the patient's own offset). Slope and offset
are fitted to recorded patients (``recalibration``); the last is learnt online from what became of statements.
"""

import math

from twins.arrays import F4, F8, I8, U1, U2
from twins.bank.layout import (
    A_CHANCES,
    A_HIGH,
    A_LOW,
    A_MEAN,
    A_QUANTUM,
    A_R,
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
    R_SCALE,
    RING,
    VALUE,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.forecast import ahead, below

__all__ = [
    "FEWEST", "FLOOR", "NEXT_READING", "WITHIN", "chances", "is_sparse", "may_state", "most_beyond", "raw_chance", "raw_of",
    "stated_of",
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
MOMENTS_S = (600.0, 1800.0)
"""Moments of the half hour at which a reading is considered."""


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


@kernel()
def beyond_at(state: F8, parameter: F8, horizon_s: float, limit: float, side: float) -> float:
    """The probability that a reading ``horizon_s`` after the newest one is beyond the limit."""
    mean, _, variance = ahead(state, parameter, horizon_s)
    return below(side * mean, side * limit, math.sqrt(variance))


@kernel(forceinline=True)
def most_beyond(state: F8, parameter: F8, limit: float, side: float) -> float:
    """An upper bound of ``beyond_at`` for all times within ``PREDICT_WITHIN_S``, without exponentials of them.

    The mean of each mode only approaches zero and the spread only grows. So the nearer end of each mode and the last
    spread give a bound for all times between, while the level is on the safe side of the limit; else the bound is 1.
    """
    stay_fast, stay_slow = parameter[A_STAY_FAST], parameter[A_STAY_SLOW]
    fast = side * (state[M0] - parameter[A_MEAN] - state[M1])
    slow = side * state[M1]
    distance = side * (limit - parameter[A_MEAN]) - max(fast, stay_fast * fast) - max(slow, stay_slow * slow)
    if distance <= 0.0:
        return 1.0
    lean = stay_slow - stay_fast
    variance = stay_fast * stay_fast * state[P00] + 2.0 * stay_fast * lean * state[P01] + lean * lean * state[P11]
    variance += parameter[A_SPREAD_FAST] + 2.0 * parameter[A_SPREAD_BOTH] + parameter[A_SPREAD_SLOW]
    return below(0.0, distance, math.sqrt(variance + parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM]))


@kernel()
def raw_chance(state: F8, parameter: F8, watch: F8, limit: float, side: float, kind: int) -> float:
    """The raw chance of ``kind``, at least ``FLOOR``."""
    if kind == NEXT_READING:
        return max(beyond_at(state, parameter, watch[INTERVAL], limit, side), FLOOR)
    if most_beyond(state, parameter, limit, side) < FLOOR:
        return FLOOR
    total = 0.0
    for moment in range(len(MOMENTS_S)):
        total += beyond_at(state, parameter, MOMENTS_S[moment], limit, side)
    return max(total / len(MOMENTS_S), FLOOR)


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
    raw: F8, stated: F8, kind: U1,
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
            chance = raw_chance(own, parameter, watch[row], bound, toward, kind[i])
            raw[i, side] = chance
            stated[i, side] = stated_of(chance, parameter, kind[i], side, offsets[row, side, 0])
