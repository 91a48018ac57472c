"""The interface of the running service, between the doors and the two runtimes."""

from collections.abc import Callable, Sequence
from typing import Protocol

from streams.clock import Clock
from streams.history import History
from streams.log.log import DeadLetter
from streams.registry import Registry
from streams.settings import Settings
from twins.records import Columns, Command, Fact, Outcome, SetLimits, SetRules, Setting, Zone

__all__ = ["Service"]


class Service(Protocol):
    """A runtime as the doors see it; every coroutine runs on the doors' event loop."""

    @property
    def clock(self) -> Clock:
        """Service time."""

    @property
    def settings(self) -> Settings:
        """The settings of the service."""

    @property
    def registry(self) -> Registry:
        """The known patients."""

    @property
    def history(self) -> History:
        """What was."""

    @property
    def ready(self) -> bool:
        """Whether state is restored and the log can be written."""

    def health(self) -> dict[str, object]:
        """The reasons behind ``ready``."""

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""

    def listen(self, callback: Callable[[Outcome], None]) -> None:
        """Call ``callback`` with every outcome from now on."""

    async def start(self) -> None:
        """Restore the state and begin to serve."""

    async def failed(self) -> str:
        """Return, with the reason, only when the service cannot work any more although it still answers."""

    async def stop(self) -> None:
        """Finish pending work and close."""

    async def observe(self, columns: Columns, source: str) -> None:
        """Return once the readings are durable; raises ``Overloaded``, ``LogUnavailable``."""

    async def append(self, record: Fact | Command) -> tuple[int, int]:
        """Return the record's (partition, offset) once it is durable; raises as ``observe``."""

    async def refuse(self, entries: Sequence[DeadLetter]) -> None:
        """Return once the dead letters are durable."""

    def ward_limits(self, ward: str) -> dict[str, dict[str, float]]:
        """The limits set for a ward: by signal, then by bound."""

    def ward_settings(self, ward: str) -> dict[str, SetLimits]:
        """The commands that set the limits of a ward, by signal."""

    def ward_scores(self, ward: str) -> bool:
        """Whether NEWS2 is used in a ward."""

    def rules(self) -> SetRules | None:
        """The command that set the site's rules; ``None`` if nobody has set any."""

    def zone(self, ward: str) -> Zone:
        """The time zone of a ward: its own, else the site's, else UTC."""

    def site_settings(self) -> dict[tuple[str, ...], Setting]:
        """What the site has set that belongs to no patient, by key."""

    async def dead_letters(self, before: int | None, limit: int) -> Sequence[tuple[int, DeadLetter]]:
        """The newest dead letters with their numbers, only numbers below ``before``."""
