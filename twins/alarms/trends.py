"""Conditions of one channel besides its limits: a rate of change beyond its limit, and a signal of low quality.

The rate is the trend of the estimate, over the signal's window of trends. A condition begins when it was true for its
wait, in the channel's time, and ends when it was clearly false for as long. While the sensor is faulty, silent or
searching, nothing is known about the rate: the wait starts again, and an alarm stays.
"""

import math

from twins.alarms.phases import note
from twins.arrays import F4, F8, I8, U1, U4
from twins.bank.layout import (
    BEGINS,
    COUNT,
    DELAY,
    E_EXPECTED,
    E_EXTRA,
    ENDS,
    FAULT,
    IDLE,
    INTERVAL,
    LAST,
    ON,
    QUALITY,
    RATE_FALLING,
    RATE_LIMITS,
    REJECTS,
    SILENT,
    TREND,
)  # fmt: skip
from twins.compiled.jit import kernel

__all__ = ["KINDS", "judge"]

KINDS = RATE_LIMITS
"""Falling, rising, low quality: their places among the limits, the times and the phases of ``rate``."""
_LOW_QUALITY = 2
BACK = 0.7
"""A rate ends when it is within this share of its limit."""
LEAST_HOLD_S = 10.0
"""A trend of a noisy signal changes within seconds."""
QUALITY_HOLD_S, QUALITY_BACK = 60.0, 0.2
"""Quality is low after this time, and good again when it is so much above the limit for as long."""
DENSE_S = 60.0
"""Where readings are rarer, one odd reading would count for too long: quality is not judged there."""


@kernel(forceinline=True)
def _turn(since: U4, phase: U1, kind: int, now: int, true: bool, clear: bool, hold_s: float) -> int:  # noqa: FBT001 - truths
    """Move one condition at ``now`` (s): 1 begins, -1 ends, else 0."""
    on = phase[kind] == ON
    if not (clear if on else true):
        since[kind] = 0
        return 0
    if since[kind] == 0 or since[kind] > now:
        since[kind] = now
    if now - since[kind] < hold_s:
        return 0
    since[kind] = 0
    phase[kind] = IDLE if on else ON
    return -1 if on else 1


@kernel()
def judge(
    begin: int, rows: I8, rate: F4, rate_since: U4, rate_phase: U1, state: F8, watch: F8, ring: F8, limit: F8, phase: U1,
    events: F8, counts: I8,
) -> int:  # fmt: skip
    """Judge ``rows`` that have new readings, from place ``begin``; pauses and counts as ``walk.frame`` does.

    An event has the value that was judged (rate per s, or quality) in ``E_EXTRA`` and its limit in ``E_EXPECTED``.
    """
    n = 0
    k = begin
    while k < len(rows):
        if n + KINDS > len(events):
            break
        row = rows[k]
        k += 1
        own, of_state, since, on = rate[row], state[row], rate_since[row], rate_phase[row]
        fine = not of_state[QUALITY] < own[_LOW_QUALITY] and since[_LOW_QUALITY] == 0
        if fine and not own[0] > 0.0 and not own[1] > 0.0 and (on[0] | on[1] | on[2]) == 0:
            continue  # the usual case
        t = of_state[LAST]
        now = int(t * 1e-6)
        unknown = phase[row, FAULT] == ON or phase[row, SILENT] == ON or of_state[COUNT] == 0.0
        for kind in range(KINDS):
            bound = float(own[kind]) if own[kind] > 0.0 else math.nan
            if kind == _LOW_QUALITY:
                x = of_state[QUALITY]
                judged = phase[row, FAULT] != ON and watch[row, INTERVAL] <= DENSE_S
                # A faulty sensor has its own alarm, which says more.
                true, clear = judged and x < bound, not judged or not x < bound + QUALITY_BACK
                hold = QUALITY_HOLD_S if judged else 0.0
            else:
                x = -of_state[TREND] if kind == 0 else of_state[TREND]
                if (unknown or of_state[REJECTS] != 0.0) and not math.isnan(bound):
                    since[kind] = 0
                    continue
                true, clear, hold = x > bound, not x > BACK * bound, max(limit[row, DELAY] * 1e-6, LEAST_HOLD_S)
                if math.isnan(bound):
                    hold = 0.0
            turned = _turn(since, on, kind, now, true, clear, hold)
            if turned != 0:
                n = note(
                    events, n, row, RATE_FALLING + kind, BEGINS if turned > 0 else ENDS, t, bound, of_state, watch[row], ring[row]
                )  # fmt: skip
                events[n - 1, E_EXTRA], events[n - 1, E_EXPECTED] = x, bound
    counts[0] = n
    return k
