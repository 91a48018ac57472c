"""The ticks of one partition: one under way at a time; a tick after a long pause says that no input could arrive."""

import asyncio
from typing import Any

from streams.log.log import unheard_us
from twins.records import Record, Tick

__all__ = ["Ticks"]

_CATCH_UP_S = 10.0


class Ticks:
    """When a partition's next tick is due and what it says; ``tick_s`` is the interval of ticks."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._unheard = 0
        self._newest: asyncio.Future[Any] | None = None

    def due(self, *, caught_up: bool, restored_s: float) -> bool:
        """Whether to send one, ``restored_s`` after the partition was restored."""
        if self._newest is None:
            # The records before the first tick may show a pause in which no input could arrive: the tick must say so.
            return caught_up or restored_s > _CATCH_UP_S
        return self._newest.done()  # while Kafka is away only one tick waits, not one a second

    def next(self, now: int, last: int, *, at_end: bool) -> Tick:
        """A tick at ``now``; the last known record has the time ``last`` (µs); ``at_end``: it is the last of the log."""
        since = unheard_us(last, now, self._tick_s) if at_end else 0
        return Tick(now, max(self._unheard, since))

    def sent(self, answer: "asyncio.Future[Any]") -> None:
        """Note a tick under way; ``answer`` is done once it is in the log or lost."""
        self._newest = answer

    def seen(self, record: Record, before: int, after: int) -> None:
        """Note that ``record`` moved the log's time from ``before`` to ``after`` (µs)."""
        if isinstance(record, Tick) and record.unheard:
            self._unheard = 0
        else:
            self._unheard += unheard_us(before, after, self._tick_s)
