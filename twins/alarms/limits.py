"""The limit conditions of one channel: hysteresis, graded delay, clear worsening, and senders that contradict each other."""

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
    CLEAR,
    CONTRADICTED,
    COUNTED,
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
    INTERVAL,
    LAG,
    LAST,
    LOW,
    LOW_VALUE,
    M0,
    ON,
    PASSED_LOW,
    PENDING,
    RECEIVED,
    RECENT_LEAST_US,
    RECENT_MOST_US,
    SILENCE,
    VALUE,
    WAITED,
    WORSENS,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import DENSE_S, GATED

CLEAR_US = 3e6
"""If readings pass a critical limit and do not in turn, the limit must not be passed for this long before the condition
ends. When two senders contradict each other, the normal one does not silence the other …
"""
CONTRADICTED_US = 10e6
"""… for this long after the last contradiction."""
STEEP, DEEPEST = 2.0, 3.0
"""How much faster a delay passes for a value at the critical limit than just beyond the limit, in multiples; and the depth,
in distances from the limit to the critical one, from which it passes no faster. Fitted on recordings, see docs/alarms.md.
"""


SELDOM_S, SHORT_US = 45.0, 30e6
"""Where readings usually come less often than the first, a delay up to the second waits for no reading: there is none."""


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
def _critical_follows(condition: int, state: F8, limit: F8, phase: U1) -> bool:
    """Whether the critical limit is passed too and its alarm is about to begin: one alarm, not two within seconds."""
    critical = CRITICAL_LOW if condition == LOW else CRITICAL_HIGH
    return _left_to_critical(condition, state, limit) and phase[critical] != ON


@kernel(forceinline=True)
def recent_us(limit: F8) -> float:
    """How old a channel's newest reading may be on arrival and still describe the patient's present state."""
    return float(min(max(limit[SILENCE], RECENT_LEAST_US), RECENT_MOST_US))


@kernel(forceinline=True)
def _speed(condition: int, x: float, parameter: F8, limit: F8) -> float:
    """How fast the delay of a low or high limit passes while the value is ``x``: the deeper beyond it, the faster."""
    low_side = condition == LOW
    distance = limit[LOW] - limit[CRITICAL_LOW] if low_side else limit[CRITICAL_HIGH] - limit[HIGH]
    if not distance > 0.0:
        distance = parameter[A_WORSE_LOW] if low_side else parameter[A_WORSE_HIGH]
    depth = (limit[LOW] - x if low_side else x - limit[HIGH]) / distance if distance > 0.0 else 0.0
    return 1.0 + STEEP * min(max(depth, 0.0), DEEPEST)


@kernel(forceinline=True)
def _turn_graded(
    phase: U1, since: I8, mark: F8, condition: int, true: int, clear: int, time: float, speed: float, delay_us: float,
    clear_us: float,
) -> int:  # fmt: skip
    """Update a low or high limit; +1 when it goes on, −1 when it ends, else 0.

    ``delay_us`` passes at ``speed``: the longer and the deeper the limit is passed, the sooner the alarm.
    """
    now = int(time)
    if phase[condition] == ON:
        if not clear:
            since[condition] = abs(since[condition])
            return 0
        if since[condition] >= 0:
            since[condition] = -now
        if now + since[condition] >= clear_us:
            phase[condition] = IDLE
            since[condition] = now
            return -1
        return 0
    if not true:
        phase[condition] = IDLE
        return 0
    if phase[condition] == IDLE:
        phase[condition] = PENDING
        since[condition] = now
        mark[condition, WAITED] = 0.0
    else:
        waited = mark[condition, WAITED]
        waited = 0.0 if math.isnan(waited) else max(waited, 0.0)
        mark[condition, WAITED] = waited + (time - mark[condition, COUNTED]) * speed
    mark[condition, COUNTED] = time
    if mark[condition, WAITED] >= delay_us:
        phase[condition] = ON
        return 1
    return 0


