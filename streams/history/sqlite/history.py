"""History in the service's own SQLite file: written by the log's thread, read by a few reader threads."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from streams.history import events
from streams.history.base import Buckets, EstimateSeries, ForecastSeries, Page, Series, SeriesPage, Tally
from streams.history.buffer import (
    Buffer,
    PlacedChances,
    PlacedFact,
    PlacedRevision,
    PlacedStay,
    PlacedTransition,
    RecordRows,
    Waiting,
)
from streams.history.columns import (
    ESTIMATES,
    FORECASTS,
    KINDS,
    OBSERVATIONS,
    Column,
    Kind,
    Segment,
    quantile_columns,
    quantiles_of,
    segment_bytes,
    segment_of,
)
from streams.history.sqlite import chances, schema
from streams.history.sqlite.compaction import Compactor
from streams.history.sqlite.reading import Readers, rows, rows_page, versions
from streams.history.sqlite.retention import retain
from streams.history.thinning import bucketed, first_made, thinned
from twins.arrays import F4, F8, I8, U1, U2, U4
from twins.records import Fact, JudgedChances, Revision, Stay, Transition

__all__ = ["SqliteHistory"]

DAY_US = 86_400_000_000
SEGMENT_ROWS = 200_000
_EVER = (-(1 << 63), (1 << 63) - 1)


class SqliteHistory:
    """Observations, estimates, forecasts, transitions and facts, kept as columns in blobs.

    ``add_*`` and ``complete`` belong to the worker's thread; ``create``, ``flush``, ``compact`` and ``retain`` to the
    thread that writes the file, on its connection; the rest may be called from anywhere. Readings, estimates, forecasts
    are kept ``keep_days`` and, if ``max_bytes`` is given, as far as they fit; transitions, facts and sums of judged chances
    ``keep_alarm_days``.
    """

    def __init__(
        self, path: str | Path, *, keep_days: float = 30.0, keep_alarm_days: float = 400.0,
        max_bytes: int | None = None, readers: int = 2,
    ) -> None:  # fmt: skip
        self._keep_us = round(keep_days * DAY_US)
        self._keep_alarm_us = round(keep_alarm_days * DAY_US)
        self._max_bytes = max_bytes
        self._buffer = Buffer()
        self._compactor = Compactor()
        self._readers = Readers(path, self._buffer, readers)

    # -- the writer's thread ----------------------------------------------------------------------------------------

    def create(self, connection: sqlite3.Connection) -> None:
        """Create missing tables and read what is covered; call it before anything is added."""
        schema.create(connection)
        self._buffer.begin(schema.covered(connection))
        self._compactor.wake(connection)

    def flush(self, connection: sqlite3.Connection) -> int:
        """Write everything complete, in the caller's transaction; returns the observations, estimates and forecasts written.

        Call it at most once in a transaction. If that is rolled back, the next flush writes the same again.
        """
        written, size = 0, 0
        for partition, offset, waiting in self._buffer.outgoing(schema.covered(connection)):
            for kind in KINDS:
                segments = [batch.segment for batch in waiting.batches if batch.kind is kind]
                if segments:
                    size += _insert_segments(connection, partition, kind, segments)
            events.insert(connection, waiting)
            chances.insert(connection, waiting)
            connection.execute("INSERT OR REPLACE INTO history_offset VALUES (?, ?)", (partition, offset))
            written += waiting.rows
        if written:
            schema.add_figure(connection, "bytes", size)
            self._compactor.wake(connection, written)
        return written

    def compact(self, connection: sqlite3.Connection, budget_s: float = 0.01) -> bool:
        """Sort and merge for about ``budget_s``, in the caller's transaction; returns whether there is more to do now."""
        return self._compactor.slice(connection, budget_s)

    def retain(self, connection: sqlite3.Connection, now_us: int, budget_s: float = 0.01) -> bool:
        """Delete what is too old or too much, in the caller's transaction; returns whether there is more to do now."""
        before = (now_us - self._keep_us, now_us - self._keep_alarm_us)
        return retain(connection, *before, self._max_bytes, budget_s)

    def covered(self, connection: sqlite3.Connection) -> dict[int, int]:
        """By partition, the newest log offset up to which everything is stored."""
        return schema.covered(connection)

    @property
    def buffered(self) -> int:
        """Observations, estimates and forecasts that no flush has written yet."""
        return self._buffer.rows

    @property
    def backlog(self) -> int:
        """About how many observations, estimates and forecasts are written but not sorted yet."""
        return self._compactor.backlog

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics, by the names they have there."""
        return {"history_buffered": self.buffered, "history_backlog": self.backlog}

    # -- the worker's thread ----------------------------------------------------------------------------------------

    def add_observations(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str],
        patient: U4, signal: U2, time: I8, value: F8, status: U1,
    ) -> None:  # fmt: skip
        """Add readings; ``patient`` indexes ``patients``."""
        self._add(
            partition, RecordRows(offset, OBSERVATIONS, segment_of(patients, patient, (signal, time, value, status)))
        )

    def add_estimates(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str],
        patient: U4, signal: U2, time: I8, mean: F8, sd: F8, quality: F4,
    ) -> None:  # fmt: skip
        """Add posterior estimates; ``patient`` indexes ``patients``."""
        self._add(
            partition, RecordRows(offset, ESTIMATES, segment_of(patients, patient, (signal, time, mean, sd, quality)))
        )

    def add_forecasts(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str], patient: U4, signal: U2, time: I8, quantiles: F4,
    ) -> None:  # fmt: skip
        """Add forecasts made at ``time``; ``patient`` indexes ``patients``."""
        columns: tuple[Column, ...] = (signal, time, *quantile_columns(quantiles))
        self._add(partition, RecordRows(offset, FORECASTS, segment_of(patients, patient, columns)))

    def add_transitions(self, partition: int, offset: int, transitions: Sequence[Transition]) -> None:
        """Add alarm transitions, in the order they happened."""
        placed = [PlacedTransition(offset, at, item, events.encode(item)) for at, item in enumerate(transitions)]
        self._buffer.add(partition, offset, Waiting(transitions=placed))

    def add_facts(self, partition: int, offset: int, facts: Sequence[Fact]) -> None:
        """Add charted facts; of several with the same patient and id only the first is stored."""
        noted = [PlacedFact(offset, fact, events.encode(fact)) for fact in facts]
        self._buffer.add(partition, offset, Waiting(facts=noted))

    def add_stays(self, partition: int, offset: int, stays: Sequence[Stay]) -> None:
        """Add stays in their present form; a stay is identified by (patient, admitted)."""
        lodged = [PlacedStay(offset, stay, events.encode(stay)) for stay in stays]
        self._buffer.add(partition, offset, Waiting(stays=lodged))

    def add_revisions(self, partition: int, offset: int, revisions: Sequence[Revision]) -> None:
        """Add revisions (corrections and retractions of readings), in the order they happened."""
        revised = [PlacedRevision(offset, at, item, events.encode(item)) for at, item in enumerate(revisions)]
        self._buffer.add(partition, offset, Waiting(revisions=revised))

    def add_chances(self, partition: int, offset: int, chances: JudgedChances) -> None:
        """Add judged chances; the file keeps their sums by hour."""
        self._buffer.add(partition, offset, Waiting(chances=[PlacedChances(offset, chances)]))

    def complete(self, partition: int, offset: int) -> None:
        """Declare that everything of the offsets up to this one has been added, so that it may be stored."""
        self._buffer.complete(partition, offset)

    async def settled(self) -> None:
        """Return at once: complete rows go to disk in the transaction of the checkpoint that covers them."""

    def _add(self, partition: int, batch: RecordRows) -> None:
        if len(batch.segment.patient):
            self._buffer.add(partition, batch.offset, Waiting([batch]))

    # -- readers ----------------------------------------------------------------------------------------------------

    @overload
    async def observations(
        self, patient: str, signal: int, start_us: int, end_us: int, points: None = None
    ) -> Series: ...

    @overload
    async def observations(self, patient: str, signal: int, start_us: int, end_us: int, points: int) -> Buckets: ...

    async def observations(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> Series | Buckets:
        """All readings of a window or, given ``points``, at most that many summaries of believable readings."""

        def answer(connection: sqlite3.Connection, waiting: Waiting) -> Series | Buckets:
            series = Series(*rows(connection, waiting, OBSERVATIONS, (patient, signal, start_us, end_us))[1:])
            return series if points is None else bucketed(series, start_us, end_us, points)

        return await self._readers.ask(answer)

    async def all_observations(self, patient: str, start_us: int, end_us: int) -> dict[int, Series]:
        """All readings of a window by signal, without the signals that have none."""
        signal, *columns = await self._readers.ask(rows, OBSERVATIONS, (patient, None, start_us, end_us))
        codes, starts = np.unique(signal, return_index=True)
        ends = [*starts.tolist(), len(signal)][1:]
        return {
            code: Series(*(column[first:last] for column in columns))
            for code, first, last in zip(codes.tolist(), starts.tolist(), ends, strict=True)
        }

    async def observations_page(  # noqa: PLR0917 (a window is four)
        self, patient: str, signal: int, start_us: int, end_us: int, cursor: str | None = None, limit: int = 1000
    ) -> SeriesPage:
        """Readings of a window, oldest first; raises ValueError on a foreign cursor."""
        begin = start_us if cursor is None else max(start_us, int(cursor) + 1)

        def answer(connection: sqlite3.Connection, waiting: Waiting) -> SeriesPage:
            found, more = rows_page(connection, waiting, OBSERVATIONS, (patient, signal, begin, end_us), limit)
            return SeriesPage(Series(*found[1:]), str(int(found[1][-1])) if more else None)

        return await self._readers.ask(answer)

    async def estimates(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> EstimateSeries:
        """All estimates of a window or, given ``points``, at most that many averages."""

        def answer(connection: sqlite3.Connection, waiting: Waiting) -> EstimateSeries:
            series = EstimateSeries(*rows(connection, waiting, ESTIMATES, (patient, signal, start_us, end_us))[1:])
            return series if points is None else thinned(series, start_us, end_us, points)

        return await self._readers.ask(answer)

    async def forecasts(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> ForecastSeries:
        """Forecasts made in a window or, given ``points``, the first of each of at most that many equal spans."""

        def answer(connection: sqlite3.Connection, waiting: Waiting) -> ForecastSeries:
            _, time, *columns = rows(connection, waiting, FORECASTS, (patient, signal, start_us, end_us))
            series = ForecastSeries(time, quantiles_of(columns))
            return series if points is None else first_made(series, start_us, end_us, points)

        return await self._readers.ask(answer)

    async def alarms(
        self, patient: str | Collection[str] | None, start_us: int, end_us: int,
        cursor: str | None = None, limit: int = 100, *, ascending: bool = False, latest: bool = False,
    ) -> Page[Transition]:  # fmt: skip
        """Transitions of one, several or all (``None``) patients; raises ValueError on a foreign cursor."""
        patients = (patient,) if isinstance(patient, str) else None if patient is None else tuple(patient)
        question = events.Question(patients, start_us, end_us, cursor, limit, ascending, latest)
        return await self._readers.ask(events.transitions, question)

    async def alarm(self, alarm: str) -> list[Transition]:
        """All transitions of one alarm, oldest first."""
        return await self._readers.ask(events.alarm, alarm)

    async def latest(self, patient: str | Collection[str] | None = None) -> list[Transition]:
        """The newest transition of every stored alarm, newest first."""
        return (await self.alarms(patient, *_EVER, limit=1 << 40, latest=True)).items

    async def facts(self, patient: str, start_us: int, end_us: int) -> list[Fact]:
        """Charted facts of a window, oldest first."""
        return await self._readers.ask(events.facts, patient, start_us, end_us)

    async def versions(self, patient: str, signal: int, start_us: int, end_us: int) -> Series:
        """Every reading of a window as it was sent, also replaced and retracted ones; by time, then in order of arrival."""
        _, *columns = await self._readers.ask(versions, (patient, signal, start_us, end_us))
        return Series(*columns)

    async def revisions(self, patient: str, signal: str, start_us: int, end_us: int) -> list[Revision]:
        """Revisions of the readings of a window, by the readings' time, then in the order they happened."""
        return await self._readers.ask(events.revisions, patient, signal, (start_us, end_us))

    async def stays(self, patient: str) -> list[Stay]:
        """The stays of a patient's id, oldest first."""
        return await self._readers.ask(events.stays, patient)

    async def stays_within(self, start_us: int, end_us: int) -> list[Stay]:
        """The stays of all patients that are in progress at any time of a window, by patient and time."""
        return await self._readers.ask(events.stays_within, start_us, end_us)

    async def track_record(
        self, signal: int, start_us: int, end_us: int, wards: Collection[str] | None = None
    ) -> list[Tally]:
        """What became of the chances stated in the hours that begin in a window, by ward, side and kind."""
        return await self._readers.ask(chances.tallies, signal, (start_us, end_us), wards)

    def close(self) -> None:
        """End the readers; what is not flushed yet comes again from the log."""
        self._readers.close()


