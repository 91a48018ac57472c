"""The walks over a frame, over the rows due for emission and over all rows on a tick: columns in, columns out."""

import numpy as np
import numpy.typing as npt

from twins.alarms import channel_conditions, crossing, limits
from twins.arrays import F4, F8, I4, I8, U1, U2, U4
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    DIRTY,
    FLAT_SINCE,
    HEAD,
    INTERVAL,
    LAG,
    LAST,
    Q_AGAIN,
    Q_NEXT,
    Q_OVER,
    Q_UNDER,
    RECEIVED,
    RECENT_LEAST_US,
    RING,
    VALUE,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.compiled.prefetch import prefetch, prefetch_line
from twins.models.channel import calibration, late, statements
from twins.models.channel import filter as channel

UNFILTERED, UNKNOWN_PATIENT, FUTURE, INVALID = 5, 6, 7, 9
FUTURE_US = 600_000_000
"""A reading further ahead of its record than this never enters a twin, whoever wrote it to the log."""
_AHEAD, _SOON = 8, 3
"""A reading uses half a dozen rows, so fewer readings ahead are as many rows as elsewhere."""
READING_EVENTS = 8 + statements.MOST_JUDGED
"""The most events that one reading can raise: alarms, and stated chances that it judges."""


@kernel(allocates=True)
def missing(patient: U4, signal: U2, patient_of_entry: I8, slot: I4, filtered: U1) -> npt.NDArray[np.int64]:
    """Places of readings whose channel has no row yet (the first of each run; a channel may occur twice)."""
    found = np.empty(len(patient), np.int64)
    n = 0
    for k in range(len(patient)):
        if patient[k] >= len(patient_of_entry) or signal[k] >= len(filtered) or filtered[signal[k]] == 0:
            continue
        p = patient_of_entry[patient[k]]
        if p >= 0 and slot[p, signal[k]] < 0:
            found[n] = k
            n += 1
            slot[p, signal[k]] = -2 - k
    for i in range(n):
        k = found[i]
        slot[patient_of_entry[patient[k]], signal[k]] = -1
    return found[:n]


@kernel()
def extent(time: I8) -> tuple[int, int]:
    """The oldest and the newest of some times; 0 if there are none."""
    oldest = newest = time[0] if len(time) else 0
    for i in range(len(time)):
        oldest = min(oldest, time[i])
        newest = max(newest, time[i])
    return oldest, newest


@kernel()
def owned(patient: U4, signal: U2, value: F8, patient_of_entry: I8, which: U2, sources: U4, writer: U4) -> int:
    """How many readings come from a source other than the first of their channel; stores the first source.

    ``which`` is the index of each reading's source in ``sources``; empty: all are of the first one.
    """
    strange = 0
    for i in range(len(patient)):
        if patient[i] >= len(patient_of_entry) or signal[i] >= writer.shape[1] or not np.isfinite(value[i]):
            continue
        p = patient_of_entry[patient[i]]
        if p < 0:
            continue
        source = sources[min(int(which[i]), len(sources) - 1) if len(which) > 0 else 0]
        if writer[p, signal[i]] == 0:
            writer[p, signal[i]] = source
        elif writer[p, signal[i]] != source:
            strange += 1
    return strange


@kernel()
def usual(
    patient: U4, signal: U2, time: I8, oldest: int, newest: int, patient_of_entry: I8, active: U1, live: U1, begin: I8,
    slot: I4, filtered: U1, which: U2, sources: U4, writer: U4,
) -> bool:  # fmt: skip
    """Whether no reading of a frame needs a closer look before the walk: the usual case, decided in one pass.

    True if every reading is dated within ``oldest`` to ``newest`` and after its stay began, has its channel, and comes
    from the channel's first source (``which`` and ``sources`` as in ``owned``; without sources this is not checked).
    Entries whose patients are not followed become -1 in ``patient_of_entry`` in any case.
    """
    for entry in range(len(patient_of_entry)):
        p = patient_of_entry[entry]
        if p >= 0 and (active[p] == 0 or live[p] == 0):
            patient_of_entry[entry] = -1
    for i in range(len(patient)):
        if time[i] < oldest or time[i] > newest:
            return False
        if patient[i] >= len(patient_of_entry) or signal[i] >= slot.shape[1]:
            continue
        p = patient_of_entry[patient[i]]
        if p < 0:
            continue
        if time[i] < begin[p] or (filtered[signal[i]] != 0 and slot[p, signal[i]] < 0):
            return False
        if len(sources) > 0:
            source = sources[min(int(which[i]), len(sources) - 1) if len(which) > 0 else 0]
            if writer[p, signal[i]] != source:
                return False
    return True


@kernel()
def _prefetch_rows(
    i: int, patient: U4, signal: U2, patient_of_entry: I8, slot: I4, state: F8, watch: F8, limit: F8, due: F8, awaiting: F8
) -> None:  # fmt: skip
    """Prefetch the rows of a reading that comes later in the frame."""
    if patient[i] < len(patient_of_entry) and signal[i] < slot.shape[1]:
        p = patient_of_entry[patient[i]]
        if p >= 0:
            row = slot[p, signal[i]]
            if row >= 0:
                prefetch(state, row)
                prefetch_line(watch, row)
                prefetch_line(limit, row)
                prefetch_line(due, row)
                prefetch_line(awaiting, row)


