"""Alarm transitions, charted facts and stays: plain rows, merged with what is still in the buffer."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from streams.history.base import Page
from streams.history.buffer import Waiting, place
from twins.records import Fact, Revision, Stay, Transition

__all__ = [
    "Key",
    "Question",
    "alarm",
    "charted",
    "during",
    "encode",
    "fact_id",
    "facts",
    "insert",
    "key_of",
    "newest",
    "page_of",
    "plain",
    "revisions",
    "stays",
    "stays_within",
    "transitions",
    "wanted",
]

_transition = msgspec.msgpack.Decoder(Transition).decode
_fact = msgspec.msgpack.Decoder(Fact).decode
_stay = msgspec.msgpack.Decoder(Stay).decode
_revision = msgspec.msgpack.Decoder(Revision).decode

Key = tuple[int, int, str]
"""time, place in the log, id: the order of transitions"""


class Question(NamedTuple):
    """Which transitions: of ``patients`` (``None``: all), in [start, end), beyond a cursor."""

    patients: tuple[str, ...] | None
    start_us: int
    end_us: int
    cursor: str | None
    limit: int
    ascending: bool
    latest: bool


def encode(item: Transition | Fact | Stay | Revision) -> bytes:
    """The stored form; numpy numbers become plain numbers."""
    return msgspec.msgpack.encode(item, enc_hook=plain)


def plain(value: Any) -> Any:  # noqa: ANN401 (an explanation may contain any value)
    """A numpy value as a plain Python value; raises NotImplementedError."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} cannot be stored in history")


def insert(connection: sqlite3.Connection, waiting: Waiting) -> None:
    """Write transitions, facts and stays: a fact only once, the others replace a row with the same identity."""
    connection.executemany(
        "INSERT OR REPLACE INTO history_transition (id, alarm, patient, time, place, body) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (placed.transition.id, placed.transition.alarm, placed.transition.patient, placed.transition.time,
             place(placed.offset, placed.place), placed.body)
            for placed in waiting.transitions
        ],
    )  # fmt: skip
    connection.executemany(
        "INSERT OR IGNORE INTO history_charted (patient, id, time, body) VALUES (?, ?, ?, ?)",
        [(placed.fact.patient, fact_id(placed.fact), placed.fact.time, placed.body) for placed in waiting.facts],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO history_stay (patient, admitted, discharged, body) VALUES (?, ?, ?, ?)",
        [(placed.stay.patient, placed.stay.admitted, placed.stay.discharged, placed.body) for placed in waiting.stays],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO history_revision (patient, signal, time, place, received, body) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                placed.revision.patient,
                placed.revision.signal,
                placed.revision.time,
                place(placed.offset, placed.place),
                placed.revision.received,
                placed.body,
            )
            for placed in waiting.revisions
        ],
    )


def transitions(connection: sqlite3.Connection, waiting: Waiting, question: Question) -> Page[Transition]:
    """A page of transitions, by (time, place in the log, id); raises ValueError on a foreign cursor."""
    after = None if question.cursor is None else key_of(question.cursor)
    fresh, alarms = _buffered(waiting), set[str]()
    if question.latest:
        alarms = {item.alarm for item in fresh.values()}
        fresh = newest(_over(_of_alarms(connection, alarms), fresh))
    names = {item.id for item in fresh.values()}
    found = {
        key: item
        for key, item in _select(connection, question, after, len(fresh))
        if item.id not in names and item.alarm not in alarms
    }
    found |= {key: item for key, item in fresh.items() if wanted(key, item, question, after)}
    return page_of(found, question)


def page_of(found: dict[Key, Transition], question: Question) -> Page[Transition]:
    """The first transitions found, in the question's order, and the cursor for the next page."""
    keys = sorted(found, reverse=not question.ascending)
    cut = keys[: question.limit]
    cursor = "{}:{}:{}".format(*cut[-1]) if len(keys) > len(cut) > 0 else None
    return Page([found[key] for key in cut], cursor)


def alarm(connection: sqlite3.Connection, waiting: Waiting, name: str) -> list[Transition]:
    """All transitions of one alarm, oldest first."""
    fresh = {key: item for key, item in _buffered(waiting).items() if item.alarm == name}
    whole = _over(_of_alarms(connection, {name}), fresh)
    return in_order(whole.values())


def in_order(changes: Iterable[Transition]) -> list[Transition]:
    """Changes of one alarm in order of their number; a late reading may give them other times."""
    return sorted(changes, key=lambda one: one.number)


def facts(connection: sqlite3.Connection, waiting: Waiting, patient: str, start_us: int, end_us: int) -> list[Fact]:
    """Facts of a window, oldest first."""
    stored = [
        _fact(body)
        for (body,) in connection.execute(
            "SELECT body FROM history_charted WHERE patient = ? AND time >= ? AND time < ?",
            (patient, start_us, end_us),
        )
    ]
    fresh = [
        placed.fact
        for placed in waiting.facts
        if placed.fact.patient == patient and start_us <= placed.fact.time < end_us
    ]
    return charted(stored + fresh)


def charted(found: Collection[Fact]) -> list[Fact]:
    """Facts by time; of several with the same id the one charted first."""
    first: dict[str, Fact] = {}
    for fact in sorted(found, key=lambda fact: fact.received):
        first.setdefault(fact_id(fact), fact)
    return sorted(first.values(), key=lambda fact: (fact.time, fact.received, fact_id(fact)))