def _insert_segments(connection: sqlite3.Connection, partition: int, kind: Kind, segments: list[Segment]) -> int:
    """Write segments as one, or as several if they are large together; returns the bytes used."""
    size = 0
    for part in _pieces(segments):
        names, body = segment_bytes(part, kind)
        time = np.concatenate([segment.columns[1] for segment in part])
        start, end, rows = int(time.min()), int(time.max()), len(time)
        whole = len(names) + len(body)
        connection.execute(
            "INSERT INTO history_lot (kind, partition, rows, start_us, end_us, size, patients, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind.code, partition, rows, start, end, whole, names, body),
        )
        size += whole
    return size


def _pieces(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Segments in groups of no more than ``SEGMENT_ROWS`` rows, in order."""
    piece: list[Segment] = []
    room = SEGMENT_ROWS
    for segment in segments:
        if piece and len(segment.patient) > room:
            yield piece
            piece, room = [], SEGMENT_ROWS
        first = 0
        while len(segment.patient) - first > SEGMENT_ROWS:
            yield [_cut(segment, first, first + SEGMENT_ROWS)]
            first += SEGMENT_ROWS
        piece.append(_cut(segment, first, None) if first else segment)
        room -= len(segment.patient) - first
    yield piece


def _cut(segment: Segment, first: int, last: int | None) -> Segment:
    return Segment(
        segment.patients, segment.patient[first:last], tuple(column[first:last] for column in segment.columns)
    )
