"""Who owns a reading: a source corrects and retracts what it sent itself, and nothing of another source.

A channel stores the source that wrote to it first, and which moments belong to other sources. A source whose name
begins with ``*`` may also correct others' readings. If it is no longer known who owns a reading, it belongs to another
source.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import numpy as np

from twins.arrays import I8, U2, U4
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.memory import Others
from twins.records import Columns, Frame, Retract, Revision, Status
from twins.signals import BY_NAME, SIGNALS
from twins.step import walk

__all__ = ["WIDE", "foreign", "may_retract", "name_sources", "named", "revision", "revision_of", "sources_of"]

Channel = tuple[int, int]
"""Patient's number and signal's code."""

WIDE = "*"
_NOBODY, _UNKNOWN = 0, -1
_REMEMBERED = 4096
"""How many moments of a channel are stored that belong to sources other than the first."""


@lru_cache(4096)
def _source(name: str) -> int:
    return int.from_bytes(blake2b(name.removeprefix(WIDE).encode(), digest_size=4).digest(), "little") or 1


def named(source: str) -> str:
    """The name of a source for people: without its mark and the id of the key."""
    return source.removeprefix(WIDE).partition("/")[2] or source.removeprefix(WIDE)


_NO_SOURCES: tuple[U2, U4] = (np.frombuffer(b"", "<u2"), np.empty(0, np.uint32))


def sources_of(frame: Frame) -> tuple[U2, U4]:
    """The index of each reading's source (empty: all are of the first), and the sources of the frame, as numbers."""
    if not frame.sources:
        return _NO_SOURCES
    return np.frombuffer(frame.source, "<u2"), np.array([_source(name) for name in frame.sources], np.uint32)


def name_sources(bank: Bank, frame: Frame) -> None:
    """Store the names of a frame's sources."""
    for source in frame.sources:
        number = _source(source)
        if number not in bank.devices:
            bank.devices[number] = named(source)


def foreign(bank: Bank, frame: Frame, columns: Columns, numbers: I8) -> I8:
    """The places of readings that are not taken, because another source's reading is, or may be, at their moment.

    ``columns`` are those of the stay; other readings have no patient. Stores the sources of the readings that are
    taken.
    """
    none = np.empty(0, np.int64)
    if not frame.sources:
        return none
    which, sources = sources_of(frame)
    mixed = walk.owned(columns.patient, columns.signal, columns.value, numbers, which, sources, bank.writer)
    if not mixed and not bank.others:
        return none
    valid = (columns.patient < len(numbers)) & (columns.signal < len(SIGNALS)) & np.isfinite(columns.value)
    valid[valid] = numbers[columns.patient[valid]] >= 0
    (places,) = valid.nonzero()
    number, code = numbers[columns.patient[places]], columns.signal[places].astype(np.int64)
    source = sources[np.minimum(which[places], len(sources) - 1) if len(which) else np.zeros(len(places), np.intp)]
    strange = bank.writer[number, code] != source
    channels = set(zip(number[strange].tolist(), code[strange].tolist(), strict=True)) | bank.others.keys()
    wide = {int(one) for one, name in zip(sources, frame.sources, strict=True) if name.startswith(WIDE)}
    frame_of = _Frame(bank, wide)
    keys = np.fromiter((owner << 16 | signal for owner, signal in channels), np.int64, len(channels))
    asked = np.isin(number << 16 | code, keys)
    found = [
        int(place)
        for place, channel, by in zip(
            places[asked], zip(number[asked].tolist(), code[asked].tolist(), strict=True), source[asked].tolist(), strict=True
        )
        if not frame_of.takes(channel, int(columns.time[place]), float(columns.value[place]), by)
    ]  # fmt: skip
    return np.array(found, np.int64)


class _Frame:
    """Who owns a moment according to the earlier readings of one frame."""

    def __init__(self, bank: Bank, wide: set[int]) -> None:
        self._bank = bank
        self._wide = wide
        self._seen: dict[tuple[Channel, int], tuple[int, float]] = {}

    def takes(self, channel: Channel, time: int, value: float, by: int) -> bool:
        """Whether a reading may be taken; from then on it belongs to ``by``."""
        owner, standing = self._seen.get((channel, time)) or _standing(self._bank, channel, time, by)
        if owner not in (_NOBODY, by):
            if value == standing:
                return True  # an equal value changes nothing, whoever sends it
            if by not in self._wide:
                return False
        self._seen[channel, time] = (by, value)
        _note(self._bank, channel, time, by)
        return True


def _note(bank: Bank, channel: Channel, time: int, by: int) -> None:
    others = bank.others.get(channel)
    if bank.writer[channel] == by:
        if others is not None:
            others.times.pop(time, None)
        return
    if others is None:
        others = bank.others[channel] = Others()
    others.times[time] = by
    while len(others.times) > _REMEMBERED:
        gone = next(iter(others.times))
        del others.times[gone]
        others.floor = max(others.floor, gone + 1)


def _standing(bank: Bank, channel: Channel, time: int, by: int) -> tuple[int, float]:
    """The source that owns a moment, and its value if known; −1 if unknown and the owner need not be ``by``."""
    writer, others, row = int(bank.writer[channel]), bank.others.get(channel), int(bank.slot[channel])
    times = bank.ring[row, :, 0] if row >= 0 else np.empty(0)
    (held,) = (times == time).nonzero()
    value = float(bank.ring[row, held[0], 1]) if len(held) else np.nan
    if others is not None and (time in others.times or time < others.floor):
        return others.times.get(time, _UNKNOWN), value
    if len(held):
        return writer, value
    newer = row >= 0 and time > bank.state[row, layout.LAST]
    if newer or (row >= 0 and (bank.watch[row, layout.HEAD] <= layout.RING or time > times.min())):
        return _NOBODY, value
    return writer if by == writer else _UNKNOWN, value


def may_retract(bank: Bank, number: int, command: Retract) -> bool:
    """Whether a source may retract a reading: it sent it, or may correct others' readings. A person has no source."""
    signal = BY_NAME.get(command.signal)
    if signal is None or not command.source:
        return True
    if command.time < bank.begin[number]:
        return False
    by, channel = _source(command.source), (number, signal.code)
    if command.source.startswith(WIDE) or not bank.writer[channel]:
        return True
    owner, _ = _standing(bank, channel, command.time, by)
    others = bank.others.get(channel)
    if owner == by and others is not None:
        others.times.pop(command.time, None)
    return owner in (_NOBODY, by)


def revision(frame: Frame, columns: Columns, place: int, status: int) -> Revision:
    """What a reading of a frame did, or would have done, to an earlier reading of its moment."""
    which = int(np.frombuffer(frame.source, "<u2")[place]) if frame.source else 0
    return Revision(
        patient=columns.patients[columns.patient[place]], signal=SIGNALS[columns.signal[place]].name,
        time=int(columns.time[place]), what="corrected" if status == Status.CORRECTED else "not_taken",
        value=float(columns.value[place]), by=named(frame.sources[which]) if which < len(frame.sources) else "",
        received=frame.received,
    )  # fmt: skip


def revision_of(command: Retract, verdict: int) -> Revision:
    """What a retraction did, or would have done, to a reading."""
    what: Literal["not_taken", "retracted"] = "not_taken" if verdict == Status.FOREIGN else "retracted"
    return Revision(
        patient=command.patient,
        signal=command.signal,
        time=command.time,
        what=what,
        by=command.by,
        received=command.received,
    )
