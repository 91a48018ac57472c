"""What the past can be asked, and what it answers, whichever store keeps it.

All times are integer microseconds since 1970 UTC; windows are half open, ``[start_us, end_us)``. A point is identified
by (patient, signal, time): what is written later under the same identity replaces what was there. A reading written with
``Status.RETRACTED`` only marks that there is none: no answer shows it. One with a status of ``BESIDE`` replaces nothing: it
is shown where nothing else stands.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, overload

from twins.arrays import F4, F8, I8, U1, U2, U4
from twins.records import Fact, Revision, Status, Stay, Transition

__all__ = [
    "BESIDE",
    "FORETOLD_MIN",
    "FORETOLD_QUANTILES",
    "Buckets",
    "EstimateSeries",
    "ForecastSeries",
    "History",
    "Page",
    "Series",
    "SeriesPage",
]

BESIDE = (Status.BEFORE_STAY, Status.FOREIGN)
"""Readings of somebody who may not replace what stands at that moment, or may not be known to."""
FORETOLD_MIN: tuple[int, ...] = (5, 30, 120)
"""The horizons of forecasts that are kept, of ``HORIZONS_MIN``."""
FORETOLD_QUANTILES: tuple[float, ...] = (0.05, 0.50, 0.95)
"""The quantiles of forecasts that are kept, of ``QUANTILES``: the median and the band that pages draw."""

Item = TypeVar("Item")


class Series(NamedTuple):
    """Readings of one signal, oldest first; ``status`` holds ``twins.records.Status`` codes."""

    time: I8
    value: F8
    status: U1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Readings of one signal summarised by equal spans; ``time`` is where a span starts, empty spans are left out."""

    time: I8
    mean: F8
    low: F8
    high: F8
    count: I8


class EstimateSeries(NamedTuple):
    """Posterior estimates of one signal, oldest first; thinned, ``sd`` is the root mean square over the span."""

    time: I8
    mean: F8
    sd: F8
    quality: F4


class ForecastSeries(NamedTuple):
    """Forecasts of one signal by when they were made, oldest first, as they were told then.

    ``quantiles`` has the shape (forecasts, ``FORETOLD_MIN``, ``FORETOLD_QUANTILES``): of the reading so many minutes after
    ``time``. NaN where it was told only when that moment had passed.
    """

    time: I8
    quantiles: F4


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

    The ``add_*`` methods are cheap and may be called from any one thread; arrays are kept by reference until they
    are stored, so they must not be written to afterwards. What carries an offset already completed is ignored, which
    makes replaying the log harmless.
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
        """Keep readings; ``patient`` indexes ``patients``."""

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
        """Keep posterior estimates; ``patient`` indexes ``patients``."""

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
        """Keep forecasts made at ``time``, quantiles as in ``ForecastSeries``; ``patient`` indexes ``patients``."""

    def add_transitions(self, partition: int, offset: int, transitions: Sequence[Transition]) -> None:
        """Keep alarm transitions, in the order they happened."""

    def add_facts(self, partition: int, offset: int, facts: Sequence[Fact]) -> None:
        """Keep charted facts; of those with one id of a patient the first."""

    def add_stays(self, partition: int, offset: int, stays: Sequence[Stay]) -> None:
        """Keep stays as they now are; a stay is identified by (patient, admitted)."""

    def add_revisions(self, partition: int, offset: int, revisions: Sequence[Revision]) -> None:
        """Keep what was done to readings, in the order it was done."""

    def complete(self, partition: int, offset: int) -> None:
        """Say that all that belongs to offsets up to this one has been added, so that it may be stored."""

    async def settled(self) -> None:
        """Return once what was completed cannot be lost any more, as far as that is this store's own affair."""

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
        """Forecasts made in a window or, given ``points``, the first made in each of at most that many equal spans."""

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
        """The newest transition of every alarm kept, newest first."""

    async def facts(self, patient: str, start_us: int, end_us: int) -> list[Fact]:
        """Charted facts of a window, oldest first."""

    async def versions(self, patient: str, signal: int, start_us: int, end_us: int) -> Series:
        """Every reading of a window as it was sent, also what does not stand; by time and then in order of arrival.

        As far as the store keeps them: what was written first, and what stands.
        """

    async def revisions(self, patient: str, signal: str, start_us: int, end_us: int) -> list[Revision]:
        """What was done to the readings of a window, by their time and then in the order it was done."""

    async def stays(self, patient: str) -> list[Stay]:
        """The stays of a patient's id, oldest first."""

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics, by the names they have there."""

    def close(self) -> None:
        """Let go of readers and files."""
