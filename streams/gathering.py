"""Readings of several requests as frames of the log, one or more a partition; the same in both runtimes."""

from collections.abc import Sequence

import numpy as np

from streams.frame import as_record, join, select, split
from streams.registry import Registry, partition_of
from twins.records import Columns, Frame

__all__ = ["READING_BYTES", "frames"]

READING_BYTES = 22
"""Of a reading in a frame."""


def frames(
    observed: Sequence[tuple[Columns, str]], registry: Registry, received: int, most: int = 1 << 62
) -> list[tuple[int, Frame]]:
    """Readings with their sources as (partition, frame), stamped ``received`` (µs), at most ``most`` readings a frame."""
    if not observed:
        return []
    columns = join([part for part, _ in observed])
    sources = sorted({source for _, source in observed})
    source = None
    if len(sources) > 1:
        numbers = np.array([sources.index(name) for _, name in observed], np.uint16)
        source = np.repeat(numbers, [len(part) for part, _ in observed])
    count, known = registry.partitions, registry.index
    partitions = np.array(
        [known[patient] if patient in known else partition_of(patient, count) for patient in columns.patients], np.int64
    )
    made: list[tuple[int, Frame]] = []
    for partition, (part, places) in enumerate(split(columns, partitions, count)):
        own = None if source is None else source[places]
        if 0 < len(part) <= most:
            made.append((partition, as_record(part, received, sources, own)))
            continue
        for begin in range(0, len(part), most):
            piece = select(part, np.arange(begin, min(begin + most, len(part))))
            of = None if own is None else own[begin : begin + most]
            made.append((partition, as_record(piece, received, sources, of)))
    return made
