"""The history of the distributed service: workers write it, doors read it."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from concurrent.futures import TimeoutError as TooLate
from typing import overload

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
    OBSERVATIONS,
    Column,
    Kind,
    Segment,
    quantile_columns,
    segment_of,
)
from streams.history.influx import chances as judgements
from streams.history.influx import events as happenings
from streams.history.influx import series
from streams.history.influx.layout import json_of
from streams.history.influx.link import Link
from streams.history.influx.preparation import alarms_bucket
from streams.history.influx.writer import BATCH_LINES, MOST_ROWS, Writer
from streams.settings import Settings
from streams.spool.spill import Spill
from twins.arrays import F4, F8, I8, U1, U2, U4
from twins.records import Fact, JudgedChances, Revision, Stay, Transition
from twins.signals import SIGNALS

__all__ = ["InfluxHistory"]

_DAY_US = 86_400_000_000
_CLOSE_S = 20.0
_EVER = (-(1 << 63), (1 << 63) - 1)


class InfluxHistory:
    """Observations, estimates, forecasts, transitions and facts in InfluxDB, in the buckets that ``prepare`` makes.

    ``add_*``, ``complete`` and ``settled`` belong to the worker's thread and need ``writes``; they only fill the buffer.
    The rest may be called from any event loop. It reads what InfluxDB has stored, and raises ``HistoryUnavailable`` if
    InfluxDB does not answer.
    """

    def __init__(self, settings: Settings, *, writes: bool) -> None:
        self._bucket, self._events = settings.influx_bucket, alarms_bucket(settings)
        self._keep_events_us = round(settings.alarm_retention_days * _DAY_US)
        self._buffer = Buffer()
        self._spill = Spill(settings.spill_folder, settings.influx_spill_bytes) if writes else None
        self._link = Link(settings)
        self._too_many = 0
        self._writer: Writer | None = None
        if self._spill is not None:
            self._writer = Writer(self._link, self._buffer, self._spill, (self._bucket, self._events))
            self._running = self._link.submit(self._writer.run())

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics: points stored, points lost for any reason, bytes waiting on disk."""
        if self._writer is None or self._spill is None:
            return {}
        return {
            "history_points": self._writer.points,
            "history_dropped": self._writer.dropped + self._spill.dropped + self._too_many,
            "history_spilled_bytes": self._spill.bytes,
            "history_buffered": self._buffer.rows,
        }

    # -- the worker's thread --------------------------------------------------------------------------------------

    def add_observations(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str],
        patient: U4, signal: U2, time: I8, value: F8, status: U1,
    ) -> None:  # fmt: skip
        """Add readings; ``patient`` indexes ``patients``."""
        self._add(partition, offset, OBSERVATIONS, segment_of(patients, patient, (signal, time, value, status)))

    def add_estimates(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str],
        patient: U4, signal: U2, time: I8, mean: F8, sd: F8, quality: F4,
    ) -> None:  # fmt: skip
        """Add posterior estimates; ``patient`` indexes ``patients``."""
        self._add(partition, offset, ESTIMATES, segment_of(patients, patient, (signal, time, mean, sd, quality)))

    def add_forecasts(  # noqa: PLR0917 (columns)
        self, partition: int, offset: int, patients: Sequence[str], patient: U4, signal: U2, time: I8, quantiles: F4,
    ) -> None:  # fmt: skip
        """Add forecasts made at ``time``; ``patient`` indexes ``patients``."""
        columns: tuple[Column, ...] = (signal, time, *quantile_columns(quantiles))
        self._add(partition, offset, FORECASTS, segment_of(patients, patient, columns))

    def add_transitions(self, partition: int, offset: int, transitions: Sequence[Transition]) -> None:
        """Add alarm transitions, in the order they happened."""
        placed = [PlacedTransition(offset, at, item, json_of(item)) for at, item in enumerate(transitions)]
        self._buffer.add(partition, offset, Waiting(transitions=placed))

    def add_facts(self, partition: int, offset: int, facts: Sequence[Fact]) -> None:
        """Add charted facts; of several with the same patient and id only the first is stored."""
        self._buffer.add(partition, offset, Waiting(facts=[PlacedFact(offset, fact, json_of(fact)) for fact in facts]))

    def add_stays(self, partition: int, offset: int, stays: Sequence[Stay]) -> None:
        """Add stays in their present form; a stay is identified by (patient, admitted)."""
        self._buffer.add(partition, offset, Waiting(stays=[PlacedStay(offset, stay, json_of(stay)) for stay in stays]))

    def add_revisions(self, partition: int, offset: int, revisions: Sequence[Revision]) -> None:
        """Add revisions (corrections and retractions of readings), in the order they happened."""
        revised = [PlacedRevision(offset, at, item, json_of(item)) for at, item in enumerate(revisions)]
        self._buffer.add(partition, offset, Waiting(revisions=revised))

    def add_chances(self, partition: int, offset: int, chances: JudgedChances) -> None:
        """Add judged chances; one is identified by patient, signal, side, kind and the time it was stated."""
        self._buffer.add(partition, offset, Waiting(chances=[PlacedChances(offset, chances)]))

    def complete(self, partition: int, offset: int) -> None:
        """Declare that everything of the offsets up to this one has been added, so that it may be stored."""
        self._buffer.complete(partition, offset)
        if self._writer is not None and self._buffer.rows >= BATCH_LINES:
            self._writer.wake()

    async def settled(self) -> None:
        """Return once everything complete is in InfluxDB or on this machine's disk."""
        if self._writer is not None:
            await asyncio.wrap_future(self._writer.safe())

    def _add(self, partition: int, offset: int, kind: Kind, segment: Segment) -> None:
        if self._buffer.rows >= MOST_ROWS:
            self._too_many += len(segment.patient)
        elif len(segment.patient):
            self._buffer.add(partition, offset, Waiting([RecordRows(offset, kind, segment)]))

    # -- readers --------------------------------------------------------------------------------------------------

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
        window = (patient, signal, start_us, end_us)
        if points is None:
            return await self._link.ask(series.observations(self._link, self._bucket, window))
        return await self._link.ask(series.buckets(self._link, self._bucket, window, points))

    async def all_observations(self, patient: str, start_us: int, end_us: int) -> dict[int, Series]:
        """All readings of a window by signal, without the signals that have none."""
        found = [(signal.code, await self.observations(patient, signal.code, start_us, end_us)) for signal in SIGNALS]
        return {code: one for code, one in found if len(one.time)}

    async def observations_page(  # noqa: PLR0917 (a window is four)
        self, patient: str, signal: int, start_us: int, end_us: int, cursor: str | None = None, limit: int = 1000
    ) -> SeriesPage:
        """Readings of a window, oldest first; raises ValueError on a foreign cursor."""
        begin = start_us if cursor is None else max(start_us, int(cursor) + 1)
        return await self._link.ask(series.page(self._link, self._bucket, (patient, signal, begin, end_us), limit))

    async def estimates(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> EstimateSeries:
        """All estimates of a window or, given ``points``, at most that many averages."""
        return await self._link.ask(
            series.estimates(self._link, self._bucket, (patient, signal, start_us, end_us), points)
        )

    async def forecasts(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> ForecastSeries:
        """Forecasts made in a window or, given ``points``, the first of each of at most that many equal spans."""
        return await self._link.ask(
            series.forecasts(self._link, self._bucket, (patient, signal, start_us, end_us), points)
        )

    async def alarms(
        self, patient: str | Collection[str] | None, start_us: int, end_us: int,
        cursor: str | None = None, limit: int = 100, *, ascending: bool = False, latest: bool = False,
    ) -> Page[Transition]:  # fmt: skip
        """Transitions of one, several or all (``None``) patients; raises ValueError on a foreign cursor."""
        patients = (patient,) if isinstance(patient, str) else None if patient is None else tuple(patient)
        question = events.Question(patients, start_us, end_us, cursor, limit, ascending, latest)
        return await self._link.ask(
            happenings.transitions(self._link, self._events, self._keep_events_us, question)
        )  # fmt: skip

    async def alarm(self, alarm: str) -> list[Transition]:
        """All transitions of one alarm, oldest first."""
        return await self._link.ask(happenings.alarm(self._link, self._events, alarm))

    async def latest(self, patient: str | Collection[str] | None = None) -> list[Transition]:
        """The newest transition of every stored alarm, newest first."""
        return (await self.alarms(patient, *_EVER, limit=1 << 40, latest=True)).items

    async def facts(self, patient: str, start_us: int, end_us: int) -> list[Fact]:
        """Charted facts of a window, oldest first."""
        return await self._link.ask(happenings.facts(self._link, self._events, patient, start_us, end_us))

    async def versions(self, patient: str, signal: int, start_us: int, end_us: int) -> Series:
        """Readings of a window as they were sent, also replaced ones: the first and the newest of each moment."""
        return await self._link.ask(series.versions(self._link, self._bucket, (patient, signal, start_us, end_us)))

    async def revisions(self, patient: str, signal: str, start_us: int, end_us: int) -> list[Revision]:
        """Revisions of the readings of a window, by the readings' time, then in the order they happened."""
        return await self._link.ask(happenings.revisions(self._link, self._events, patient, signal, (start_us, end_us)))

    async def stays(self, patient: str) -> list[Stay]:
        """The stays of a patient's id, oldest first."""
        return await self._link.ask(happenings.stays(self._link, self._events, patient))

    async def stays_within(self, start_us: int, end_us: int) -> list[Stay]:
        """The stays of all patients that are in progress at any time of a window, by patient and time."""
        return await self._link.ask(happenings.stays_within(self._link, self._events, start_us, end_us))

    async def track_record(
        self, signal: int, start_us: int, end_us: int, wards: Collection[str] | None = None
    ) -> list[Tally]:
        """What became of the chances stated in a window, by ward (``None``: of all), side and kind, in this order."""
        place = (self._events, self._keep_events_us)
        return await self._link.ask(judgements.tallies(self._link, place, signal, (start_us, end_us), wards))

    def close(self) -> None:
        """Store everything complete, in InfluxDB or on disk, and end the thread."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(TooLate):
                self._running.result(_CLOSE_S)
        self._link.close(_CLOSE_S)
