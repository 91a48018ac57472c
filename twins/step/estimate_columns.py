"""The bank's estimates of some channels, as columns."""

import math

import numpy as np

from twins.alarms.sensor_faults import implausible
from twins.arrays import F4, F8, I8, U1, U2, U4
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    COUNT,
    FAULT,
    HEAD,
    LAST,
    M0,
    ON,
    P00,
    QUALITY,
    REJECTS,
    RING,
    SILENT,
    TREND,
    VALUE,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.forecast import write_belief

__all__ = ["columns", "rejected"]


SEARCHING_MOST = 0.5
"""The highest quality that is reported while the newest reading is doubted."""


@kernel()
def _plausible(own: F8, parameter: F8, watch: F8, ring: F8, shown: F8) -> tuple[float, float]:
    """Time and value of a channel's newest plausible reading; without one, only the time of the last measurement."""
    head = int(watch[HEAD])
    for back in range(2, min(head, RING) + 1):
        at = (head - back) % RING
        if ring[at, 0] > 0.0 and parameter[A_LOW] <= ring[at, 1] <= parameter[A_HIGH]:
            return ring[at, 0], ring[at, 1]
    if shown[0] > 0.0:
        return shown[0], shown[1]
    return (own[T] if own[COUNT] > 0.0 else own[LAST]), np.nan


@kernel()
def columns(
    rows: I8, state: F8, watch: F8, ring: F8, shown: F8, phase: U1, stretch: F4, recent: F4, signal_of_row: U2,
    patient_of_row: I8, parameters: F8, numbers: I8, patient: U4, signal: U2, time: I8, figures: F8, quality: F4,
    status: U1, belief: F4, last: F4,
) -> tuple[int, int]:  # fmt: skip
    """Write one line for each of ``rows``, which are sorted by patient; returns (number of patients, rejected lines).

    ``figures`` is [4, rows]: value, mean, sd, trend. Mean and sd are NaN before the first measurement, value before the
    first plausible reading. An implausible newest reading is not among them: see ``rejected``. ``numbers`` receives the
    patients' numbers, and ``patient`` the index of each line's patient in it.
    """
    named = rejections = 0
    for i in range(len(rows)):
        row = rows[i]
        own = state[row]
        if named == 0 or numbers[named - 1] != patient_of_row[row]:
            numbers[named] = patient_of_row[row]
            named += 1
        measured = own[COUNT] > 0.0
        patient[i] = named - 1
        signal[i] = signal_of_row[row]
        time[i] = int(own[LAST])
        figures[0, i] = own[VALUE] if own[LAST] > 0.0 else np.nan
        figures[1, i] = own[M0] if measured else np.nan
        figures[2, i] = math.sqrt(max(own[P00], 0.0)) if measured else np.nan
        figures[3, i] = own[TREND]
        quality[i] = own[QUALITY]
        status[i] = 1 if own[REJECTS] != 0.0 or not measured else 0
        if phase[row, FAULT] == ON:
            status[i] = 2
        if phase[row, SILENT] == ON:
            status[i] = 3
        if own[REJECTS] != 0.0:
            quality[i] = min(own[QUALITY], SEARCHING_MOST)
        if implausible(own, parameters[signal_of_row[row]]):
            t, value = _plausible(own, parameters[signal_of_row[row]], watch[row], ring[row], shown[row])
            time[i], figures[0, i] = int(t), value
            quality[i] = 0.0
            status[i] = max(status[i], 1)
            rejections += 1
        write_belief(own, parameters[signal_of_row[row]], stretch[row], recent[row], belief[i], last[i])
    return named, rejections


@kernel()
def rejected(rows: I8, state: F8, signal_of_row: U2, parameters: F8, value: F8, time: I8) -> None:
    """Value and time of the newest reading of each of ``rows`` if it is implausible, else NaN and 0."""
    for i in range(len(rows)):
        row = rows[i]
        value[i], time[i] = np.nan, 0
        if implausible(state[row], parameters[signal_of_row[row]]):
            value[i], time[i] = state[row, VALUE], int(state[row, LAST])
