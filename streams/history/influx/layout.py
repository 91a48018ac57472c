"""The form of transitions, facts and stays in InfluxDB: a record as JSON, with few tags.

They have their own bucket, with a longer retention than readings. InfluxDB identifies a point by its tags and its time,
and many transitions may share a microsecond. A tag with the id would make each transition a series of its own for ever.
So the tags say what a transition is about (patient, condition, signal, presence). Its nanosecond within the microsecond
comes from its id: the alarm's checksum and the number of the change. Two transitions can collide only if they have the
same tags and the same microsecond in two episodes of one condition, and then once in a thousand. A revision has no id,
and one reading may be revised many times: there the place in the log picks one of some thousand points, most of them
distinguished by a tag with few values.
"""

import zlib

import msgspec

from streams.history.buffer import PlacedFact, PlacedRevision, PlacedStay, PlacedTransition, place
from streams.history.events import fact_id, plain
from streams.history.influx.line_protocol import LAST_US, quoted, tag
from twins.records import Fact, Revision, Stay, Transition

__all__ = [
    "fact_line", "fact_of", "json_of", "revision_line", "revision_of", "stay_line", "stay_of", "transition_line",
    "transition_of",
]  # fmt: skip

_encode = msgspec.json.Encoder(enc_hook=plain).encode


class _Place(msgspec.Struct):
    place: int


_transition = msgspec.json.Decoder(Transition).decode
_place = msgspec.json.Decoder(_Place).decode
fact_of = msgspec.json.Decoder(Fact).decode
stay_of = msgspec.json.Decoder(Stay).decode
_revision = msgspec.json.Decoder(Revision).decode
_POINTS, _STEP = 4000, 2473
"""Points for the revisions of one moment of a signal. Golden-section steps put neighbouring records far apart."""


def json_of(item: Transition | Fact | Stay | Revision) -> bytes:
    """The stored form; numpy numbers become plain numbers."""
    return _encode(item)


def transition_of(record: str) -> tuple[tuple[int, int, str], Transition]:
    """A stored transition after its sort key: time, place in the log, id."""
    item = _transition(record)
    return (item.time, _place(record).place, item.id), item


def transition_line(placed: PlacedTransition) -> bytes:
    """A transition as a line with nanoseconds; empty if InfluxDB cannot represent its time."""
    item = placed.transition
    if not -LAST_US <= item.time <= LAST_US:
        return b""
    record = b'{"place":%d,' % place(placed.offset, placed.place) + placed.body[1:]
    return b"alarm,%b,condition=%b,signal=%b,presence=%b alarm=%b,record=%b %d\n" % (
        b"patient=" + tag(item.patient), tag(item.condition), tag(item.signal), tag(item.presence),
        quoted(item.alarm.encode()), quoted(record), item.time * 1000 + _nanosecond(item),
    )  # fmt: skip


def fact_line(noted: PlacedFact) -> bytes:
    """A fact as a line with nanoseconds; empty if InfluxDB cannot represent its time."""
    fact = noted.fact
    if not -LAST_US <= fact.time <= LAST_US:
        return b""
    return b"fact,patient=%b,kind=%b record=%b %d\n" % (
        tag(fact.patient), tag(fact.kind), quoted(noted.body),
        fact.time * 1000 + zlib.crc32(fact_id(fact).encode()) % 1000,
    )  # fmt: skip


def stay_line(lodged: PlacedStay) -> bytes:
    """A stay as a line with nanoseconds, at its admission; empty if InfluxDB cannot represent its time."""
    stay = lodged.stay
    if not -LAST_US <= stay.admitted <= LAST_US:
        return b""
    return b"stay,patient=%b record=%b %d\n" % (tag(stay.patient), quoted(lodged.body), stay.admitted * 1000)


def _nanosecond(item: Transition) -> int:
    number = item.id.rpartition("-")[2]
    change = int(number) if number.isascii() and number.isdecimal() else zlib.crc32(item.id.encode())
    return (zlib.crc32(item.alarm.encode()) + change) % 1000


def revision_of(record: str) -> tuple[tuple[int, int], Revision]:
    """A stored revision after its sort key: the reading's time, place in the log."""
    item = _revision(record)
    return (item.time, _place(record).place), item


def revision_line(revised: PlacedRevision) -> bytes:
    """A revision as a line, one of the points of its moment; empty if InfluxDB cannot represent its time."""
    item = revised.revision
    if not -LAST_US <= item.time <= LAST_US:
        return b""
    part, nanosecond = divmod((revised.offset * _STEP + revised.place) % _POINTS, 1000)
    where = place(revised.offset, revised.place)
    return b"revision,patient=%b,signal=%b,what=%b,part=%d record=%b %d\n" % (
        tag(item.patient), tag(item.signal), tag(item.what), part,
        quoted(b'{"place":%d,' % where + revised.body[1:]), item.time * 1000 + nanosecond,
    )  # fmt: skip
