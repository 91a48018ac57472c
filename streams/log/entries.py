"""Observations as JSON entries, one by one: read each, and explain what is wrong with one that is refused.

An entry with the status *entered-in-error* retracts a reading and needs no value. Only some FHIR statuses mark a reading.
If a signal's units are often confused (glucose), an entry without a unit is refused, unless the unit is set for its
device. A sensor at the end of its range may send ``"LOW"`` or ``"HIGH"`` instead of a number.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from streams.log import times as moments
from streams.log.identity import all_composed
from twins.records import Columns
from twins.signals import BY_NAME, SIGNALS, Signal
from twins.units import accepted, examples, factor

__all__ = [
    "ERROR",
    "LARGEST",
    "NO_UNITS",
    "STATUSES",
    "UNREADABLE",
    "EntryRefused",
    "Observation",
    "Standing",
    "columns",
    "error_of",
    "quoted",
    "taken",
]  # fmt: skip

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError)

NO_UNITS: Mapping[str, str] = MappingProxyType({})
"""For a device without units of its own."""

Counting = Literal["final", "preliminary", "registered", "amended", "corrected", "appended", "unknown"]

STATUSES: tuple[str, ...] = get_args(Counting)
"""FHIR statuses of a valid reading."""


class Observation(msgspec.Struct, gc=False):
    """One observation as sent; members not named here are ignored."""

    patient: str
    signal: str
    time: str
    value: float
    unit: str = ""


class Standing(Observation, gc=False):
    """One observation that is a reading: its status is one of ``STATUSES``, or it has none."""

    status: Counting = "final"


class Sent(msgspec.Struct, gc=False):
    """One observation before it is checked: a sensor at the end of its range sends a word as the value."""

    patient: str
    signal: str
    time: str
    value: float | str
    unit: str = ""
    status: str | None = None


class Retracted(msgspec.Struct, gc=False):
    """The reading that an entry retracts, if its status says so."""

    patient: str
    signal: str
    time: str
    status: str = ""


_sent = msgspec.json.Decoder(Sent)
_retracted = msgspec.json.Decoder(Retracted)
_any = msgspec.json.Decoder()

LARGEST = 64 << 10
"""An entry with more bytes is refused unread: an observation has some hundred."""
_LARGEST = sys.float_info.max
ERROR = "entered-in-error"
"""Status of an entry that retracts a reading; FHIR's word."""
_NAMED = ("patient", "signal", "time")
_WANTED = (*_NAMED, "value")
_KINDS = {type(None): "null", bool: "true or false", dict: "an object", list: "an array", str: "a string"}
_TEXTS = {
    "not_an_object": "an observation is an object with patient, signal, time and value",
    "not_finite": "the value is not a finite number",
    "time_unreadable": "the time is not ISO 8601, like 2026-01-01T00:00:00.000Z",
    "time_without_zone": "the time has no zone; end it with Z or an offset",
    "malformed_json": "the entry is not JSON",
    "invalid_utf8": "the entry is not UTF-8",
    "entry_too_large": f"an entry has at most {LARGEST} bytes",
}
_STATUS = f"an observation of status {{}} is no reading; use {', '.join(STATUSES)}, or {ERROR} to retract one"


