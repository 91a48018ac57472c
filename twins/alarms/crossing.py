"""Predicted crossings of a channel's limits: when the forecast alone is an alarm condition."""

import math

from twins.alarms.phases import note, turn
from twins.arrays import F4, F8, I8, U1
from twins.bank.layout import (
    A_FAST,
    A_MEAN,
    A_PREDICTIVE,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    A_SPREAD_BOTH,
    A_SPREAD_FAST,
    A_SPREAD_SLOW,
    A_STAY_FAST,
    A_STAY_SLOW,
    COUNT,
    E_EXPECTED,
    E_EXTRA,
    FAULT,
    HIGH,
    INTERVAL,
    LAST,
    LOW,
    M0,
    M1,
    ON,
    P00,
    P01,
    P11,
    PREDICT_WITHIN_S,
    PREDICTED,
    PREDICTED_HIGH,
    PREDICTED_LOW,
    RUN,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel import passage
from twins.models.channel.forecast import stretch_at

__all__ = ["awaited", "predicted"]


PREDICT_ON, PREDICT_OFF = 0.5, 0.3
PREDICT_EVERY_US = 5e6
_NODES = (-2.85697001387280, -1.35562617997427, 0.0, 1.35562617997427, 2.85697001387280)
_WEIGHTS = (0.0112574113277207, 0.222075922005613, 0.533333333333333, 0.222075922005613, 0.0112574113277207)
"""Gauss-Hermite nodes and weights for a standard normal variable."""
_ROOT_2PI = math.sqrt(2.0 * math.pi)
FAR = 4.0
"""If the level stays more than this many spreads away from a limit, no crossing is considered: its probability is at
most 0.00006.
"""
PREDICT_AFTER = 6.0
"""Measurements that a channel needs before its forecast may raise an alarm."""


@kernel(forceinline=True)
def _nearest_distance(state: F8, parameter: F8, limit: float, side: float, stretch: float) -> float:
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
    return float(distance / (stretch * math.sqrt(variance)))


@kernel()
def _unlikely(state: F8, parameter: F8, limit: float, side: float, stretch: float, matters: float) -> bool:
    """Whether a crossing within ``PREDICT_WITHIN_S`` is so much less likely than ``matters`` that no paths are needed.

    For uncoupled modes when the level is not near the limit. The slow mode takes the values of five Gauss-Hermite
    nodes. The fast mode hits the limit, z of its spreads away, at the rate λ z φ(z) of a stationary Ornstein-Uhlenbeck
    process at a high level (Leadbetter, Lindgren & Rootzén 1983, chapter 12). Twice this probability must stay below
    ``matters``.
    """
    fast_sd = stretch * math.sqrt(parameter[A_S11])
    if parameter[A_S12] != 0.0 or side * (limit - state[M0]) < 2.0 * fast_sd:
        return False
    slow = side * state[M1]
    stay = parameter[A_STAY_SLOW]
    apart = side * (limit - parameter[A_MEAN]) - max(slow, stay * slow)
    slow_sd = stretch * math.sqrt(stay * stay * state[P11] + parameter[A_SPREAD_SLOW])
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
def _crossing(
    state: F8, parameter: F8, limit: float, side: float, stretch: float, on: int, scratch: F4
) -> tuple[float, float]:  # fmt: skip
    """The probability that the level crosses within ``PREDICT_WITHIN_S``, and the expected time to it (s).

    The calibration of the bands stretches the process: its covariances are multiplied by that factor. If the bounds
    already decide, no paths are drawn: the upper bound is returned, or 0 far from the limit.
    """
    if math.isnan(limit) or _nearest_distance(state, parameter, limit, side, stretch) > FAR:
        return 0.0, math.nan
    matters = PREDICT_OFF if on != 0 else PREDICT_ON
    if _unlikely(state, parameter, limit, side, stretch, matters):
        return 0.0, math.nan
    c = stretch * stretch
    p00, p01, p11 = c * state[P00], c * state[P01], c * state[P11]
    s11, s12, s22 = c * parameter[A_S11], c * parameter[A_S12], c * parameter[A_S22]
    _, most = passage.screen(
        state[M0], state[M1], p00, p01, p11, parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW], s11, s12, s22, limit,
        side, PREDICT_WITHIN_S,
    )  # fmt: skip
    if most < matters:
        return most, math.nan
    return passage.crossing(
        state[M0], state[M1], p00, p01, p11, parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW], s11, s12, s22, limit,
        side, PREDICT_WITHIN_S, scratch,
    )  # fmt: skip


@kernel(forceinline=True)
def awaited(state: F8, parameter: F8, watch: F8) -> bool:
    """Whether the channel's crossing may be predicted now and has not been computed recently."""
    if parameter[A_PREDICTIVE] == 0.0 or state[COUNT] < PREDICT_AFTER:
        return False
    if state[LAST] > state[T] and watch[RUN] > 0.0:
        return False  # the newest reading repeats the one before, so it confirms nothing
    return not state[LAST] - watch[PREDICTED] < PREDICT_EVERY_US


@kernel(forceinline=True)
def predicted(
    row: int, state: F8, parameter: F8, stretch: F4, watch: F8, ring: F8, limit: F8, phase: U1, since: I8, scratch: F4,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Predicted crossings of the low and high limit within half an hour, for ``awaited`` rows; returns the event count.

    Uses the first-passage probability of the level: on above ``PREDICT_ON``, off below ``PREDICT_OFF`` or when the
    limit itself is crossed.
    """
    t = state[LAST]
    watch[PREDICTED] = t
    wide = stretch_at(stretch, PREDICT_WITHIN_S, 0)
    # If readings are sparse, one more reading must agree; if they are dense, they must agree for 20 s.
    delay = 20e6 if watch[INTERVAL] < 10.0 else 1.0
    for which in range(2):
        condition = PREDICTED_LOW if which == 0 else PREDICTED_HIGH
        bound = limit[LOW] if which == 0 else limit[HIGH]
        side = -1.0 if which == 0 else 1.0
        probability = 0.0
        expected = math.nan
        if phase[LOW if which == 0 else HIGH] != ON and phase[FAULT] != ON:
            on = 1 if phase[condition] == ON else 0
            probability, expected = _crossing(state, parameter, bound, side, wide, on, scratch)
        turned = turn(phase, since, condition, probability >= PREDICT_ON, probability < PREDICT_OFF, t, delay)
        if turned != 0:
            n = note(events, n, row, condition, 1.0 if turned > 0 else 0.0, t, bound, state, watch, ring)
            events[n - 1, E_EXTRA] = probability
            events[n - 1, E_EXPECTED] = expected
    return n
