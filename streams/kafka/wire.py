"""What stands in the topics: inputs in either form, outcomes, alarm transitions, calls for the whole state."""

from collections.abc import Container

import msgspec

from streams.entries import UNREADABLE, Refused, columns, taken
from streams.errors import FrameError
from streams.frame import as_record
from streams.log import decode_record
from twins.records import Admit, Frame, Outcome, Record, Transition

__all__ = [
    "ADDRESS",
    "ANSWER",
    "OFFSET",
    "PART",
    "Call",
    "Poison",
    "decode_call",
    "decode_outcome",
    "decode_transition",
    "encode_call",
    "encode_outcome",
    "encode_transition",
    "inputs_of",
]  # fmt: skip

OFFSET = "offset"
"""Header of an alarm transition: the place in the log of the record that brought it about."""
ADDRESS = "for"
"""Header of a whole state: the door that asked for it …"""
PART = "part"
"""… which of how many parts this is, as ``0/3`` …"""
ANSWER = "answer"
"""… and of which answer: two workers may answer at once while one has lost the partition and does not know it yet."""

STRANGERS = "unassigned"
"""Ward of a patient whom a stranger's observation admits."""
FOREIGN = "kafka"
"""Who is said to have done so, and the source of those readings."""

_WIDTHS = (("patient", 4), ("signal", 2), ("time", 8), ("value", 8))
_outcome = msgspec.msgpack.Decoder(Outcome)
_pack = msgspec.msgpack.Encoder()
_raws = msgspec.json.Decoder(list[msgspec.Raw])


class Poison(FrameError):
    """An input that can be neither taken nor read; it goes to the dead letters and its partition goes on."""


class Call(msgspec.Struct, frozen=True):
    """A door asks for the whole state of ``partitions``."""

    door: str
    partitions: list[int]


_call = msgspec.json.Decoder(Call)


def inputs_of(raw: bytes | None, received: int, known: Container[str]) -> tuple[list[Record], list[Poison]]:
    """The records an input holds, and what of it can be neither taken nor read."""
    if not raw:
        return [], [Poison("empty", "record", "an input without a value")]
    try:
        if raw.lstrip()[:1] in {b"{", b"["}:
            return _foreign(raw, received, known)
        return [_own(raw)], []
    except Poison as poison:
        return [], [poison]


def _own(raw: bytes) -> Record:
    try:
        record = decode_record(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Poison("malformed_record", "record", f"no record of the log: {error}") from None
    if isinstance(record, Frame):
        counts = {len(getattr(record, name)) / width for name, width in _WIDTHS}
        if len(counts) != 1 or not counts.pop().is_integer():
            raise Poison("malformed_frame", "columns", "columns that are ragged or of unequal length")
    return record


def _foreign(raw: bytes, received: int, known: Container[str]) -> tuple[list[Record], list[Poison]]:
    """An observation, or an array of them, as somebody else's producer wrote it, in the form ``POST /v1/observations`` takes.

    Nobody admitted its patients at a door: who is not known is admitted by it. ``received`` (µs) is Kafka's time of the record.
    """
    try:
        parts = _raws.decode(raw) if raw.lstrip()[:1] == b"[" else [msgspec.Raw(raw)]
    except UNREADABLE as error:
        raise Poison("malformed_json", "record", str(error)) from None
    good, poison = [], []
    for number, part in enumerate(parts):
        try:
            good.append(taken(bytes(part)))
        except Refused as refused:
            poison.append(Poison(refused.reason, f"entry {number}", str(refused)))
    if not good:
        return [], poison
    readings = columns(good)
    admitted: list[Record] = [
        Admit(patient=patient, ward=STRANGERS, stranger=True, by=FOREIGN, received=received)
        for patient in readings.patients
        if patient not in known
    ]
    return [*admitted, as_record(readings, received, (FOREIGN,))], poison


def encode_outcome(outcome: Outcome) -> bytes:
    """An outcome as it stands in ``estimates``, all a door has to hear of in one record; statuses stay in the worker."""
    return _pack.encode(
        Outcome(
            partition=outcome.partition, offset=outcome.offset, time=outcome.time, complete=outcome.complete,
            estimates=outcome.estimates, scores=outcome.scores, profiles=outcome.profiles, ward_limits=outcome.ward_limits,
            transitions=outcome.transitions,
        )
    )  # fmt: skip


def decode_outcome(raw: bytes) -> Outcome:
    """The outcome back; raises ``msgspec.MsgspecError``."""
    return _outcome.decode(raw)


def encode_transition(transition: Transition) -> bytes:
    """A transition as JSON: whoever subscribes to ``alarms`` can read it."""
    return msgspec.json.encode(transition)


def decode_transition(raw: bytes) -> Transition:
    """The transition back; raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(raw, type=Transition)


def encode_call(call: Call) -> bytes:
    """A call as it stands in ``roll-calls``."""
    return msgspec.json.encode(call)


def decode_call(raw: bytes) -> Call:
    """The call back; raises ``msgspec.MsgspecError``."""
    return _call.decode(raw)