class EntryRefused(Exception):
    """Why one entry is refused; the sentence is built only when it is asked for, as of thousands only a few are."""

    def __init__(self, reason: str, detail: str | Callable[[], str] = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self._detail = detail or _TEXTS[reason]

    def __str__(self) -> str:
        return self._detail if isinstance(self._detail, str) else self._detail()


_LONGEST = 64


def quoted(text: str) -> str:
    """Foreign text, made safe and short enough for a sentence."""
    return ascii(text) if len(text) <= _LONGEST else ascii(text[:_LONGEST]) + "…"


def _known() -> tuple[dict[str, dict[str, int]], npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """A row for every accepted (signal, unit); the rows' codes and (scale, offset) into the signal's own unit."""
    rows: dict[str, dict[str, int]] = {}
    codes: list[int] = []
    conversions: list[tuple[float, float]] = []
    for signal in SIGNALS:
        own = rows[signal.name] = {}
        for unit in (*(() if signal.unit_needed else ("",)), *accepted(signal)):
            own[unit] = len(codes)
            codes.append(signal.code)
            conversions.append((factor(signal, unit) if unit else None) or (1.0, 0.0))
    return rows, np.array(codes, np.uint16), np.array(conversions)


_ROWS, _CODES, _CONVERSIONS = _known()


def _unknown(name: str, unit: str) -> EntryRefused:
    signal = BY_NAME.get(name)
    if signal is None:
        return EntryRefused("unknown_signal", f"no signal {quoted(name)}; GET /v1/signals lists them")
    return EntryRefused("unknown_unit" if unit else "unit_missing", lambda: _of_unit(signal, unit))


def _of_unit(signal: Signal, unit: str) -> str:
    known = ", ".join(examples(signal))
    if not unit:
        return f"{signal.name} needs its unit, in the entry or on the device's key; one of: {known}"
    near = _nearest(signal, unit)
    meant = f"; did you mean {near}?" if near else ""
    return f"{signal.name} does not come in {quoted(unit)}{meant}; known: {known}"


def _nearest(signal: Signal, unit: str) -> str:
    """The accepted spelling most like ``unit``; empty if none is."""
    known: dict[str, str] = {}
    for spelling in accepted(signal):
        known.setdefault(spelling.casefold(), spelling)
    looks = get_close_matches(unit.casefold()[:64], known, n=1)
    return known[looks[0]] if looks else ""


def columns(entries: Sequence[Observation], units: Mapping[str, str] = NO_UNITS) -> Columns:
    """Entries as columns; raises ``KeyError`` or ``ValueError`` if one cannot be taken.

    ``units`` gives, by signal, the unit of entries that name none.
    """
    count = len(entries)
    patients, patient = _numbered([entry.patient for entry in entries])
    if units:
        found = [_ROWS[entry.signal][entry.unit or units.get(entry.signal, "")] for entry in entries]
    else:
        found = [_ROWS[entry.signal][entry.unit] for entry in entries]
    rows = np.fromiter(found, np.intp, count)
    scale, offset = _CONVERSIONS[rows].T
    return Columns(
        patients,
        patient,
        _CODES[rows],
        moments.column([entry.time for entry in entries]),
        np.fromiter([entry.value for entry in entries], np.float64, count) * scale + offset,
    )


def _numbered(names: list[str]) -> tuple[list[str], npt.NDArray[np.uint32]]:
    """The patients, each named once, and every entry's place among them."""
    number: dict[str, int] = {}
    place = [number.setdefault(name, len(number)) for name in names]
    return all_composed(number), np.array(place, np.uint32)


def error_of(raw: bytes) -> Observation | None:
    """The reading that an entry retracts, with a meaningless value; ``None`` if it retracts none.

    Raises ``EntryRefused``.
    """
    _readable(raw)
    try:
        found = _retracted.decode(raw)
    except UNREADABLE:
        if not _says_error(raw):
            return None
        raise _explained(raw, _NAMED) from None
    if found.status != ERROR:
        return None
    signal = BY_NAME.get(found.signal)
    return _known_good(Observation(found.patient, found.signal, found.time, 0.0, signal.unit if signal else ""))


def _says_error(raw: bytes) -> bool:
    """Whether the status of an unreadable entry says that it retracts a reading."""
    try:
        found: Any = _any.decode(raw)
    except UNREADABLE:
        return False
    return isinstance(found, dict) and found.get("status") == ERROR


def taken(raw: bytes, units: Mapping[str, str] = NO_UNITS) -> Observation:
    """One entry, completely checked; raises ``EntryRefused``. ``units`` as in ``columns``."""
    _readable(raw)
    try:
        sent = _sent.decode(raw)
    except UNREADABLE:
        raise _explained(raw) from None
    if sent.status and sent.status not in STATUSES:
        raise EntryRefused("status_not_taken", _STATUS.format(quoted(sent.status)))
    unit = sent.unit or units.get(sent.signal, "")
    if isinstance(sent.value, str):
        value, unit = _end_of_range(sent.signal, sent.value)
    else:
        value = sent.value
    return _known_good(Observation(sent.patient, sent.signal, sent.time, value, unit))


def _end_of_range(name: str, word: str) -> tuple[float, str]:
    """The value and its unit that stand for "LOW" or "HIGH"."""
    signal = BY_NAME.get(name)
    if signal is None:
        raise _unknown(name, "")
    value = signal.end_of_range(word)
    if value is None:
        wrong = _wrong("value", word)
        raise wrong or EntryRefused("wrong_type", "value must be a number")
    return value, signal.unit


def _readable(raw: bytes) -> None:
    """Raise ``EntryRefused`` for an entry that is too costly to parse."""
    if len(raw) > LARGEST:
        raise EntryRefused("entry_too_large")


def _known_good(entry: Observation) -> Observation:
    if entry.unit not in _ROWS.get(entry.signal, ()):
        raise _unknown(entry.signal, entry.unit)
    try:
        moments.moment(entry.time)
    except ValueError as error:
        raise EntryRefused(str(error)) from None
    return entry


def _explained(raw: bytes, wanted: tuple[str, ...] = _WANTED) -> EntryRefused:
    """What is wrong with an entry that could not be decoded; it needs the members ``wanted``."""
    try:
        found: Any = _any.decode(raw)
    except UNREADABLE as error:
        return _unread(raw, error)
    if not isinstance(found, dict):
        return EntryRefused("not_an_object")
    for name in wanted:
        if name not in found:
            return EntryRefused("missing_field", f"the observation has no {name}")
    for name in (*wanted, "unit"):
        wrong = _wrong(name, found.get(name, ""))
        if wrong:
            return wrong
    if not isinstance(found.get("status", ""), str):
        return EntryRefused(
            "wrong_type", f"status must be a string, not {_KINDS.get(type(found['status']), 'a number')}"
        )
    return EntryRefused("wrong_type", "the observation cannot be read")


def _unread(raw: bytes, error: Exception) -> EntryRefused:
    text = str(error)
    if isinstance(error, RecursionError):
        return EntryRefused("wrong_type", "the entry is nested too deeply")
    if isinstance(error, UnicodeError) or "utf-8" in text.lower():
        return EntryRefused("invalid_utf8")
    if "out of range" in text or b"NaN" in raw or b"Infinity" in raw:
        return EntryRefused("not_finite")
    return EntryRefused("malformed_json", text)


def _wrong(name: str, value: object) -> EntryRefused | None:
    """What is wrong with one field, if anything."""
    if name == "value":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return None if -_LARGEST <= value <= _LARGEST else EntryRefused("not_finite")
        if isinstance(value, str) and value.strip().lower().lstrip("+-") in {"nan", "inf", "infinity"}:
            return EntryRefused("not_finite")
    elif isinstance(value, str):
        return None
    wanted = "a number" if name == "value" else "a string"
    if name == "time" and isinstance(value, int | float):
        wanted = "a string like 2026-01-01T00:00:00.000Z (a number could be seconds or milliseconds)"
    return EntryRefused("wrong_type", f"{name} must be {wanted}, not {_KINDS.get(type(value), 'a number')}")
