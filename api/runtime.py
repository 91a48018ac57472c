"""What a door may ask of the running service: the seam between doors and the two runtimes."""

from collections.abc import Callable, Sequence
from typing import Protocol

from streams.clock import Clock
from streams.history import History
from streams.log.log import DeadLetter
from streams.registry import Registry
from streams.settings import Settings
from twins.records import Columns, Command, Fact, Outcome

__all__ = ["Service"]


class Service(Protocol):
    """A runtime as the doors see it; every coroutine runs on the doors' event loop."""

    @property
    def clock(self) -> Clock:
        """Service time."""

    @property
    def settings(self) -> Settings:
        """What the service was started with."""

    @property
    def registry(self) -> Registry:
        """Who is known."""

    @property
    def history(self) -> History:
        """What was."""

    @property
    def ready(self) -> bool:
        """Whether state is restored and the log can be written."""

    def health(self) -> dict[str, object]:
        """What ``ready`` rests on."""

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""

    def listen(self, callback: Callable[[Outcome], None]) -> None:
        """Have every outcome from now on."""

    async def start(self) -> None:
        """Restore and begin to serve."""

    async def failed(self) -> str:
        """Return only if the service can do no more though it answers, and then why."""

    async def stop(self) -> None:
        """Finish what is begun and close."""

    async def observe(self, columns: Columns, source: str) -> None:
        """Return once the readings are durable; raises ``Overloaded``, ``LogUnavailable``."""

    async def append(self, record: Fact | Command) -> tuple[int, int]:
        """Return the record's (partition, offset) once it is durable; raises as ``observe``."""

    async def refuse(self, entries: Sequence[DeadLetter]) -> None:
        """Return once the dead letters are durable."""

    def ward_limits(self, ward: str) -> dict[str, dict[str, float]]:
        """What was set for a ward: by signal, then by bound."""

    def ward_scores(self, ward: str) -> bool:
        """Whether NEWS2 is used in a ward."""

    async def dead_letters(self, before: int | None, limit: int) -> Sequence[tuple[int, DeadLetter]]:
        """The newest dead letters with their numbers, of those numbered below ``before``."""
