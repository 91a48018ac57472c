"""What time it is in the log, whatever this machine's clock says.

A partition's log moves by what doors stamp on its records and by the ticks of its worker. Where the machines' clocks differ
by minutes, or somebody's is set, ticks by the worker's own would come too late to count, or call every sensor silent. So
they tell the broker's time, which stamps every record as it is appended, whoever wrote it.
"""

import time
from collections.abc import Callable

import aiokafka

from streams.kafka.connect import producer
from streams.kafka.messages import Call, encode_call
from streams.kafka.topics import Topics
from streams.settings import Settings

__all__ = ["BrokerTime", "ask", "asked", "log_time"]

_WINDOW_S = 30.0
_SLOWER = 0.1


class BrokerTime:
    """The broker's clock (µs) as its stamps tell it, read off the monotonic clock in between; ``fallback`` before the first."""

    def __init__(self, fallback: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fallback = fallback
        self._monotonic = monotonic
        # A stamp is told some time after it was set: the one that came quickest is nearest. Older ones are forgotten, as
        # either clock may be set, or drift.
        self._now: float | None = None
        self._before: float | None = None
        self._turned = 0.0

    def told(self, stamp_us: int) -> None:
        """A record has just come, or been answered for, that the broker stamped so."""
        at = self._monotonic()
        apart = stamp_us / 1e6 - at
        if at - self._turned > _WINDOW_S:
            self._before, self._now, self._turned = self._now, None, at
        self._now = apart if self._now is None else max(self._now, apart)

    @property
    def known(self) -> bool:
        """Whether any stamp was told."""
        return self._now is not None

    def now(self) -> int:
        """The broker's time, µs."""
        told = [apart for apart in (self._now, self._before) if apart is not None]
        return round((max(told) + self._monotonic()) * 1e6) if told else self._fallback()


async def ask(writing: aiokafka.AIOKafkaProducer, topic: str) -> int:
    """The broker's time (µs): that of a call to nobody, written to the topic of roll calls. Raises ``KafkaError``."""
    told = await writing.send_and_wait(topic, encode_call(Call("", [])), partition=0)
    return int(told.timestamp) * 1000


async def asked(settings: Settings) -> int:
    """The same, asked by somebody who writes nothing else."""
    writing = producer(settings)
    await writing.start()
    try:
        return await ask(writing, Topics.of(settings).roll_calls)
    finally:
        await writing.stop()


def log_time(broker_us: int, last: int, arrived: int) -> int:
    """The time (µs) of a log whose last record moved it to ``last`` and ``arrived`` then by the broker's clock: the broker's.

    A log ahead of that, by a door whose clock was wrong for a while, goes on slower until it is not.

    >>> log_time(100, last=90, arrived=95), log_time(100, last=190, arrived=90)
    (100, 199)
    """
    return max(broker_us, last + round((1.0 - _SLOWER) * max(0, broker_us - arrived)))
