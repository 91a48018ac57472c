"""The records of the topics: outcomes, alarm transitions, calls for the whole state."""

import msgspec

from streams.kafka.worker.intake import inputs_of
from twins.records import Outcome, Transition

__all__ = [
    "ADDRESS",
    "ANSWER",
    "BEAT",
    "EVERYBODY",
    "OFFSET",
    "PART",
    "Call",
    "decode_call",
    "decode_outcome",
    "decode_transition",
    "encode_call",
    "encode_outcome",
    "encode_transition",
    "inputs_of",
]  # fmt: skip

OFFSET = "offset"
"""Header of an alarm transition: the place in the log of the record that caused it."""
ADDRESS = "for"
"""Header of a whole state: the door that asked for it, or ``EVERYBODY`` …"""
EVERYBODY = b"*"
BEAT = "beat"
"""Header of an empty outcome, a heartbeat for all doors: when the newest processed input had arrived (µs)."""
PART = "part"
"""… the number of this part and of all parts, like ``0/3`` …"""
ANSWER = "answer"
"""… and its answer: two workers may answer at once while one has lost the partition and does not know it yet."""


_outcome = msgspec.msgpack.Decoder(Outcome)
_pack = msgspec.msgpack.Encoder()


class Call(msgspec.Struct, frozen=True):
    """A door asks for the whole state of ``partitions``."""

    door: str
    partitions: list[int]


_call = msgspec.json.Decoder(Call)


def encode_outcome(outcome: Outcome) -> bytes:
    """An outcome as a record of ``estimates``, everything for a door in one record; statuses stay in the worker."""
    return _pack.encode(
        Outcome(
            partition=outcome.partition, offset=outcome.offset, time=outcome.time, complete=outcome.complete,
            estimates=outcome.estimates, scores=outcome.scores, profiles=outcome.profiles, ward_limits=outcome.ward_limits,
            wards=outcome.wards, rules=outcome.rules, zones=outcome.zones, settings=outcome.settings, notices=outcome.notices,
            transitions=outcome.transitions, outputs=outcome.outputs,
        )
    )  # fmt: skip


def decode_outcome(raw: bytes) -> Outcome:
    """The outcome from its record; raises ``msgspec.MsgspecError``."""
    return _outcome.decode(raw)


def encode_transition(transition: Transition) -> bytes:
    """A transition as JSON, so that every subscriber of ``alarms`` can read it."""
    return msgspec.json.encode(transition)


def decode_transition(raw: bytes) -> Transition:
    """The transition from its record; raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(raw, type=Transition)


def encode_call(call: Call) -> bytes:
    """A call as a record of ``roll-calls``."""
    return msgspec.json.encode(call)


def decode_call(raw: bytes) -> Call:
    """The call from its record; raises ``msgspec.MsgspecError``."""
    return _call.decode(raw)
