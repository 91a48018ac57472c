"""How transitions, facts and stays stand in InfluxDB: a record as JSON under tags that are few.

They live in a bucket of their own, kept longer than readings. A point is known by its tags and its time, and many
transitions may share a microsecond. A tag with the id would make each of them a series for ever, so the tags are what a
transition is about (patient, condition, signal, presence), and of the thousand nanoseconds within its microsecond it
takes the one its id names: by the alarm's checksum and the number of the change. Two transitions could only meet if
they said the same of the same patient in the same microsecond in two episodes of one condition, and then once in a
thousand. What is done to readings has no id and may be done to one moment again and again: there the place in the log
names one of some thousand points, most of them told apart by a tag with few values.
"""

import zlib

import msgspec

from streams.history.buffer import Lodged, Noted, Placed, Revised, place
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
"""For what is done to one moment of a signal. By steps of the golden section records near each other are far apart here."""


def json_of(item: Transition | Fact | Stay | Revision) -> bytes:
    """The stored form; numbers of numpy become plain ones."""
    return _encode(item)


def transition_of(record: str) -> tuple[tuple[int, int, str], Transition]:
    """A transition as it was stored, behind what orders it: time, place in the log, id."""
    item = _transition(record)
    return (item.time, _place(record).place, item.id), item


def transition_line(placed: Placed) -> bytes:
    """A transition as a line with nanoseconds; nothing when InfluxDB has no such time."""
    item = placed.transition
    if not -LAST_US <= item.time <= LAST_US:
        return b""
    record = b'{"place":%d,' % place(placed.offset, placed.place) + placed.body[1:]
    return b"alarm,%b,condition=%b,signal=%b,presence=%b alarm=%b,record=%b %d\n" % (
        b"patient=" + tag(item.patient), tag(item.condition), tag(item.signal), tag(item.presence),
        quoted(item.alarm.encode()), quoted(record), item.time * 1000 + _nanosecond(item),
    )  # fmt: skip


def fact_line(noted: Noted) -> bytes:
    """A fact as a line with nanoseconds; nothing when InfluxDB has no such time."""
    fact = noted.fact
    if not -LAST_US <= fact.time <= LAST_US:
        return b""
    return b"fact,patient=%b,kind=%b record=%b %d\n" % (
        tag(fact.patient), tag(fact.kind), quoted(noted.body),
        fact.time * 1000 + zlib.crc32(fact_id(fact).encode()) % 1000,
    )  # fmt: skip


def stay_line(lodged: Lodged) -> bytes:
    """A stay as a line with nanoseconds, by its admission; nothing when InfluxDB has no such time."""
    stay = lodged.stay
    if not -LAST_US <= stay.admitted <= LAST_US:
        return b""
    return b"stay,patient=%b record=%b %d\n" % (tag(stay.patient), quoted(lodged.body), stay.admitted * 1000)


def _nanosecond(item: Transition) -> int:
    number = item.id.rpartition("-")[2]
    change = int(number) if number.isascii() and number.isdecimal() else zlib.crc32(item.id.encode())
    return (zlib.crc32(item.alarm.encode()) + change) % 1000


def revision_of(record: str) -> tuple[tuple[int, int], Revision]:
    """What was done to a reading as it was stored, behind what orders it: the reading's time, place in the log."""
    item = _revision(record)
    return (item.time, _place(record).place), item


def revision_line(revised: Revised) -> bytes:
    """What was done to a reading as a line, as one of the points of its moment; nothing without such a time."""
    item = revised.revision
    if not -LAST_US <= item.time <= LAST_US:
        return b""
    part, nanosecond = divmod((revised.offset * _STEP + revised.place) % _POINTS, 1000)
    where = place(revised.offset, revised.place)
    return b"revision,patient=%b,signal=%b,what=%b,part=%d record=%b %d\n" % (
        tag(item.patient), tag(item.signal), tag(item.what), part,
        quoted(b'{"place":%d,' % where + revised.body[1:]), item.time * 1000 + nanosecond,
    )  # fmt: skip
