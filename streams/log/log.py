"""The log as the worker and the doors see it, in either runtime: ordered records by partition, and dead letters."""

import msgspec

from twins.records import Record

__all__ = [
    "DeadLetter",
    "LogEntry",
    "decode_dead_letter",
    "decode_record",
    "encode_dead_letter",
    "encode_record",
    "unheard_us",
]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)

_MISSED_TICKS = 5


class DeadLetter(msgspec.Struct, frozen=True):
    """A refused input: when (µs), from whom, why, where in the request, a sentence, and the bytes themselves."""

    received: int
    source: str
    reason: str
    where: str
    detail: str
    body: bytes


class LogEntry(msgspec.Struct, frozen=True):
    """A record at its place in the log."""

    partition: int
    offset: int
    record: Record


def encode_record(record: Record) -> bytes:
    """The record as bytes of the log."""
    return _encoder.encode(record)


def decode_record(raw: bytes) -> Record:
    """The record from its bytes; raises ``msgspec.MsgspecError`` for foreign bytes."""
    record: Record = _decoder.decode(raw)
    return record


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The dead letter as JSON, its body as base64: for people who look for the mistake."""
    return msgspec.json.encode(letter)


def decode_dead_letter(raw: bytes) -> DeadLetter:
    """The dead letter from its JSON; raises ``msgspec.MsgspecError`` for foreign bytes."""
    return msgspec.json.decode(raw, type=DeadLetter)


def unheard_us(last: int, now: int, tick_s: float) -> int:
    """Time (µs) since the log's last record at ``last``, if it is so long that no input can have reached the log; else 0.

    A working log has a tick every ``tick_s``; before its first record (``last`` 0) nothing was expected.
    """
    gap = now - last
    return gap if last and gap > _MISSED_TICKS * max(1.0, tick_s) * 1e6 else 0
