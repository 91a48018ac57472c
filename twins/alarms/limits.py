"""Truth of the alarm conditions of one channel: hysteresis, delay, sensor fault, flat line, silence.

A condition goes idle → pending (true, waiting out its delay) → on → idle. Changes to and from *on* are written as rows
of ``events``; what becomes of them (latching, acknowledgement) is decided outside the kernels.
"""

import math

from twins.arrays import F8, I8, U1
from twins.bank.layout import (
    A_ABOVE,
    A_BELOW,
    A_FLAT,
    A_HIGH,
    A_LOW,
    A_WORSE_HIGH,
    A_WORSE_LOW,
    ARRIVED,
    BAD_SINCE,
    BEGINS,
    BEYOND,
    BEYOND_SINCE,
    CONDITIONS,
    CONTRADICTED,
    CRITICAL_DELAY,
    CRITICAL_HIGH,
    CRITICAL_LOW,
    DELAY,
    DIRTY,
    E_BEGIN,
    E_CONDITION,
    E_EXPECTED,
    E_EXTRA,
    E_LIMIT,
    E_MEAN,
    E_QUALITY,
    E_RING,
    E_ROW,
    E_SD,
    E_TIME,
    E_TREND,
    E_VALUE,
    ENDS,
    FAULT,
    FLAT,
    FLAT_SINCE,
    FRESH_US,
    GRACE_US,
    HEAD,
    HIGH,
    HYSTERESIS,
    IDLE,
    INTERVAL,
    LAG,
    LAST,
    LOW,
    LOW_VALUE,
    M0,
    MISFIT,
    ON,
    P00,
    PASSED_HIGH,
    PASSED_LOW,
    PENDING,
    QUALITY,
    RECEIVED,
    RECENT_LEAST_US,
    RECENT_MOST_US,
    RING,
    RUN,
    SHOWN,
    SILENCE,
    SILENT,
    TREND,
    UNRELIABLE,
    VALUE,
    WORSENS,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import ACCEPTED, DENSE_S, GATED, GRADE, IMPLAUSIBLE, REACQUIRED

FAULT_RUN = 5
"""Unusable readings in a row that make a sensor fault …"""
FAULT_SPAN_US = 4e6
"""… if they span this long."""
RECOVER_RUN = 3
POOR, GOOD = 0.6, 0.8
"""A sensor is as faulty whose quality falls so low with readings that alternate; it recovers above the second …"""
RECOVER_LONG = 10
"""… or after so many usable readings in a row."""
LEARNT = 16.0
"""Readings before a quality says anything."""
GOOD_SPARSE = 0.8
"""Where readings are sparse one usable reading is enough for a sensor of so good a quality."""
FLAT_RUN = 16
"""So many readings the same are the least that make a flat line, however far apart."""
SILENT_INTERVALS = 4.0
CLEAR_US = 3e6
"""Where readings pass a critical limit and do not in turn, it must not have been passed for so long before the channel is
clear of it: of two senders that contradict each other, the one that says all is well does not silence the other …"""
CONTRADICTED_US = 10e6
"""… for so long after the last such turn."""


@kernel()
def note(
    events: F8, n: int, row: int, condition: int, begin: float, time: float, limit: float, state: F8, watch: F8, ring: F8
) -> int:  # fmt: skip
    """Write one event with the channel as it stands, newest readings included; returns the next free place."""
    event = events[n]
    event[E_ROW] = row
    event[E_CONDITION] = condition
    event[E_BEGIN] = begin
    event[E_TIME] = time
    event[E_VALUE] = state[VALUE]
    event[E_LIMIT] = limit
    event[E_MEAN] = state[M0]
    event[E_SD] = math.sqrt(max(state[P00], 0.0))
    event[E_TREND] = state[TREND]
    event[E_QUALITY] = state[QUALITY]
    event[E_EXTRA] = 0.0
    event[E_EXPECTED] = 0.0
    head = int(watch[HEAD])
    for i in range(SHOWN):
        at = (head + i - SHOWN) % RING
        event[E_RING + 2 * i] = ring[at, 0]
        event[E_RING + 2 * i + 1] = ring[at, 1]
    watch[DIRTY] = 1.0
    return n + 1


@kernel(forceinline=True)
def turn(phase: U1, since: I8, condition: int, true: int, clear: int, time: float, delay_us: float) -> int:
    """Move one condition; +1 when it goes on, −1 when it ends, else 0."""
    now = int(time)
    if phase[condition] == ON:
        if clear:
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
    if now - since[condition] >= delay_us:
        phase[condition] = ON
        return 1
    return 0


@kernel()
def mark_from(mark: F8, condition: int, x: float, parameter: F8) -> None:
    """From value ``x`` on: how far beyond it a limit's condition has clearly worsened."""
    low_side = condition in (CRITICAL_LOW, LOW)
    mark[condition, BEYOND] = x - parameter[A_WORSE_LOW] if low_side else x + parameter[A_WORSE_HIGH]
    mark[condition, BEYOND_SINCE] = 0.0


@kernel()
def worsens(mark: F8, condition: int, x: float, parameter: F8, time: float, delay_us: float) -> bool:
    """Whether a limit's condition that is on has clearly worsened, and for long enough; then the next step counts from ``x``."""
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
    """Whether what a low or high condition has become is the critical one's to tell."""
    if condition == LOW:
        return bool(state[VALUE] < limit[CRITICAL_LOW])
    return bool(condition == HIGH and state[VALUE] > limit[CRITICAL_HIGH])


@kernel(forceinline=True)
def silence_us(watch: F8, limit: F8) -> float:
    """The shortest gap that counts as silence of this channel."""
    return float(max(limit[SILENCE], SILENT_INTERVALS * watch[INTERVAL] * 1e6))


@kernel(forceinline=True)
def _flat_us(t: float, value: float, parameter: F8, watch: F8, ring: F8, limit: F8) -> float:
    """How long the value has not changed, where that is longer than it can be; else 0. The reading stands in the ring.

    Values at the end of the sensor's range do not tell whether they change; neither does a silence.
    """
    head = int(watch[HEAD])
    before = (head - 2) % RING
    same = head > 1 and ring[before, 1] == value and t - ring[before, 0] <= silence_us(watch, limit)
    if not same or value < parameter[A_BELOW] or value > parameter[A_ABOVE]:
        watch[FLAT_SINCE] = t
        return 0.0
    span = t - watch[FLAT_SINCE]
    if span < parameter[A_FLAT] or head < FLAT_RUN or ring[(head - FLAT_RUN) % RING, 0] < watch[FLAT_SINCE]:
        return 0.0
    return float(span)


@kernel()
def implausible(state: F8, parameter: F8) -> bool:
    """Whether the newest reading is none that a patient can have."""
    return bool(state[LAST] > 0.0 and not parameter[A_LOW] <= state[VALUE] <= parameter[A_HIGH])


@kernel()
def _remember(parameter: F8, watch: F8, ring: F8, shown: F8) -> None:
    """Keep the reading before the newest, if it was plausible: the newest is not."""
    before = (int(watch[HEAD]) - 2) % RING
    if watch[HEAD] > 1.0 and parameter[A_LOW] <= ring[before, 1] <= parameter[A_HIGH]:
        shown[0], shown[1] = ring[before, 0], ring[before, 1]


@kernel(forceinline=True)
def _recovered(state: F8, watch: F8) -> bool:
    """Whether a sensor that was faulty has given usable readings for long enough."""
    run, quality = watch[RUN], state[QUALITY]
    if watch[INTERVAL] > DENSE_S:
        return bool(run >= RECOVER_RUN or (run > 0.0 and quality >= GOOD_SPARSE))
    return bool(run >= RECOVER_RUN and (quality >= GOOD or run >= RECOVER_LONG))


@kernel(forceinline=True)
def _fault(
    row: int, status: int, t: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, shown: F8,
    phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Whether the sensor can be believed: runs of unusable readings, many of them among usable ones, and a flat line.

    A flat line takes the sensor's quality as well.
    """
    good = status in (ACCEPTED, REACQUIRED)
    run = watch[RUN]
    if good:
        watch[RUN] = max(run, 0.0) + 1.0
    else:
        if run >= 0.0:
            watch[BAD_SINCE] = t
        watch[RUN] = min(run, 0.0) - 1.0
        watch[FLAT_SINCE] = t
        if status == IMPLAUSIBLE:
            _remember(parameter, watch, ring, shown)
    flat = _flat_us(t, value, parameter, watch, ring, limit) if good else 0.0
    if flat > 0.0:
        # The filter has just graded it 1; together that is a grade of 0.
        state[QUALITY] = max(state[QUALITY] - GRADE, 0.0)
    if phase[FAULT] == ON:
        if flat == 0.0 and good and _recovered(state, watch):
            phase[FAULT] = IDLE
            n = note(events, n, row, FAULT, 0.0, t, 0.0, state, watch, ring)
        return n
    failed = watch[RUN] <= -FAULT_RUN and t - watch[BAD_SINCE] >= FAULT_SPAN_US
    failed |= status == IMPLAUSIBLE and state[QUALITY] < POOR and watch[HEAD] > LEARNT
    if failed or flat > 0.0:
        phase[FAULT] = ON
        since[FAULT] = int(watch[BAD_SINCE] if failed else watch[FLAT_SINCE])
        n = note(events, n, row, FAULT, 1.0, t, 0.0, state, watch, ring)
        events[n - 1, E_EXTRA] = FLAT if not failed else UNRELIABLE if status == IMPLAUSIBLE else MISFIT
        events[n - 1, E_EXPECTED] = flat * 1e-6
    return n


@kernel(forceinline=True)
def recent_us(limit: F8) -> float:
    """How old a channel's newest reading may arrive and still say how the patient is."""
    return float(min(max(limit[SILENCE], RECENT_LEAST_US), RECENT_MOST_US))


@kernel(forceinline=True)
def judge(
    row: int, status: int, t: float, received: float, value: float, fresh: int, newest: int, parameter: F8, state: F8,
    watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """The limits after a plausible reading that arrived at the channel's time ``t``; returns the new event count.

    Critical limits look at every reading as observed, so that no filter delays them; the other limits look at the
    filtered value. What is not ``fresh`` begins nothing before ``GRACE_US`` have passed; what is not the channel's ``newest``
    reading ends no critical alarm.
    """
    level = state[M0]
    passed_none = not (value < limit[CRITICAL_LOW] or value > limit[CRITICAL_HIGH])
    passed_none = passed_none and (status == GATED or not (level < limit[LOW] or level > limit[HIGH]))
    if passed_none and phase[CRITICAL_LOW] | phase[LOW] | phase[HIGH] | phase[CRITICAL_HIGH] == IDLE:
        return n  # as almost always
    margin = limit[HYSTERESIS]
    for condition in range(4):
        bound = limit[condition]
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        if not critical and status == GATED:
            continue
        x = value if critical else state[M0]
        low_side = condition in (CRITICAL_LOW, LOW)
        # A missing limit is NaN: never true, and it clears what an earlier limit began.
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


@kernel(forceinline=True)
def after_reading(
    row: int, status: int, t: float, received: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8,
    judged: F8, mark: F8, shown: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Conditions of one channel after one reading newer than all before; returns the new event count.

    A reading of the past moves nothing here.
    """
    watch[DIRTY] = 1.0
    watch[RECEIVED] = received
    fresh = 1
    if received - t > FRESH_US:
        age = received - t - judged[row, LAG]
        fresh = 1 if age <= FRESH_US else 0
        if age > recent_us(limit):
            watch[FLAT_SINCE] = t
            for condition in range(FAULT):
                if phase[condition] == PENDING:
                    phase[condition] = IDLE
            return n
    if phase[SILENT] == ON:
        phase[SILENT] = IDLE
        n = note(events, n, row, SILENT, 0.0, t, 0.0, state, watch, ring)
    n = _fault(row, status, t, value, parameter, state, watch, ring, limit, shown, phase, since, events, n)
    if status == IMPLAUSIBLE:
        return n
    return judge(
        row, status, t, received, value, fresh, 1, parameter, state, watch, ring, limit, judged, mark, phase, since, events, n
    )  # fmt: skip


@kernel()
def after_late(
    row: int, t: float, received: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8,
    mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """The limits after a reading that is not newer than all before, but was just taken; returns the new event count.

    It says how the patient is if it arrives fresh: the newer ones may be another sender's, whose clock is ahead.
    """
    if received - t - judged[row, LAG] > FRESH_US or not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        return n
    return judge(
        row, ACCEPTED, state[LAST], received, value, 1, 0, parameter, state, watch, ring, limit, judged, mark, phase, since,
        events, n,
    )  # fmt: skip


@kernel()
def anew(
    row: int, now: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8,
    events: F8, n: int,
) -> int:  # fmt: skip
    """The limits after readings were corrected or taken back, by the newest that stands; returns the new event count."""
    head = int(watch[HEAD])
    for back in range(1, min(head, RING) + 1):
        t, value = ring[(head - back) % RING, 0], ring[(head - back) % RING, 1]
        if t == 0.0 or not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
            continue
        age = now - t - judged[row, LAG]
        if age > recent_us(limit):
            break
        judged[row, PASSED_LOW] = judged[row, PASSED_HIGH] = judged[row, CONTRADICTED] = 0.0
        return judge(
            row, ACCEPTED, t, now, value, 1 if age <= FRESH_US else 0, 1, parameter, state, watch, ring, limit, judged, mark,
            phase, since, events, n,
        )  # fmt: skip
    for condition in range(4):
        if phase[condition] == PENDING:
            phase[condition] = IDLE
    return n


@kernel(forceinline=True)
def at_rest(now: float, watch: F8, limit: F8, phase: U1) -> bool:
    """Whether time moves nothing in a channel, as almost always: no other row of it need come from memory."""
    if watch[RECEIVED] == 0.0 or phase[SILENT] == ON:
        return True
    quiet = now - watch[RECEIVED]
    if (
        quiet > silence_us(watch, limit)
        or phase[CRITICAL_LOW] | phase[LOW] | phase[HIGH] | phase[CRITICAL_HIGH] != IDLE
    ):
        return False
    return bool(
        watch[RUN] >= 0.0 or (watch[RUN] == -1.0 and quiet < FAULT_SPAN_US and now - watch[BAD_SINCE] < FRESH_US)
    )


@kernel()
def after_tick(
    row: int, now: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Conditions that time alone moves in a channel not ``at_rest``: silence, and delays that run out between readings."""
    quiet = now - watch[RECEIVED]
    if quiet > silence_us(watch, limit):
        phase[SILENT] = ON
        since[SILENT] = int(state[LAST])
        n = note(events, n, row, SILENT, 1.0, now, 0.0, state, watch, ring)
        events[n - 1, E_EXTRA] = quiet * 1e-6
        for condition in range(CONDITIONS):
            if phase[condition] == PENDING:
                phase[condition] = IDLE
        return n
    return _waits(row, now, quiet, parameter, state, watch, ring, limit, judged, mark, phase, since, events, n)


@kernel()
def _waits(
    row: int, now: float, quiet: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8, mark: F8,
    phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """What waits for time alone in a channel heard ``quiet`` µs ago: an implausible reading, or limits that are passed."""
    if watch[RUN] < 0.0 and implausible(state, parameter):
        # Where readings are dense the next ones tell; where they are sparse nobody waits for them.
        if phase[FAULT] != ON and state[LAST] - watch[BAD_SINCE] + quiet >= FAULT_SPAN_US:
            phase[FAULT] = ON
            since[FAULT] = int(watch[BAD_SINCE])
            n = note(events, n, row, FAULT, BEGINS, now, 0.0, state, watch, ring)
            events[n - 1, E_EXTRA] = UNRELIABLE
        return n  # what the sensor says begins no other condition
    for condition in range(4):
        if phase[condition] == IDLE:
            continue
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
        if phase[condition] == PENDING:
            n = _matured(
                row, condition, now, quiet, parameter, state, watch, ring, limit, judged, mark, phase, since, events, n
            )
        elif mark[condition, BEYOND_SINCE] > 0.0 and state[LAST] - mark[condition, BEYOND_SINCE] + quiet >= delay:
            n = note(events, n, row, condition, WORSENS, now, limit[condition], state, watch, ring)
            mark_from(mark, condition, state[VALUE] if critical else state[M0], parameter)
    return n


@kernel()
def _matured(
    row: int, condition: int, now: float, quiet: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8,
    mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """A limit that waits: whether its delay has run out since the newest reading."""
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
