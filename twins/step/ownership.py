"""Whose a reading is: a source corrects and takes back what it sent itself, and nothing of another's.

A channel remembers the source that wrote to it first, and of others which moments are theirs. A source whose name begins
with ``*`` may correct others' readings too. Where nobody can tell any more whose a reading is, it is another's.
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

__all__ = ["WIDE", "foreign", "may_retract", "named", "revision", "revision_of", "sources_of"]

Channel = tuple[int, int]
"""Patient's number and signal's code."""

WIDE = "*"
_NOBODY, _UNKNOWN = 0, -1
_REMEMBERED = 4096
"""So many moments of a channel are known to be those of sources other than its first."""


@lru_cache(4096)
def _source(name: str) -> int:
    return int.from_bytes(blake2b(name.removeprefix(WIDE).encode(), digest_size=4).digest(), "little") or 1


def named(source: str) -> str:
    """What a person calls a source: without its mark and the key's id."""
    return source.removeprefix(WIDE).partition("/")[2] or source.removeprefix(WIDE)


_NO_SOURCES: tuple[U2, U4] = (np.frombuffer(b"", "<u2"), np.empty(0, np.uint32))


def sources_of(frame: Frame) -> tuple[U2, U4]:
    """The place of each reading's source among those of the frame (empty: the first one's), and the sources, as numbers."""
    if not frame.sources:
        return _NO_SOURCES
    return np.frombuffer(frame.source, "<u2"), np.array([_source(name) for name in frame.sources], np.uint32)


def foreign(bank: Bank, frame: Frame, columns: Columns, numbers: I8) -> I8:
    """The places of readings that are not taken, as another source's stands or may stand at their moment.

    ``columns`` are those of the stay, with nobody for others; notes whose the taken ones are.
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
    """What the readings of one frame that came before say of whose a moment is."""

    def __init__(self, bank: Bank, wide: set[int]) -> None:
        self._bank = bank
        self._wide = wide
        self._seen: dict[tuple[Channel, int], tuple[int, float]] = {}

    def takes(self, channel: Channel, time: int, value: float, by: int) -> bool:
        """Whether a reading may stand; from then on it is ``by``'s."""
        owner, standing = self._seen.get((channel, time)) or _standing(self._bank, channel, time, by)
        if owner not in (_NOBODY, by):
            if value == standing:
                return True  # the same again changes nothing, whoever says it
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
    """Whose reading stands at a moment, and its value if it is known; −1 where nobody can tell and it need not be ``by``'s."""
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
    """Whether who takes a reading back has sent it, or may do so anyway; a person has no source."""
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
    """What a reading of a frame did to one that stood there, or would have done."""
    which = int(np.frombuffer(frame.source, "<u2")[place]) if frame.source else 0
    return Revision(
        patient=columns.patients[columns.patient[place]], signal=SIGNALS[columns.signal[place]].name,
        time=int(columns.time[place]), what="corrected" if status == Status.CORRECTED else "not_taken",
        value=float(columns.value[place]), by=named(frame.sources[which]) if which < len(frame.sources) else "",
        received=frame.received,
    )  # fmt: skip


def revision_of(command: Retract, verdict: int) -> Revision:
    """What a retraction did to a reading, or would have done."""
    what: Literal["not_taken", "retracted"] = "not_taken" if verdict == Status.FOREIGN else "retracted"
    return Revision(
        patient=command.patient,
        signal=command.signal,
        time=command.time,
        what=what,
        by=command.by,
        received=command.received,
    )
