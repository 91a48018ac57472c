"""Sensor faults of one channel: unusable readings, low quality and flat lines."""

from twins.alarms.phases import note
from twins.arrays import F8, I8, U1
from twins.bank.layout import (
    A_ABOVE,
    A_BELOW,
    A_FLAT,
    A_HIGH,
    A_LOW,
    BAD_SINCE,
    E_EXPECTED,
    E_EXTRA,
    FAULT,
    FLAT,
    FLAT_SINCE,
    HEAD,
    IDLE,
    INTERVAL,
    LAST,
    MISFIT,
    ON,
    QUALITY,
    RING,
    RUN,
    SILENCE,
    UNRELIABLE,
    VALUE,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.filter import ACCEPTED, DENSE_S, GRADE, IMPLAUSIBLE, REACQUIRED

FAULT_RUN = 5
"""This many unusable readings in a row make a sensor fault …"""
FAULT_SPAN_US = 4e6
"""… if they span this long and the newest is implausible …"""
MISFIT_SPAN_US = 30e6
"""… or if they span this long and only do not fit the course. Where the patient has changed, the filter follows before."""
RECOVER_RUN = 3
POOR, GOOD = 0.6, 0.8
"""A sensor is also faulty if alternating readings bring its quality below the first; it recovers above the second …"""
RECOVER_LONG = 10
"""… or after so many usable readings in a row."""
LEARNT = 16.0
"""Readings before the quality means anything."""
GOOD_SPARSE = 0.8
"""If readings are sparse, one usable reading is enough for a sensor with at least this quality."""
FLAT_RUN = 16
"""The fewest equal readings that make a flat line, however far apart they are."""
SILENT_INTERVALS = 4.0
"""Silence is longer than this many usual intervals …"""
SILENT_GAPS, GAPS = 2.0, 8
"""… and than the second longest of this many gaps, times the first: rows that nurses chart come at no fixed interval. The
longest may have been a pause.
"""
LEARNT_GAPS = 8.0
"""Before a channel has so many readings, its usual interval is not known …"""
DENSE_READINGS = 3.0
"""… unless it sends dense readings, so many of them."""
UNLEARNT_US = 7200e6
"""While the usual interval is not known, a channel may be quiet for so long: charted rows come every hour or two."""


@kernel(forceinline=True)
def silence_us(watch: F8, limit: F8) -> float:
    """The shortest gap that may count as silence of this channel; ``silent_after_us`` may be longer."""
    return float(max(limit[SILENCE], SILENT_INTERVALS * watch[INTERVAL] * 1e6))


@kernel()
def silent_after_us(watch: F8, ring: F8, limit: F8) -> float:
    """The shortest gap that counts as silence of this channel, by the intervals that it has had."""
    head = int(watch[HEAD])
    longest = second = 0.0
    for back in range(1, min(head - 1, GAPS) + 1):
        gap = ring[(head - back) % RING, 0] - ring[(head - back - 1) % RING, 0]
        if gap > longest:
            longest, second = gap, longest
        elif gap > second:
            second = gap
    quiet = max(silence_us(watch, limit), SILENT_GAPS * second)
    dense = head >= DENSE_READINGS and watch[INTERVAL] <= DENSE_S
    return quiet if dense or head >= LEARNT_GAPS else max(quiet, UNLEARNT_US)


@kernel(forceinline=True)
def _flat_us(t: float, value: float, parameter: F8, watch: F8, ring: F8, limit: F8) -> float:
    """How long the value has not changed, if longer than a patient's can, else 0. The ring has the reading already.

    A value at the end of the sensor's range may hide changes, and so may a silence: neither counts as flat.
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
    """Whether no patient can have the value of the newest reading."""
    return bool(state[LAST] > 0.0 and not parameter[A_LOW] <= state[VALUE] <= parameter[A_HIGH])


@kernel()
def _remember(parameter: F8, watch: F8, ring: F8, shown: F8) -> None:
    """The newest reading is implausible: keep the one before it, if that was plausible."""
    before = (int(watch[HEAD]) - 2) % RING
    if watch[HEAD] > 1.0 and parameter[A_LOW] <= ring[before, 1] <= parameter[A_HIGH]:
        shown[0], shown[1] = ring[before, 0], ring[before, 1]


@kernel(forceinline=True)
def _recovered(state: F8, watch: F8) -> bool:
    """Whether a sensor that was faulty has sent usable readings for long enough."""
    run, quality = watch[RUN], state[QUALITY]
    if watch[INTERVAL] > DENSE_S:
        return bool(run >= RECOVER_RUN or (run > 0.0 and quality >= GOOD_SPARSE))
    return bool(run >= RECOVER_RUN and (quality >= GOOD or run >= RECOVER_LONG))


@kernel(forceinline=True)
def judge_sensor(
    row: int, status: int, t: float, value: float, parameter: F8, state: F8, watch: F8, ring: F8, limit: F8, shown: F8,
    phase: U1, since: I8, events: F8, n: int,
) -> int:  # fmt: skip
    """Judge the sensor: runs of unusable readings, many unusable ones among usable ones, and a flat line.

    A flat line also lowers the sensor's quality.
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
        # The filter has just counted this reading as good. Together with this line it counts as bad.
        state[QUALITY] = max(state[QUALITY] - GRADE, 0.0)
    if phase[FAULT] == ON:
        if flat == 0.0 and good and _recovered(state, watch):
            phase[FAULT] = IDLE
            n = note(events, n, row, FAULT, 0.0, t, 0.0, state, watch, ring)
        return n
    span_us = FAULT_SPAN_US if status == IMPLAUSIBLE else MISFIT_SPAN_US
    failed = watch[RUN] <= -FAULT_RUN and t - watch[BAD_SINCE] >= span_us
    failed |= status == IMPLAUSIBLE and state[QUALITY] < POOR and watch[HEAD] > LEARNT
    if failed or flat > 0.0:
        phase[FAULT] = ON
        since[FAULT] = int(watch[BAD_SINCE] if failed else watch[FLAT_SINCE])
        n = note(events, n, row, FAULT, 1.0, t, 0.0, state, watch, ring)
        events[n - 1, E_EXTRA] = FLAT if not failed else UNRELIABLE if status == IMPLAUSIBLE else MISFIT
        events[n - 1, E_EXPECTED] = flat * 1e-6
    return n
