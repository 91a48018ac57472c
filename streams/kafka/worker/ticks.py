"""The ticks of one partition: one on its way at a time, and one after a time without any says that nothing could be heard."""

import asyncio
from typing import Any

from streams.log.log import unheard_us
from twins.records import Record, Tick

__all__ = ["Ticks"]

_CATCH_UP_S = 10.0


class Ticks:
    """When a partition's next tick is due and what it says; ``tick_s`` is how often there should be one."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._unheard = 0
        self._newest: asyncio.Future[Any] | None = None

    def due(self, *, caught_up: bool, restored_s: float) -> bool:
        """Whether one should be sent, ``restored_s`` after the partition was."""
        if self._newest is None:
            # What was there before the first tick may show that nothing could be heard: the tick has to say so.
            return caught_up or restored_s > _CATCH_UP_S
        return self._newest.done()  # while Kafka is away one tick waits for it, not one a second

    def next(self, now: int, last: int, *, at_end: bool) -> Tick:
        """A tick at ``now``, where the log's last record as known here was at ``last`` (µs), its very last if ``at_end``."""
        since = unheard_us(last, now, self._tick_s) if at_end else 0
        return Tick(now, max(self._unheard, since))

    def sent(self, answer: "asyncio.Future[Any]") -> None:
        """A tick is on its way; ``answer`` is done once it is in the log or lost."""
        self._newest = answer

    def seen(self, record: Record, before: int, after: int) -> None:
        """The log went on from ``before`` to ``after`` (µs) with ``record``."""
        if isinstance(record, Tick) and record.unheard:
            self._unheard = 0
        else:
            self._unheard += unheard_us(before, after, self._tick_s)
