"""Read a record of the topic ``inputs``: one of our own, or observations of a foreign producer."""

import msgspec

from streams.errors import FrameError
from streams.log.entries import UNREADABLE, EntryRefused, Observation, columns, error_of, taken
from streams.log.log import decode_record
from twins.records import Columns, Frame, Record

__all__ = ["Foreign", "Poison", "read"]

_WIDTHS = (("patient", 4), ("signal", 2), ("time", 8), ("value", 8))
_SOURCE_WIDTH = 2
_raws = msgspec.json.Decoder(list[msgspec.Raw])


class Poison(FrameError):
    """An unreadable or unacceptable input; it goes to the dead letters and its partition goes on."""


class Foreign(msgspec.Struct, frozen=True):
    """A foreign producer's observations: readings and retractions, each with the entries' positions in their record."""

    readings: Columns
    places: list[int]
    errors: Columns
    error_places: list[int]


def read(raw: bytes | None) -> tuple[Record | Foreign | None, list[Poison]]:
    """The content of an input, and the parts of it that cannot be read."""
    if not raw:
        return None, [Poison("empty", "record", "an input without a value")]
    try:
        if raw.lstrip()[:1] in {b"{", b"["}:
            return _foreign(raw)
        return _own(raw), []
    except Poison as poison:
        return None, [poison]


def _own(raw: bytes) -> Record:
    try:
        record = decode_record(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Poison("malformed_record", "record", f"not a record of the log: {error}") from None
    if isinstance(record, Frame):
        counts = {len(getattr(record, name)) / width for name, width in _WIDTHS}
        if record.source:
            counts.add(len(record.source) / _SOURCE_WIDTH)
        if len(counts) != 1 or not counts.pop().is_integer():
            raise Poison("malformed_frame", "columns", "columns that are ragged or of unequal length")
    return record


def _foreign(raw: bytes) -> tuple[Foreign, list[Poison]]:
    """An observation or an array of them from a foreign producer, in the form of ``POST /v1/observations``."""
    try:
        parts = _raws.decode(raw) if raw.lstrip()[:1] == b"[" else [msgspec.Raw(raw)]
    except UNREADABLE as error:
        raise Poison("malformed_json", "record", str(error)) from None
    good: list[Observation] = []
    errors: list[Observation] = []
    places: list[int] = []
    error_places: list[int] = []
    poison = []
    for number, part in enumerate(parts):
        try:
            retracted = error_of(bytes(part))
            if retracted is None:
                good.append(taken(bytes(part)))
                places.append(number)
            else:
                errors.append(retracted)
                error_places.append(number)
        except EntryRefused as refused:
            poison.append(Poison(refused.reason, f"entry {number}", str(refused)))
    return Foreign(columns(good), places, columns(errors), error_places), poison
