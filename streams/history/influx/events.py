"""Read alarm transitions, charted facts and stays from their bucket."""

from operator import itemgetter

from streams.clock import Clock
from streams.history.base import Page
from streams.history.events import Key, Question, charted, during, in_order, key_of, newest, page_of, wanted
from streams.history.influx.flux import answer, clipped, selection, text, us
from streams.history.influx.layout import fact_of, revision_of, stay_of, transition_of
from streams.history.influx.line_protocol import LAST_US, unescaped
from streams.history.influx.link import Link
from twins.records import Fact, Revision, Stay, Transition

__all__ = ["alarm", "facts", "revisions", "stays", "stays_within", "transitions"]

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_NAMED = 50
"""A query names at most this many patients; for more it asks for all and drops the others."""
_KEEP = '|> keep(columns: ["_time", "_value"])'


async def transitions(link: Link, bucket: str, keep_us: int, question: Question) -> Page[Transition]:
    """A page of transitions, by (time, place in the log, id); raises ValueError on a foreign cursor.

    Flux has no cheap way to read only the first of many. So longer and longer parts of the window are asked for, from the
    end where the page begins, until the page is full.
    """
    after = None if question.cursor is None else key_of(question.cursor)
    if question.latest:
        found = newest(await _select(link, bucket, question.start_us, LAST_US + 1, question.patients))
        return page_of({key: item for key, item in found.items() if wanted(key, item, question, after)}, question)
    start, end = question.start_us, question.end_us
    if after is not None:
        start, end = (max(start, after[0]), end) if question.ascending else (start, min(end, after[0] + 1))
    now, width = Clock().now(), _HOUR_US
    while True:
        begin, until = start, end
        if width < keep_us and question.ascending:
            until = min(end, max(start, now - keep_us - _DAY_US) + width)
        elif width < keep_us:
            begin = max(start, min(end, now + _DAY_US) - width)
        found = await _select(link, bucket, begin, until, question.patients)
        found = {key: item for key, item in found.items() if wanted(key, item, question, after)}
        if len(found) > question.limit or (begin, until) == (start, end):
            return page_of(found, question)
        width *= 8


async def _select(
    link: Link, bucket: str, start_us: int, end_us: int, patients: tuple[str, ...] | None
) -> dict[Key, Transition]:  # fmt: skip
    """The transitions of a window, possibly of more patients than those named."""
    window = clipped(start_us, end_us)
    if window is None or patients == ():
        return {}
    whose = {"patient": patients} if patients is not None and len(patients) <= _NAMED else {}
    found = answer(await link.query(f"{selection(bucket, window, 'alarm', ['record'], **whose)} {_KEEP}"))
    rows = sorted((transition_of(record) for column in found.values() for record in column.value), key=itemgetter(0))
    last = {key[2]: (key, item) for key, item in rows}
    return dict(last.values())


async def alarm(link: Link, bucket: str, name: str) -> list[Transition]:
    """All transitions of one alarm, oldest first."""
    ever = selection(bucket, (-LAST_US, LAST_US + 1), "alarm", ["alarm"])
    whose = "|> map(fn: (r) => ({_time: r._time, _value: r.patient}))"
    found = answer(await link.query(f"{ever} |> filter(fn: (r) => r._value == {text(name)}) {whose}"))
    times = [time for column in found.values() for time in us(column.time).tolist()]
    if not times:
        return []
    patients = {unescaped(patient) for column in found.values() for patient in column.value}
    whole = await _select(link, bucket, min(times), max(times) + 1, tuple(patients))
    return in_order(one for one in whole.values() if one.alarm == name)


async def facts(link: Link, bucket: str, patient: str, start_us: int, end_us: int) -> list[Fact]:
    """Facts of a window, oldest first."""
    window = clipped(start_us, end_us)
    if window is None:
        return []
    flux = selection(bucket, window, "fact", ["record"], patient=[patient])
    found = answer(await link.query(f"{flux} {_KEEP}"))
    return charted([fact_of(record) for column in found.values() for record in column.value])


async def revisions(link: Link, bucket: str, patient: str, signal: str, span: tuple[int, int]) -> list[Revision]:
    """Revisions of the readings of a window, by the readings' time, then in the order they happened."""
    window = clipped(*span)
    if window is None:
        return []
    found = answer(
        await link.query(
            f"{selection(bucket, window, 'revision', ['record'], patient=[patient], signal=[signal])} {_KEEP}"
        )
    )
    rows = [revision_of(record) for column in found.values() for record in column.value]
    return [item for _, item in sorted(rows, key=itemgetter(0))]


async def stays(link: Link, bucket: str, patient: str) -> list[Stay]:
    """The stays of a patient's id, oldest first."""
    flux = selection(bucket, (-LAST_US, LAST_US + 1), "stay", ["record"], patient=[patient])
    found = answer(await link.query(f"{flux} {_KEEP}"))
    rows = [stay_of(record) for column in found.values() for record in column.value]
    return sorted(rows, key=lambda stay: stay.admitted)


async def stays_within(link: Link, bucket: str, start_us: int, end_us: int) -> list[Stay]:
    """The stays of all patients that are in progress at any time of a window, by patient and time."""
    window = clipped(-LAST_US, min(end_us, LAST_US))
    if window is None:
        return []
    # A stay is stored at its admission, so none that begins after the window is read.
    found = answer(await link.query(f"{selection(bucket, window, 'stay', ['record'])} {_KEEP}"))
    return during((stay_of(record) for column in found.values() for record in column.value), start_us, end_us)
