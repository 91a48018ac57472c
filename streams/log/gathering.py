"""Pack the readings of several requests into frames of the log, one or more per partition; used by both runtimes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.log.frame import as_record, join, select, split
from streams.registry import Registry, partition_of
from twins.records import Columns, Frame

__all__ = ["READING_BYTES", "frames"]

READING_BYTES = 22
"""Bytes of a reading in a frame."""


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
    partitions = _partitions(columns.patients, registry)
    made: list[tuple[int, Frame]] = []
    for partition, (part, places) in enumerate(split(columns, partitions, registry.partitions)):
        own = None if source is None else source[places]
        if 0 < len(part) <= most:
            made.append((partition, as_record(part, received, sources, own)))
            continue
        for begin in range(0, len(part), most):
            piece = select(part, np.arange(begin, min(begin + most, len(part))))
            of = None if own is None else own[begin : begin + most]
            made.append((partition, as_record(piece, received, sources, of)))
    return made


def _partitions(patients: Sequence[str], registry: Registry) -> npt.NDArray[np.int64]:
    """The partition of each patient, also of unknown ones."""
    known, count = registry.index, len(patients)
    try:
        return np.fromiter(map(known.__getitem__, patients), np.int64, count)
    except KeyError:
        places = (known[name] if name in known else partition_of(name, registry.partitions) for name in patients)
        return np.fromiter(places, np.int64, count)
