"""The limit conditions of one channel: hysteresis, delay, clear worsening, and senders that contradict each other."""

import math

from twins.alarms.phases import note, turn
from twins.arrays import F8, I8, U1
from twins.bank.layout import (
    A_WORSE_HIGH,
    A_WORSE_LOW,
    ARRIVED,
    BEGINS,
    BEYOND,
    BEYOND_SINCE,
    CONTRADICTED,
    CRITICAL_DELAY,
    CRITICAL_HIGH,
    CRITICAL_LOW,
    DELAY,
    E_VALUE,
    ENDS,
    FRESH_US,
    GRACE_US,
    HIGH,
    HYSTERESIS,
    IDLE,
    LAG,
    LAST,
    LOW,
    LOW_VALUE,
    M0,
    ON,
    PASSED_LOW,
    RECEIVED,
    RECENT_LEAST_US,
    RECENT_MOST_US,
    SILENCE,
    VALUE,
    WORSENS,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import GATED

CLEAR_US = 3e6
"""If readings pass a critical limit and do not in turn, the limit must not be passed for this long before the condition
ends. When two senders contradict each other, the normal one does not silence the other …
"""
CONTRADICTED_US = 10e6
"""… for this long after the last contradiction."""


@kernel()
def mark_from(mark: F8, condition: int, x: float, parameter: F8) -> None:
    """Set how far beyond value ``x`` a limit's condition counts as clearly worse."""
    low_side = condition in (CRITICAL_LOW, LOW)
    mark[condition, BEYOND] = x - parameter[A_WORSE_LOW] if low_side else x + parameter[A_WORSE_HIGH]
    mark[condition, BEYOND_SINCE] = 0.0


@kernel()
def worsens(mark: F8, condition: int, x: float, parameter: F8, time: float, delay_us: float) -> bool:
    """Whether a limit's condition that is on is clearly worse, for long enough; the next step then counts from ``x``."""
    beyond = mark[condition, BEYOND]
    if math.isnan(beyond):
        mark_from(mark, condition, x, parameter)
        return False
    low_side = condition in (CRITICAL_LOW, LOW)
    if not (x <= beyond if low_side else x >= beyond):
        mark[condition, BEYOND_SINCE] = 0.0
        return False
    if mark[condition, BEYOND_SINCE] == 0.0:
        mark[condition, BEYOND_SINCE] = time
    if time - mark[condition, BEYOND_SINCE] < delay_us:
        return False
    mark_from(mark, condition, x, parameter)
    return True


@kernel(forceinline=True)
def _left_to_critical(condition: int, state: F8, limit: F8) -> bool:
    """Whether the critical condition already covers what a low or high condition has become."""
    if condition == LOW:
        return bool(state[VALUE] < limit[CRITICAL_LOW])
    return bool(condition == HIGH and state[VALUE] > limit[CRITICAL_HIGH])


@kernel(forceinline=True)
def recent_us(limit: F8) -> float:
    """How old a channel's newest reading may be on arrival and still describe the patient's present state."""
    return float(min(max(limit[SILENCE], RECENT_LEAST_US), RECENT_MOST_US))


@kernel(forceinline=True)
def judge_limits(
    row: int, status: int, t: float, received: float, value: float, fresh: int, newest: int, parameter: F8, state: F8,
    watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Judge the limits after a plausible reading that arrived at the channel's time ``t``; returns the new event count.

    Critical limits use every reading as observed, so that no filter delays them. The other limits use the filtered
    value. A reading that is not ``fresh`` starts no condition before ``GRACE_US`` have passed. A reading that is not
    the channel's ``newest`` ends no critical alarm.
    """
    level = state[M0]
    passed_none = not (value < limit[CRITICAL_LOW] or value > limit[CRITICAL_HIGH])
    passed_none = passed_none and (status == GATED or not (level < limit[LOW] or level > limit[HIGH]))
    if passed_none and phase[CRITICAL_LOW] | phase[LOW] | phase[HIGH] | phase[CRITICAL_HIGH] == IDLE:
        return n  # the usual case
    margin = limit[HYSTERESIS]
    for condition in range(4):
        bound = limit[condition]
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        if not critical and status == GATED:
            continue
        x = value if critical else state[M0]
        low_side = condition in (CRITICAL_LOW, LOW)
        # A missing limit is NaN. A comparison with it is never true, and it clears a condition that an earlier limit
        # began.
        true = x < bound if low_side else x > bound
        clear = not (x < bound + margin) if low_side else not (x > bound - margin)
        before = phase[condition]
        if critical and (true or before != IDLE):
            side = 0 if low_side else 1
            passed, contradicted = judged[row, PASSED_LOW + side], judged[row, CONTRADICTED]
            if true:
                if (before == IDLE and t - passed < CLEAR_US) or t - contradicted < CONTRADICTED_US:
                    judged[row, CONTRADICTED] = t
                judged[row, PASSED_LOW + side] = t
                judged[row, LOW_VALUE + side] = value
            elif not newest or (t - passed < CLEAR_US and t - contradicted < CONTRADICTED_US):
                continue
        delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
        if true and before == IDLE:
            judged[row, ARRIVED] = received
        if not fresh and received - judged[row, ARRIVED] < GRACE_US:
            delay = math.inf
        turned = turn(phase, since, condition, true, clear, t, delay)
        if turned != 0:
            n = note(events, n, row, condition, BEGINS if turned > 0 else ENDS, t, bound, state, watch, ring)
            mark_from(mark, condition, x, parameter)
        elif phase[condition] == ON:
            told_there = _left_to_critical(condition, state, limit)
            if told_there or not worsens(mark, condition, x, parameter, t, delay):
                continue
            n = note(events, n, row, condition, WORSENS, t, bound, state, watch, ring)
        else:
            continue
        if critical:
            events[n - 1, E_VALUE] = value
    return n


@kernel()
def begin_pending(
    row: int, condition: int, now: float, quiet: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8,
    mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Begin a pending limit condition if its delay has ended since the newest reading."""
    critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
    side = 0 if condition == CRITICAL_LOW else 1
    if critical and judged[row, PASSED_LOW + side] < state[LAST]:
        return n
    stale = watch[RECEIVED] - state[LAST] - judged[row, LAG] > FRESH_US
    if stale and now - judged[row, ARRIVED] < GRACE_US:
        return n
    delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
    if state[LAST] - since[condition] + quiet >= delay:
        phase[condition] = ON
        n = note(events, n, row, condition, BEGINS, now, limit[condition], state, watch, ring)
        mark_from(mark, condition, judged[row, LOW_VALUE + side] if critical else state[M0], parameter)
        if critical:
            events[n - 1, E_VALUE] = judged[row, LOW_VALUE + side]
    return n