def fact_id(fact: Fact) -> str:
    """The identity of a fact: its id; without one, all that was charted."""
    if fact.id:
        return fact.id
    said = msgspec.json.encode([fact.kind, fact.time, fact.value, fact.unit, fact.note, fact.by], enc_hook=plain)
    return blake2b(said, digest_size=10).hexdigest()


def revisions(
    connection: sqlite3.Connection, waiting: Waiting, patient: str, signal: str, window: tuple[int, int]
) -> list[Revision]:
    """Revisions of the readings of a window, by the readings' time, then in the order they happened."""
    stored = [
        _revision(body)
        for (body,) in connection.execute(
            "SELECT body FROM history_revision WHERE patient = ? AND signal = ? AND time >= ? AND time < ?"
            " ORDER BY time, place",
            (patient, signal, *window),
        )
    ]
    fresh = [placed.revision for placed in waiting.revisions]
    stored += [
        one for one in fresh if (one.patient, one.signal) == (patient, signal) and window[0] <= one.time < window[1]
    ]
    return sorted(stored, key=lambda one: one.time)


def stays(connection: sqlite3.Connection, waiting: Waiting, patient: str) -> list[Stay]:
    """The stays of a patient's id, oldest first, each in its latest form."""
    found = {
        admitted: _stay(body)
        for admitted, body in connection.execute(
            "SELECT admitted, body FROM history_stay WHERE patient = ?", (patient,)
        )
    }
    found |= {placed.stay.admitted: placed.stay for placed in waiting.stays if placed.stay.patient == patient}
    return [found[admitted] for admitted in sorted(found)]


def stays_within(connection: sqlite3.Connection, waiting: Waiting, start_us: int, end_us: int) -> list[Stay]:
    """The stays that are in progress at any time of a window."""
    rows = connection.execute(
        "SELECT body FROM history_stay WHERE admitted < ? AND (discharged = 0 OR discharged > ?)", (end_us, start_us)
    )
    found = {(stay.patient, stay.admitted): stay for stay in (_stay(body) for (body,) in rows)}
    found |= {(placed.stay.patient, placed.stay.admitted): placed.stay for placed in waiting.stays}
    return during(found.values(), start_us, end_us)


def during(stays: Iterable[Stay], start_us: int, end_us: int) -> list[Stay]:
    """Those of the stays that are in progress at any time of a window, by patient and time."""
    found = [one for one in stays if one.admitted < end_us and (not one.discharged or one.discharged > start_us)]
    return sorted(found, key=lambda stay: (stay.patient, stay.admitted))


def key_of(cursor: str) -> Key:
    """The key that a page's cursor stands for; raises ValueError."""
    time, at, name = cursor.split(":", 2)
    return int(time), int(at), name


def _buffered(waiting: Waiting) -> dict[Key, Transition]:
    last = {placed.transition.id: placed for placed in waiting.transitions}
    return {
        (placed.transition.time, place(placed.offset, placed.place), name): placed.transition
        for name, placed in last.items()
    }


def _over(stored: dict[Key, Transition], fresh: dict[Key, Transition]) -> dict[Key, Transition]:
    """The stored transitions; those also in the buffer are replaced."""
    names = {item.id for item in fresh.values()}
    return {key: item for key, item in stored.items() if item.id not in names} | fresh


def newest(found: dict[Key, Transition]) -> dict[Key, Transition]:
    """Only the last transition of each alarm."""
    last = {found[key].alarm: key for key in sorted(found, key=lambda key: (found[key].number, key))}
    return {key: found[key] for key in last.values()}


def wanted(key: Key, item: Transition, question: Question, after: Key | None) -> bool:
    """Whether a transition belongs to the answer and lies beyond ``after``."""
    beyond = after is None or (key > after if question.ascending else key < after)
    whose = question.patients is None or item.patient in question.patients
    return beyond and whose and question.start_us <= item.time < question.end_us


def _of_alarms(connection: sqlite3.Connection, alarms: Collection[str]) -> dict[Key, Transition]:
    rows = connection.execute(
        "SELECT time, place, id, body FROM history_transition WHERE alarm IN (SELECT value FROM json_each(?))",
        (json.dumps(list(alarms)),),
    )
    return {(time, at, name): _transition(body) for time, at, name, body in rows}


def _select(
    connection: sqlite3.Connection, question: Question, after: Key | None, more: int
) -> Iterator[tuple[Key, Transition]]:
    """Stored transitions of a page, one beyond it, and ``more`` because the buffer may replace some."""
    text = "SELECT time, place, id, body FROM history_transition AS one WHERE time >= ? AND time < ?"
    given: list[int | str] = [question.start_us, question.end_us]
    if question.patients is not None:
        text += " AND patient IN (SELECT value FROM json_each(?))"
        given.append(json.dumps(question.patients))
    if after is not None:
        text += f" AND (time, place, id) {'>' if question.ascending else '<'} (?, ?, ?)"
        given += after
    if question.latest:
        text += (
            " AND NOT EXISTS (SELECT 1 FROM history_transition AS other WHERE other.alarm = one.alarm"
            " AND (other.place, other.time, other.id) > (one.place, one.time, one.id))"
        )
    way = "" if question.ascending else "DESC"
    text += f" ORDER BY time {way}, place {way}, id {way} LIMIT ?"
    for time, at, name, body in connection.execute(text, (*given, question.limit + 1 + more)):
        yield (time, at, name), _transition(body)
