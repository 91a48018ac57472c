"""What stands in the topics: inputs in either form, outcomes, alarm transitions, calls for the whole state."""

from collections.abc import Container

import msgspec

from streams.errors import FrameError
from streams.log import decode_record
from twins.records import Frame, Outcome, Record, Transition

__all__ = [
    "ADDRESS", "LAST", "OFFSET", "Call", "Poison", "decode_call", "decode_outcome", "decode_transition", "encode_call",
    "encode_outcome", "encode_transition", "inputs_of",
]  # fmt: skip

OFFSET = "offset"
"""Header of an alarm transition: the place in the log of the record that brought it about."""
ADDRESS = "for"
"""Header of a whole state: the door that asked for it …"""
LAST = "last"
"""… and of its last part."""

_WIDTHS = (("patient", 4), ("signal", 2), ("time", 8), ("value", 8))
_outcome = msgspec.msgpack.Decoder(Outcome)
_pack = msgspec.msgpack.Encoder()


class Poison(FrameError):
    """An input that can be neither taken nor read; it goes to the dead letters and its partition goes on."""


class Call(msgspec.Struct, frozen=True):
    """A door asks for the whole state of ``partitions``."""

    door: str
    partitions: list[int]


_call = msgspec.json.Decoder(Call)


def inputs_of(raw: bytes | None, received: int, known: Container[str]) -> list[Record]:
    """The records an input holds; raises ``Poison``."""
    if not raw:
        raise Poison("empty", "record", "an input without a value")
    try:
        record = decode_record(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Poison("malformed_record", "record", f"no record of the log: {error}") from None
    if isinstance(record, Frame):
        counts = {len(getattr(record, name)) / width for name, width in _WIDTHS}
        if len(counts) != 1 or not counts.pop().is_integer():
            raise Poison("malformed_frame", "columns", "columns that are ragged or of unequal length")
    return [record]


def encode_outcome(outcome: Outcome) -> bytes:
    """An outcome as it stands in ``estimates``: transitions have a topic of their own, statuses stay in the worker."""
    return _pack.encode(
        Outcome(
            partition=outcome.partition, offset=outcome.offset, time=outcome.time, complete=outcome.complete,
            estimates=outcome.estimates, scores=outcome.scores, profiles=outcome.profiles, ward_limits=outcome.ward_limits,
            transitions=outcome.transitions if outcome.complete else [],
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
