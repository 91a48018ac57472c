"""When the conditions of one channel are judged: after a reading, a late reading, a correction, and as time passes."""

from twins.alarms.limits import begin_pending, end_cleared, judge_limits, mark_from, recent_us
from twins.alarms.phases import note
from twins.alarms.sensor_faults import FAULT_SPAN_US, implausible, judge_sensor, silence_us, silent_after_us
from twins.arrays import F8, I8, U1
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    BAD_SINCE,
    BEGINS,
    BEYOND_SINCE,
    CONDITIONS,
    CONTRADICTED,
    CRITICAL_DELAY,
    CRITICAL_HIGH,
    CRITICAL_LOW,
    DELAY,
    DIRTY,
    E_EXTRA,
    FAULT,
    FLAT_SINCE,
    FRESH_US,
    HEAD,
    HIGH,
    IDLE,
    LAG,
    LAST,
    LOW,
    M0,
    ON,
    PASSED_HIGH,
    PASSED_LOW,
    PENDING,
    RECEIVED,
    RING,
    RUN,
    SILENT,
    UNRELIABLE,
    VALUE,
    WORSENS,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import ACCEPTED, IMPLAUSIBLE


@kernel(forceinline=True)
def after_reading(
    row: int, status: int, t: float, received: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8,
    judged: F8, mark: F8, shown: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Update the conditions of one channel after a reading newer than all before; returns the new event count.

    A reading of the past changes nothing here.
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
    n = judge_sensor(row, status, t, value, parameter, state, watch, ring, limit, shown, phase, since, events, n)
    if status == IMPLAUSIBLE:
        return n
    return judge_limits(
        row, status, t, received, value, fresh, 1, parameter, state, watch, ring, limit, judged, mark, phase, since, events, n
    )  # fmt: skip


@kernel()
def after_late(
    row: int, t: float, received: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8,
    mark: F8, phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Update the limits after a reading that was taken but is not newer than all before; returns the new event count.

    If it arrives fresh, it describes the patient now: the newer readings may come from a sender whose clock is ahead.
    """
    if received - t - judged[row, LAG] > FRESH_US or not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        return n
    return judge_limits(
        row, ACCEPTED, state[LAST], received, value, 1, 0, parameter, state, watch, ring, limit, judged, mark, phase, since,
        events, n,
    )  # fmt: skip


@kernel()
def anew(
    row: int, now: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Update the limits after a correction or retraction, using the newest valid reading; returns the new event count."""
    head = int(watch[HEAD])
    for back in range(1, min(head, RING) + 1):
        t, value = ring[(head - back) % RING, 0], ring[(head - back) % RING, 1]
        if t == 0.0 or not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
            continue
        age = now - t - judged[row, LAG]
        if age > recent_us(limit):
            break
        judged[row, PASSED_LOW] = judged[row, PASSED_HIGH] = judged[row, CONTRADICTED] = 0.0
        return judge_limits(
            row, ACCEPTED, t, now, value, 1 if age <= FRESH_US else 0, 1, parameter, state, watch, ring, limit, judged, mark,
            phase, since, events, n,
        )  # fmt: skip
    for condition in range(4):
        if phase[condition] == PENDING:
            phase[condition] = IDLE
    return n


@kernel(forceinline=True)
def at_rest(now: float, watch: F8, limit: F8, phase: U1) -> bool:
    """Whether time alone changes nothing in a channel: the usual case, which reads no other row of it from memory."""
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
    """Update what time alone changes in a channel not ``at_rest``: silence, and delays that end between readings."""
    quiet = now - watch[RECEIVED]
    if quiet > silent_after_us(watch, ring, limit):
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
    """Update what time alone changes, ``quiet`` µs after the last reading: an implausible value, or passed limits."""
    if watch[RUN] < 0.0 and implausible(state, parameter):
        # If readings are dense, the next ones decide. If they are sparse, nobody waits for them.
        if phase[FAULT] != ON and state[LAST] - watch[BAD_SINCE] + quiet >= FAULT_SPAN_US:
            phase[FAULT] = ON
            since[FAULT] = int(watch[BAD_SINCE])
            n = note(events, n, row, FAULT, BEGINS, now, 0.0, state, watch, ring)
            events[n - 1, E_EXTRA] = UNRELIABLE
        return n  # an implausible reading begins no other condition
    for condition in range(4):
        if phase[condition] == IDLE:
            continue
        critical = condition in (CRITICAL_LOW, CRITICAL_HIGH)
        delay = limit[CRITICAL_DELAY] if critical else limit[DELAY]
        if phase[condition] == PENDING:
            n = begin_pending(
                row, condition, now, quiet, parameter, state, watch, ring, limit, judged, mark, phase, since, events, n
            )
        elif not critical and since[condition] < 0:
            n = end_cleared(
                row, condition, now, quiet, state, watch, ring, limit, judged, phase, since, events, n
            )  # fmt: skip
        elif mark[condition, BEYOND_SINCE] > 0.0 and state[LAST] - mark[condition, BEYOND_SINCE] + quiet >= delay:
            n = note(events, n, row, condition, WORSENS, now, limit[condition], state, watch, ring)
            mark_from(mark, condition, state[VALUE] if critical else state[M0], parameter)
    return n
