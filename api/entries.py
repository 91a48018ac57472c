"""Bodies of observations in JSON: a whole array read strictly at once, or, if that fails, entry by entry with reasons.

An entry whose status is *entered-in-error* takes a reading back and needs no value; it does not pass the strict reader.
"""

import json

import msgspec
import numpy as np

from api.lot import Lot, Refusals, raw_entry
from api.problems import Fault, Problem
from streams.entries import ERROR, UNREADABLE, Entry, Refused, Standing, columns, error_of, taken

__all__ = ["ERROR", "Entry", "read_json", "read_lines"]

MAX_ENTRIES = 200_000
"""Most entries of one body; a frame takes more."""

_line = msgspec.json.Decoder(Standing)
_entries = msgspec.json.Decoder(list[Standing])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()


def read_json(body: bytes) -> Lot:
    """The observations of a JSON body, an object or an array; raises ``Problem`` when it is not JSON."""
    if body[:64].lstrip()[:1] != b"[":
        return _one_by_one([_whole(body)])
    try:
        entries = _entries.decode(body)
        _bounded(len(entries))
        return Lot(columns(entries), raw_entry(lambda: _raws.decode(body)))
    except (*UNREADABLE, KeyError):
        pass
    return _one_by_one(_cut(body))


def read_lines(body: bytes) -> Lot:
    """The observations of an NDJSON body; empty lines do not count as entries."""
    try:
        entries = _line.decode_lines(body)
        _bounded(len(entries))
        return Lot(columns(entries), raw_entry(lambda: _lines(body)))
    except (*UNREADABLE, KeyError):
        return _one_by_one(_lines(body))


def _cut(body: bytes) -> list[bytes]:
    """The entries of an array; Python's own reader still tells neighbours of a bare NaN apart."""
    try:
        return [bytes(raw) for raw in _raws.decode(body)]
    except UNREADABLE as error:
        try:
            return [json.dumps(entry).encode() for entry in json.loads(body)]
        except UNREADABLE:
            raise _malformed(error) from None


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _whole(body: bytes) -> bytes:
    try:
        _any.decode(body)
    except UNREADABLE as error:
        raise _malformed(error) from None
    return body


def _bounded(count: int) -> None:
    if count > MAX_ENTRIES:
        raise Problem("body-too-large", f"{count} entries; a body of JSON holds at most {MAX_ENTRIES}, a frame more")


def _malformed(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        fault = Fault("too_deep", "the JSON is nested too deeply", field="body")
    elif isinstance(error, UnicodeError) or "utf-8" in str(error).lower():
        fault = Fault("invalid_utf8", str(error), field="body")
    else:
        fault = Fault("malformed_json", str(error), field="body")
    return Problem("malformed-body", f"the body is not JSON: {fault.detail}", faults=[fault])


def _one_by_one(raws: list[bytes]) -> Lot:
    _bounded(len(raws))
    refusals = Refusals()
    good: list[Entry] = []
    places: list[int] = []
    errors: list[Entry] = []
    errors_at: list[int] = []
    for index, raw in enumerate(raws):
        try:
            error = error_of(raw) if b"status" in raw else None
            if error is None:
                good.append(taken(raw))
                places.append(index)
            else:
                errors.append(error)
                errors_at.append(index)
        except Refused as refused:
            refusals.add(index, refused.reason, str(refused))
    bytes_of = raw_entry(lambda: raws)
    lot = Lot(columns(good), bytes_of, np.array(places, np.intp), refusals)
    if errors:
        lot.errors = Lot(columns(errors), bytes_of, np.array(errors_at, np.intp), refusals)
    return lot
