"""Readings checked when they are received, and sorted into partitions: columns in, columns out.

Each function is one compiled pass: every numpy call on so many readings would release the interpreter's lock and wait
to get it back.
"""

import numpy as np

from twins.arrays import F8, I8, U1, U2, U4
from twins.compiled.jit import kernel

__all__ = ["judge", "scatter", "takeable", "tally"]


@kernel()
def judge(
    patient: U4, signal: U2, time: I8, value: F8, patients: int, signals: int, oldest: int, newest: int, verdict: U1
) -> int:  # fmt: skip
    """Write 0 for a reading that can be taken, else the first code that applies; returns how many cannot be taken.

    Codes: 5 a patient that is not listed, 2 an unknown signal, 1 a value that is not finite, 4 measured before
    ``oldest``, 3 measured after ``newest`` (µs).
    """
    refused = 0
    for i in range(len(patient)):
        if patient[i] >= patients:
            verdict[i] = 5
        elif signal[i] >= signals:
            verdict[i] = 2
        elif not np.isfinite(value[i]):
            verdict[i] = 1
        elif time[i] < oldest:
            verdict[i] = 4
        elif time[i] > newest:
            verdict[i] = 3
        else:
            verdict[i] = 0
            continue
        refused += 1
    return refused


@kernel()
def takeable(
    patient: U4, signal: U2, time: I8, value: F8, patients: int, signals: int, oldest: int, newest: int
) -> bool:  # fmt: skip
    """Whether ``judge`` takes every reading: the usual case, decided without a verdict for each."""
    for i in range(len(patient)):
        if patient[i] >= patients or signal[i] >= signals or not np.isfinite(value[i]):
            return False
        if time[i] < oldest or time[i] > newest:
            return False
    return True


@kernel()
def tally(codes: U1, counts: I8) -> None:
    """Write to ``counts[c]`` how many of ``codes`` are ``c``; larger codes are left out."""
    counts[:] = 0
    for i in range(len(codes)):
        if codes[i] < len(counts):
            counts[codes[i]] += 1


@kernel()
def scatter(
    patient: U4, signal: U2, time: I8, value: F8, partition_of_entry: I8, entry_in_partition: U4, ends: I8,
    to_patient: U4, to_signal: U2, to_time: I8, to_value: F8, places: I8,
) -> None:  # fmt: skip
    """Write the readings ordered by partition, and by arrival within a partition, with the places they came from.

    ``ends`` (one per partition) receives where each partition ends; ``entry_in_partition`` is each patient entry's new
    number.
    """
    ends[:] = 0
    for i in range(len(patient)):
        ends[partition_of_entry[patient[i]]] += 1
    total = 0
    for p in range(len(ends)):
        count = ends[p]
        ends[p] = total
        total += count
    for i in range(len(patient)):
        entry = patient[i]
        p = partition_of_entry[entry]
        at = ends[p]
        ends[p] = at + 1
        to_patient[at] = entry_in_partition[entry]
        to_signal[at] = signal[i]
        to_time[at] = time[i]
        to_value[at] = value[i]
        places[at] = i
