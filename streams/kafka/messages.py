"""What stands in the topics: inputs in either form, outcomes, alarm transitions, calls for the whole state."""

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
"""Header of an alarm transition: the place in the log of the record that brought it about."""
ADDRESS = "for"
"""Header of a whole state: the door that asked for it, or ``EVERYBODY`` …"""
EVERYBODY = b"*"
BEAT = "beat"
"""Header of an outcome of nothing, for everybody: when the input that was through the twins last had arrived (µs)."""
PART = "part"
"""… which of how many parts this is, as ``0/3`` …"""
ANSWER = "answer"
"""… and of which answer: two workers may answer at once while one has lost the partition and does not know it yet."""


_outcome = msgspec.msgpack.Decoder(Outcome)
_pack = msgspec.msgpack.Encoder()


class Call(msgspec.Struct, frozen=True):
    """A door asks for the whole state of ``partitions``."""

    door: str
    partitions: list[int]


_call = msgspec.json.Decoder(Call)


def encode_outcome(outcome: Outcome) -> bytes:
    """An outcome as it stands in ``estimates``, all a door has to hear of in one record; statuses stay in the worker."""
    return _pack.encode(
        Outcome(
            partition=outcome.partition, offset=outcome.offset, time=outcome.time, complete=outcome.complete,
            estimates=outcome.estimates, scores=outcome.scores, profiles=outcome.profiles, ward_limits=outcome.ward_limits,
            wards=outcome.wards,
            transitions=outcome.transitions, outputs=outcome.outputs,
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
