"""The time of the log, independent of this machine's clock.

A partition's time advances with the doors' stamps on its records and with the ticks of its worker. If machines' clocks
differ by minutes, or one is set, ticks with the worker's own time would come too late to count, or declare every sensor
silent. So ticks carry the broker's time: the broker stamps every record when it is appended, whoever wrote it.
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
    """The broker's clock (µs), from its stamps and from the monotonic clock in between; ``fallback`` before the first."""

    def __init__(self, fallback: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fallback = fallback
        self._monotonic = monotonic
        # A stamp comes some time after it was set: the quickest one is the most exact. Old stamps are dropped, as either
        # clock may be set or drift.
        self._now: float | None = None
        self._before: float | None = None
        self._turned = 0.0

    def observe(self, stamp_us: int) -> None:
        """Take the broker's stamp of a record that has just come or has just been acknowledged."""
        at = self._monotonic()
        apart = stamp_us / 1e6 - at
        if at - self._turned > _WINDOW_S:
            self._before, self._now, self._turned = self._now, None, at
        self._now = apart if self._now is None else max(self._now, apart)

    @property
    def known(self) -> bool:
        """Whether any stamp has come."""
        return self._now is not None

    def now(self) -> int:
        """The broker's time, µs."""
        told = [apart for apart in (self._now, self._before) if apart is not None]
        return round((max(told) + self._monotonic()) * 1e6) if told else self._fallback()


async def ask(writing: aiokafka.AIOKafkaProducer, topic: str) -> int:
    """The broker's time (µs): the stamp of an empty call written to the topic of roll calls. Raises ``KafkaError``."""
    told = await writing.send_and_wait(topic, encode_call(Call("", [])), partition=0)
    return int(told.timestamp) * 1000


async def asked(settings: Settings) -> int:
    """The same, for a caller without a producer."""
    writing = producer(settings)
    await writing.start()
    try:
        return await ask(writing, Topics.of(settings).roll_calls)
    finally:
        await writing.stop()


def log_time(broker_us: int, last: int, arrived: int) -> int:
    """The time (µs) of a log whose last record has the time ``last`` and ``arrived`` then (broker's clock): broker time.

    A log that is ahead, because a door's clock was wrong for a while, advances more slowly until it is not.

    >>> log_time(100, last=90, arrived=95), log_time(100, last=190, arrived=90)
    (100, 199)
    """
    return max(broker_us, last + round((1.0 - _SLOWER) * max(0, broker_us - arrived)))
