"""Reads JSON bodies of observations: strictly and all at once, or, if that fails, entry by entry with reasons.

An entry with the status *entered-in-error* withdraws a reading and needs no value; the strict reader does not accept it.
The body is split into its entries first (``api.intake.split``), so that a limit on their number limits time and memory.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from api.http.offload import Pace
from api.http.problems import Problem
from api.intake.batch import Batch, RejectedEntries, raw_entry
from api.intake.split import MOST_ENTRIES, Cut, array, lines, malformed
from streams.log.entries import (
    ERROR,
    LARGEST,
    NO_UNITS,
    UNREADABLE,
    EntryRefused,
    Observation,
    Standing,
    columns,
    error_of,
    taken,
)  # fmt: skip
from twins.records import Columns

__all__ = ["AT_ONCE", "ERROR", "Observation", "Terms", "read_json", "read_json_now", "read_lines", "read_lines_now"]

AT_ONCE = 64 << 10
"""How many bytes are decoded at once: other threads wait meanwhile."""

_SPARSE = 1024
"""If entries are larger than this many bytes on average, their sizes are checked one by one."""

_line = msgspec.json.Decoder(Standing)
_entries = msgspec.json.Decoder(list[Standing])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()

Decode = Callable[[Cut, slice], Sequence[Observation]]


class Terms(NamedTuple):
    """How a body is read: the maximum number of entries, and by signal the unit of readings without a unit."""

    most: int = MOST_ENTRIES
    units: Mapping[str, str] = NO_UNITS


def read_json_now(body: bytes, terms: Terms) -> Batch | None:
    """The observations of a small array if every entry is valid; ``None`` if the slow reader is needed."""
    if body[:64].lstrip()[:1] != b"[":
        return None
    try:
        entries = _entries.decode(body)
        if _unusual(body, entries, terms):
            return None
        return Batch(columns(entries, terms.units), raw_entry(lambda: array(body, terms.most)))
    except (*UNREADABLE, KeyError):
        return None


def read_lines_now(body: bytes, terms: Terms) -> Batch | None:
    """Like ``read_json_now``, for NDJSON."""
    try:
        entries = _line.decode_lines(body)
        if _unusual(body, entries, terms):
            return None
        return Batch(columns(entries, terms.units), raw_entry(lambda: lines(body, terms.most)))
    except (*UNREADABLE, KeyError):
        return None


def read_json(body: bytes, terms: Terms = Terms()) -> Batch:  # noqa: B008 - it cannot be changed
    """The observations of a JSON body, an object or an array; raises ``Problem`` when it is not JSON."""
    if body[:64].lstrip()[:1] == b"[":
        return _patiently(array(body, terms.most), terms, _decode_run, _checked_run)
    return _patiently(array(b"[" + _whole(body) + b"]"), terms, _decode_run, _checked_run)


def read_lines(body: bytes, terms: Terms = Terms()) -> Batch:  # noqa: B008 - it cannot be changed
    """The observations of an NDJSON body; empty lines do not count as entries."""
    return _patiently(lines(body, terms.most), terms, _decode_lines, None)


def _unusual(body: bytes, entries: Sequence[Observation], terms: Terms) -> bool:
    """Whether there are too many entries, or so few that some may be too large for an entry."""
    return len(entries) > terms.most or LARGEST < len(body) > _SPARSE * len(entries)


def _decode_run(cut: Cut, run: slice) -> Sequence[Observation]:
    return _entries.decode(b"[" + cut.together(run) + b"]")


def _decode_lines(cut: Cut, run: slice) -> Sequence[Observation]:
    return _line.decode_lines(cut.together(run))


def _whole(body: bytes) -> bytes:
    """The body as a single JSON value. If it is too large for an entry, it is refused as an entry without being read."""
    if len(body.strip()) > LARGEST:
        cut = array(b"[" + body + b"]")
        if len(cut) != 1:
            raise malformed(f"{len(cut)} values, not one")
        return body
    try:
        _any.decode(body)
    except UNREADABLE as error:
        raise _malformed(error) from None
    return body


def _checked_run(cut: Cut, places: Sequence[int]) -> None:
    """Raise ``Problem`` unless these entries of an array are JSON. A bare NaN passes: its entry is refused later."""
    text = b"[" + b",".join(map(cut.__getitem__, places)) + b"]"
    try:
        _raws.decode(text)
    except UNREADABLE as error:
        try:
            json.loads(text)
        except UNREADABLE:
            raise _malformed(error) from None


def _malformed(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return malformed("the JSON is nested too deeply", "too_deep")
    if isinstance(error, UnicodeError) or "utf-8" in str(error).lower():
        return malformed(str(error), "invalid_utf8")
    return malformed(str(error))


def _patiently(cut: Cut, terms: Terms, decode: Decode, check: Callable[[Cut, Sequence[int]], None] | None) -> Batch:
    """Read run by run: each strictly, and if that fails entry by entry, with rests."""
    pace = Pace()
    refusals = RejectedEntries()
    parts: list[Columns] = []
    places: list[int] = []
    errors: list[Observation] = []
    errors_at: list[int] = []
    for run in cut.slices(AT_ONCE):
        here = range(run.start, run.stop)
        if not cut.beyond(run, LARGEST):
            try:
                parts.append(columns(decode(cut, run), terms.units))
                places.extend(here)
                continue
            except (*UNREADABLE, KeyError):
                pass
        pace.breathe()
        readable = [place for place in here if not _beyond(cut, place, refusals)]
        if check is not None and readable:
            check(cut, readable)
        good: list[Observation] = []
        for place in readable:
            raw = cut[place]
            try:
                error = error_of(raw) if b"status" in raw else None
                if error is None:
                    good.append(taken(raw, terms.units))
                    places.append(place)
                else:
                    errors.append(error)
                    errors_at.append(place)
            except EntryRefused as refused:
                refusals.add(place, refused.reason, refused)
        if good:
            parts.append(columns(good))
    batch = Batch(_joined(parts), _of(cut), _places(places, len(cut)), refusals)
    if errors:
        batch.errors = Batch(columns(errors), _of(cut), np.array(errors_at, np.intp), refusals)
    return batch


def _joined(parts: Sequence[Columns]) -> Columns:
    """All readings in order; each patient is listed once."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return columns(())
    number: dict[str, int] = {}
    patient = []
    for part in parts:
        named = np.array([number.setdefault(name, len(number)) for name in part.patients], np.uint32)
        patient.append(named[part.patient])
    return Columns(
        list(number),
        np.concatenate(patient),
        np.concatenate([part.signal for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


def _places(places: list[int], count: int) -> npt.NDArray[np.intp] | None:
    return None if len(places) == count else np.array(places, np.intp)


def _of(cut: Cut) -> Callable[[Batch, int], bytes]:
    return lambda _, entry: cut[entry]


def _beyond(cut: Cut, place: int, refusals: RejectedEntries) -> bool:
    """Refuse an entry that is too large or too deep to be read. Returns whether it was refused."""
    if cut.too_deep(place):
        refusals.add(place, "too_deep", "the entry is nested too deeply")
    elif cut.size(place) > LARGEST:
        refusals.add(place, "entry_too_large", f"an entry has at most {LARGEST} bytes")
    else:
        return False
    return True
