"""The interface of every history store: what is added, what can be asked, what comes back.

All times are integer microseconds since 1970 UTC; windows are half open, ``[start_us, end_us)``. A point is identified
by (patient, signal, time): a later write with the same identity replaces the earlier one. A reading with
``Status.RETRACTED`` only marks that there is none: no answer shows it. A reading with a status of ``BESIDE`` replaces
nothing: it is shown only if there is no other reading of that moment.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, overload

from twins.arrays import F4, F8, I8, U1, U2, U4
from twins.fitting.chances import Reliability
from twins.records import Fact, JudgedChances, Revision, Status, Stay, Transition

__all__ = [
    "BESIDE",
    "KEPT_HORIZONS_MIN",
    "KEPT_QUANTILES",
    "Buckets",
    "EstimateSeries",
    "ForecastSeries",
    "History",
    "Page",
    "Series",
    "SeriesPage",
    "Tally",
]

BESIDE = (Status.BEFORE_STAY, Status.FOREIGN)
"""Statuses of readings that may not replace another reading of the same moment."""
KEPT_HORIZONS_MIN: tuple[int, ...] = (5, 30, 120)
"""The horizons of stored forecasts (min), some of ``HORIZONS_MIN``."""
KEPT_QUANTILES: tuple[float, ...] = (0.05, 0.50, 0.95)
"""The quantiles of stored forecasts, some of ``QUANTILES``: the median and the band that pages draw."""

Item = TypeVar("Item")


class Series(NamedTuple):
    """Readings of one signal, oldest first; ``status`` holds ``twins.records.Status`` codes."""

    time: I8
    value: F8
    status: U1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Readings of one signal summarised by equal spans; ``time`` is the start of a span, empty spans are left out."""

    time: I8
    mean: F8
    low: F8
    high: F8
    count: I8


class EstimateSeries(NamedTuple):
    """Posterior estimates of one signal, oldest first; if thinned, ``sd`` is the root mean square over the span."""

    time: I8
    mean: F8
    sd: F8
    quality: F4


class ForecastSeries(NamedTuple):
    """Forecasts of one signal by the time they were made, oldest first, unchanged since then.

    ``quantiles`` has the shape (forecasts, ``KEPT_HORIZONS_MIN``, ``KEPT_QUANTILES``): of the reading that many minutes
    after ``time``. NaN if the forecast went out only after that moment.
    """

    time: I8
    quantiles: F4


class Tally(NamedTuple):
    """What became of the chances stated in one ward about one side of a signal's limits.

    ``side`` and ``kind`` as in ``twins.records.JudgedChances``.
    """

    ward: str
    side: int
    kind: int
    scores: Reliability


class Page(NamedTuple, Generic[Item]):
    """Some items, and the cursor to ask for more with; ``None`` when there are no more."""

    items: list[Item]
    cursor: str | None


class SeriesPage(NamedTuple):
    """Some readings, and the cursor to ask for more with; ``None`` when there are no more."""

    series: Series
    cursor: str | None


