"""Readings sorted into partitions: columns in, columns out."""

import numpy as np
import numpy.typing as npt

from twins.kernels.jit import kernel

__all__ = ["scatter"]

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
U2 = npt.NDArray[np.uint16]
U4 = npt.NDArray[np.uint32]


@kernel()
def scatter(
    patient: U4, signal: U2, time: I8, value: F8, partition_of_entry: I8, entry_in_partition: U4, ends: I8,
    to_patient: U4, to_signal: U2, to_time: I8, to_value: F8, places: I8,
) -> None:  # fmt: skip
    """Write the readings in order of partition, within it of arrival, and the places they had.

    ``ends`` (one per partition) receives where each partition ends; ``entry_in_partition`` is each patient entry's new
    number. One compiled pass: every numpy call over so many readings would let the interpreter's lock go and wait for it.
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