@kernel(forceinline=True)
def _judge_plain(
    row: int, condition: int, status: int, t: float, x: float, delay: float, parameter: F8, state: F8, watch: F8, ring: F8,
    limit: F8, judged: F8, mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Judge the low or the high limit by ``x``; returns the new event count.

    A reading that does not fit the course is no evidence where readings are dense: others follow at once. Where they are
    sparse it counts, but another must confirm it.
    """
    gated = status == GATED
    if gated and watch[INTERVAL] <= DENSE_S:
        return n
    bound, margin = limit[condition], limit[HYSTERESIS]
    low_side = condition == LOW
    # A missing limit is NaN. A comparison with it is never true, and it clears a condition that an earlier limit began.
    true = x < bound if low_side else x > bound
    clear = not gated and not (x < bound + margin if low_side else x > bound - margin)
    first = phase[condition] == IDLE
    if first and gated and true:
        phase[condition] = PENDING
        since[condition] = int(t)
        mark[condition, WAITED], mark[condition, COUNTED] = -1.0, t
        return n
    if gated and not true:
        return n
    clear_us = 0.0 if math.isnan(bound) else judged[row, CLEAR]
    if phase[condition] != ON and _critical_follows(condition, state, limit, phase):
        delay = math.inf
    turned = _turn_graded(
        phase, since, mark, condition, true, clear, t, _speed(condition, x, parameter, limit), delay, clear_us
    )
    if turned != 0:
        n = note(events, n, row, condition, BEGINS if turned > 0 else ENDS, t, bound, state, watch, ring)
        mark_from(mark, condition, state[M0], parameter)
    elif phase[condition] == ON and not gated:
        if _left_to_critical(condition, state, limit) or not worsens(
            mark, condition, state[M0], parameter, t, limit[DELAY]
        ):
            return n
        n = note(events, n, row, condition, WORSENS, t, bound, state, watch, ring)
    return n


@kernel(forceinline=True)
def judge_limits(
    row: int, status: int, t: float, received: float, value: float, fresh: int, newest: int, parameter: F8, state: F8,
    watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Judge the limits after a plausible reading that arrived at the channel's time ``t``; returns the new event count.

    Every reading counts as observed, so that no filter delays an alarm. A reading that is not ``fresh`` starts no condition
    before ``GRACE_US`` have passed. A reading that is not the channel's ``newest`` ends no critical alarm, and for the low
    and high limit the estimate, which contains it, counts.
    """
    x = value if newest else state[M0]
    passed_none = not (value < limit[CRITICAL_LOW] or value > limit[CRITICAL_HIGH])
    passed_none = passed_none and not (x < limit[LOW] or x > limit[HIGH])
    if passed_none and phase[CRITICAL_LOW] | phase[LOW] | phase[HIGH] | phase[CRITICAL_HIGH] == IDLE:
        return n  # the usual case
    margin = limit[HYSTERESIS]
    for condition in range(4):
        bound = limit[condition]
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        low_side = condition in (CRITICAL_LOW, LOW)
        before = phase[condition]
        delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
        if before == IDLE and (value < bound if low_side else value > bound):
            judged[row, ARRIVED] = received
        if watch[INTERVAL] > SELDOM_S and delay <= SHORT_US:
            delay = 0.0
        if not fresh and received - judged[row, ARRIVED] < GRACE_US:
            delay = math.inf
        if not critical:
            n = _judge_plain(
                row,
                condition,
                status,
                t,
                x,
                delay,
                parameter,
                state,
                watch,
                ring,
                limit,
                judged,
                mark,
                phase,
                since,
                events,
                n,
            )
            continue
        # A missing limit is NaN. A comparison with it is never true, and it clears a condition that an earlier limit
        # began.
        true = value < bound if low_side else value > bound
        clear = not (value < bound + margin) if low_side else not (value > bound - margin)
        if true or before != IDLE:
            side = 0 if low_side else 1
            passed, contradicted = judged[row, PASSED_LOW + side], judged[row, CONTRADICTED]
            if true:
                if (before == IDLE and t - passed < CLEAR_US) or t - contradicted < CONTRADICTED_US:
                    judged[row, CONTRADICTED] = t
                judged[row, PASSED_LOW + side] = t
                judged[row, LOW_VALUE + side] = value
            elif not newest or (t - passed < CLEAR_US and t - contradicted < CONTRADICTED_US):
                continue
        turned = turn(phase, since, condition, true, clear, t, delay)
        if turned != 0:
            n = note(events, n, row, condition, BEGINS if turned > 0 else ENDS, t, bound, state, watch, ring)
            mark_from(mark, condition, value, parameter)
        elif phase[condition] == ON and worsens(mark, condition, value, parameter, t, delay):
            n = note(events, n, row, condition, WORSENS, t, bound, state, watch, ring)
        else:
            continue
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
    if critical:
        begins = state[LAST] - since[condition] + quiet >= limit[CRITICAL_DELAY]
    else:
        waited, unseen = mark[condition, WAITED], state[LAST] - mark[condition, COUNTED] + quiet
        begins = waited >= 0.0 and not _critical_follows(condition, state, limit, phase)
        begins = begins and (waited + unseen * _speed(condition, state[VALUE], parameter, limit) >= limit[DELAY])
    if begins:
        phase[condition] = ON
        n = note(events, n, row, condition, BEGINS, now, limit[condition], state, watch, ring)
        mark_from(mark, condition, judged[row, LOW_VALUE + side] if critical else state[M0], parameter)
        if critical:
            events[n - 1, E_VALUE] = judged[row, LOW_VALUE + side]
    return n


@kernel()
def end_cleared(
    row: int, condition: int, now: float, quiet: float, state: F8, watch: F8, ring: F8, limit: F8, judged: F8, phase: U1,
    since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """End a low or high limit's condition that has been clear for long enough, ``quiet`` µs after the newest reading."""
    if since[condition] < 0 and state[LAST] + since[condition] + quiet >= judged[row, CLEAR]:
        phase[condition] = IDLE
        since[condition] = int(now)
        n = note(events, n, row, condition, ENDS, now, limit[condition], state, watch, ring)
    return n