@kernel()
def _prefetch_ring(i: int, patient: U4, signal: U2, patient_of_entry: I8, slot: I4, watch: F8, places: F8) -> None:
    """Prefetch the newest reading in the ring and the place after it, for a reading that comes soon."""
    if patient[i] < len(patient_of_entry) and signal[i] < slot.shape[1]:
        p = patient_of_entry[patient[i]]
        if p >= 0:
            row = slot[p, signal[i]]
            if row >= 0:
                head = int(watch[row, HEAD])
                prefetch_line(places, row * RING + head % RING)
                prefetch_line(places, row * RING + (head - 1) % RING)


@kernel()
def _judged(
    row: int, t: float, value: float, before: float, parameter: F8, watch: F8, awaiting: F8, stated: F4, offsets: F4,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Judge stated chances by a reading, if a patient can have it; returns the new event count."""
    if not (value >= parameter[A_LOW] and value <= parameter[A_HIGH]):
        return n
    return statements.judge(row, t, value, before, watch[INTERVAL], parameter, awaiting, stated, offsets, events, n)


@kernel()
def frame(
    begin: int, patient: U4, signal: U2, time: I8, value: F8, received: int, patient_of_entry: I8, slot: I4, state: F8,
    watch: F8, ring: F8, kept: F8, limit: F8, judged: F8, mark: F8, shown: F8, phase: U1, since: I8, due: F8, forecasts: F4,
    made: U1, stretch: F4, recent: F4, tried: U2, awaiting: F8, stated: F4, offsets: F4, parameters: F8, status: U1,
    touched: U1, events: F8, counts: I8,
) -> int:  # fmt: skip
    """Walk a frame in arrival order from reading ``begin``; returns the reading to go on from (its length when done).

    ``counts[0]`` receives the number of events written; the walk pauses when ``events`` could overflow.
    """
    n = 0
    k = begin
    places = ring.reshape(len(ring) * RING, 2)
    while k < len(time):
        if n + READING_EVENTS > len(events):
            break
        i = k
        k += 1
        if i + _AHEAD < len(time):
            _prefetch_rows(i + _AHEAD, patient, signal, patient_of_entry, slot, state, watch, limit, due, awaiting)
        if i + _SOON < len(time):
            _prefetch_ring(i + _SOON, patient, signal, patient_of_entry, slot, watch, places)
        if patient[i] >= len(patient_of_entry) or signal[i] >= len(parameters) or not np.isfinite(value[i]):
            status[i] = INVALID
            continue
        p = patient_of_entry[patient[i]]
        if p < 0:
            status[i] = UNKNOWN_PATIENT
            continue
        row = slot[p, signal[i]]
        if row < 0:
            status[i] = UNFILTERED
            continue
        if time[i] > received + FUTURE_US:
            status[i] = FUTURE
            continue
        t = float(time[i])
        own = state[row]
        before = own[LAST]
        touched[p] = 1
        if t <= before:
            verdict = late.insert(own, parameters[signal[i]], watch[row], ring[row], kept[row], t, value[i])
            status[i] = verdict
            # A late reading also shows that the sensor is not silent.
            watch[row, RECEIVED] = float(received)
            if verdict in (late.INSERTED, late.CORRECTED):
                watch[row, DIRTY] = 1.0
                # A late value that differs, or one that replaces another, shows that the line was not flat.
                if t > watch[row, FLAT_SINCE] and (verdict == late.CORRECTED or value[i] != own[VALUE]):
                    watch[row, FLAT_SINCE] = before
            if value[i] < awaiting[row, Q_UNDER] or value[i] > awaiting[row, Q_OVER]:
                n = _judged(
                    row, t, value[i], before, parameters[signal[i]], watch[row], awaiting[row], stated[row], offsets[row],
                    events, n,
                )  # fmt: skip
            if verdict != late.DUPLICATE:
                n = channel_conditions.after_late(
                    row, t, float(received), value[i], parameters[signal[i]], own, watch[row], ring[row], limit[row], judged,
                    mark[row], phase[row], since[row], events, n,
                )  # fmt: skip
            continue
        late.keep(own, watch[row], ring[row], kept[row], t, value[i])
        verdict = late.take(own, parameters[signal[i]], t, value[i])
        status[i] = verdict
        if before > 0.0 and not (verdict == channel.ACCEPTED and own[T] < t):
            gap = (t - before) * 1e-6
            watch[row, INTERVAL] = (
                gap if watch[row, INTERVAL] == 0.0 else watch[row, INTERVAL] + 0.1 * (gap - watch[row, INTERVAL])
            )
        # Most readings meet no forecast. It is checked here, because a call passes every array piece by piece.
        if verdict != channel.IMPLAUSIBLE and not t < due[row, calibration.NEXT]:
            taken = 0 if verdict == channel.GATED else 1
            calibration.calibrate(
                own, parameters[signal[i]], t, value[i], taken, watch[row, INTERVAL], due[row], forecasts[row], made[row],
                stretch[row], recent[row], tried[row],
            )  # fmt: skip
        if t >= awaiting[row, Q_NEXT] or value[i] < awaiting[row, Q_UNDER] or value[i] > awaiting[row, Q_OVER]:
            n = _judged(
                row, t, value[i], before, parameters[signal[i]], watch[row], awaiting[row], stated[row], offsets[row],
                events, n,
            )  # fmt: skip
        n = channel_conditions.after_reading(
            row, verdict, t, float(received), value[i], parameters[signal[i]], own, watch[row], ring[row], limit[row],
            judged, mark[row], shown[row], phase[row], since[row], events, n,
        )  # fmt: skip
    counts[0] = n
    return k


@kernel(allocates=True)
def due_patients(touched: I8, emitted: I8, pending: U1, urgent: I8, newest: int) -> I8:
    """Those of ``touched`` last emitted at ``newest`` (µs) or before, or ``urgent`` (sorted); the others become ``pending``."""
    found = np.empty(len(touched), np.int64)
    n = 0
    for i in range(len(touched)):
        p = touched[i]
        speaks = emitted[p] <= newest
        if not speaks and len(urgent) > 0:
            at = np.searchsorted(urgent, p)
            speaks = at < len(urgent) and urgent[at] == p
        if speaks:
            found[n] = p
            n += 1
        else:
            pending[p] = 1
    return found[:n].copy()


@kernel(allocates=True)
def due_rows(patients: I8, slot: I4, watch: F8) -> npt.NDArray[np.int64]:
    """Rows of ``patients`` that changed since they were last emitted, sorted by patient and signal; marks them clean."""
    rows = np.empty(len(patients) * slot.shape[1], np.int64)
    n = 0
    for i in range(len(patients)):
        for s in range(slot.shape[1]):
            row = slot[patients[i], s]
            if row >= 0 and watch[row, DIRTY] != 0.0:
                watch[row, DIRTY] = 0.0
                rows[n] = row
                n += 1
    return rows[:n].copy()


@kernel()
def predictions(
    begin: int, rows: I8, now: int, signal_of_row: U2, state: F8, judged: F8, stretch: F4, watch: F8, ring: F8, limit: F8,
    phase: U1, since: I8, awaiting: F8, stated: F4, offsets: F4, warned: F4, warned_at: I8, parameters: F8, scratch: F4,
    events: F8, counts: I8,
) -> int:  # fmt: skip
    """Predicted crossings and stated chances of ``rows`` from place ``begin``; pauses and counts as ``frame`` does."""
    n = 0
    k = begin
    while k < len(rows):
        if n + 2 > len(events):
            break
        # The last rows are also used by the estimates, which follow.
        prefetch(stretch, rows[min(k + _AHEAD, len(rows) - 1)])
        prefetch(awaiting, rows[min(k + _AHEAD, len(rows) - 1)])
        row = rows[k]
        k += 1
        # No predictions from readings of the past; a lag only makes an age shorter.
        age = now - state[row, LAST]
        if age > RECENT_LEAST_US:
            recent = limits.recent_us(limit[row])
            if age > recent and age - judged[row, LAG] > recent:
                continue
        if crossing.awaited(state[row], parameters[signal_of_row[row]], watch[row]):
            n = crossing.predicted(
                row, state[row], parameters[signal_of_row[row]], offsets[row], watch[row], ring[row], limit[row], phase[row],
                since[row], warned[row], warned_at[row], scratch, events, n,
            )  # fmt: skip
        if not state[row, LAST] < awaiting[row, Q_AGAIN]:
            statements.make(
                state[row], parameters[signal_of_row[row]], watch[row], ring[row], limit[row], phase[row], awaiting[row],
                stated[row], offsets[row],
            )  # fmt: skip
    counts[0] = n
    return k


@kernel()
def tick(
    begin: int, rows: int, now: int, patient_of_row: I8, signal_of_row: U2, live: U1, parameters: F8, state: F8, watch: F8,
    ring: F8, limit: F8, judged: F8, mark: F8, phase: U1, since: I8, events: F8, counts: I8,
) -> int:  # fmt: skip
    """Conditions that change with time, over rows ``begin`` to ``rows`` of live patients; pauses as ``frame`` does."""
    n = 0
    row = begin
    while row < rows:
        if n + READING_EVENTS > len(events):
            break
        p = patient_of_row[row]
        if p >= 0 and live[p] != 0 and not channel_conditions.at_rest(float(now), watch[row], limit[row], phase[row]):
            n = channel_conditions.after_tick(
                row, float(now), parameters[signal_of_row[row]], state[row], watch[row], ring[row], limit[row], judged,
                mark[row], phase[row], since[row], events, n,
            )  # fmt: skip
        row += 1
    counts[0] = n
    return row