class History(Protocol):
    """A store of observations, estimates, forecasts, alarm transitions and facts.

    The ``add_*`` methods are cheap and may be called from one thread, whichever it is. Arrays are kept by reference until
    they are stored: do not change them afterwards. An addition with an offset already completed is ignored, so that
    reading the log again does no harm.
    """

    def add_observations(  # noqa: PLR0917 (columns)
        self,
        partition: int,
        offset: int,
        patients: Sequence[str],
        patient: U4,
        signal: U2,
        time: I8,
        value: F8,
        status: U1,
    ) -> None:
        """Add readings; ``patient`` indexes ``patients``."""

    def add_estimates(  # noqa: PLR0917 (columns)
        self,
        partition: int,
        offset: int,
        patients: Sequence[str],
        patient: U4,
        signal: U2,
        time: I8,
        mean: F8,
        sd: F8,
        quality: F4,
    ) -> None:
        """Add posterior estimates; ``patient`` indexes ``patients``."""

    def add_forecasts(  # noqa: PLR0917 (columns)
        self,
        partition: int,
        offset: int,
        patients: Sequence[str],
        patient: U4,
        signal: U2,
        time: I8,
        quantiles: F4,
    ) -> None:
        """Add forecasts made at ``time``, quantiles as in ``ForecastSeries``; ``patient`` indexes ``patients``."""

    def add_transitions(self, partition: int, offset: int, transitions: Sequence[Transition]) -> None:
        """Add alarm transitions, in the order they happened."""

    def add_facts(self, partition: int, offset: int, facts: Sequence[Fact]) -> None:
        """Add charted facts; of several with the same patient and id only the first is stored."""

    def add_stays(self, partition: int, offset: int, stays: Sequence[Stay]) -> None:
        """Add stays in their present form; a stay is identified by (patient, admitted)."""

    def add_revisions(self, partition: int, offset: int, revisions: Sequence[Revision]) -> None:
        """Add revisions (corrections and retractions of readings), in the order they happened."""

    def add_chances(self, partition: int, offset: int, chances: JudgedChances) -> None:
        """Add judged chances; one is identified by patient, signal, side, kind and the time it was stated."""

    def complete(self, partition: int, offset: int) -> None:
        """Declare that everything of the offsets up to this one has been added, so that it may be stored."""

    async def settled(self) -> None:
        """Return once everything completed is safe, as far as this store is responsible for it."""

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

    async def all_observations(self, patient: str, start_us: int, end_us: int) -> dict[int, Series]:
        """All readings of a window by signal, without the signals that have none."""

    async def observations_page(  # noqa: PLR0917 (a window is four)
        self, patient: str, signal: int, start_us: int, end_us: int, cursor: str | None = None, limit: int = 1000
    ) -> SeriesPage:
        """Readings of a window, oldest first, ``limit`` at a time.

        Raises:
            ValueError: the cursor was not made by this method.
        """

    async def estimates(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> EstimateSeries:
        """All estimates of a window or, given ``points``, at most that many averages."""

    async def forecasts(
        self, patient: str, signal: int, start_us: int, end_us: int, points: int | None = None
    ) -> ForecastSeries:
        """Forecasts made in a window or, given ``points``, the first of each of at most that many equal spans."""

    async def alarms(
        self,
        patient: str | Collection[str] | None,
        start_us: int,
        end_us: int,
        cursor: str | None = None,
        limit: int = 100,
        *,
        ascending: bool = False,
        latest: bool = False,
    ) -> Page[Transition]:
        """Transitions of one, several or all (``None``) patients; ``latest``: only the newest of each alarm.

        Raises:
            ValueError: the cursor was not made by this method.
        """

    async def alarm(self, alarm: str) -> list[Transition]:
        """All transitions of one alarm, oldest first."""

    async def latest(self, patient: str | Collection[str] | None = None) -> list[Transition]:
        """The newest transition of every stored alarm, newest first."""

    async def facts(self, patient: str, start_us: int, end_us: int) -> list[Fact]:
        """Charted facts of a window, oldest first."""

    async def versions(self, patient: str, signal: int, start_us: int, end_us: int) -> Series:
        """Every reading of a window as it was sent, also replaced and retracted ones; by time, then in order of arrival.

        A store may keep only the first and the newest of a moment.
        """

    async def revisions(self, patient: str, signal: str, start_us: int, end_us: int) -> list[Revision]:
        """Revisions of the readings of a window, by the readings' time, then in the order they happened."""

    async def stays(self, patient: str) -> list[Stay]:
        """The stays of a patient's id, oldest first."""

    async def stays_within(self, start_us: int, end_us: int) -> list[Stay]:
        """The stays of all patients that are in progress at any time of a window, by patient and time."""

    async def track_record(
        self, signal: int, start_us: int, end_us: int, wards: Collection[str] | None = None
    ) -> list[Tally]:
        """What became of the chances stated in a window, by ward (``None``: of all), side and kind, in this order.

        A store may keep only the hour in which a chance was stated: begin and end the window at whole hours.
        """

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics, by the names they have there."""

    def close(self) -> None:
        """Close readers and files."""
