"""Gather readings of many requests for some milliseconds and write them as one frame per partition."""

import asyncio
from collections.abc import Sequence

import aiokafka
import aiokafka.errors
import msgspec

from streams.clock import Clock
from streams.errors import LogUnavailable, Overloaded
from streams.kafka.door.spool import Record, Spool
from streams.kafka.format import headers
from streams.log.gathering import READING_BYTES, frames
from streams.log.log import encode_record
from streams.registry import Registry
from twins.records import Columns

__all__ = ["Gatherer"]

_MOST = 40_000
"""Most readings of a record, some 900 KB."""
_AT_ONCE = 20_000
"""This many waiting readings are written at once."""
_STUCK_S = 30.0
_SPOOLING_S = 0.1
"""Readings for the spool are gathered at least this long: each write costs an ``fsync`` and later a round trip."""


class _Waiting(msgspec.Struct):
    columns: Columns
    source: str
    future: "asyncio.Future[None]"


class Gatherer:
    """Writes readings within ``gather_s``; ``observe`` returns once they are durable, in Kafka or in the ``spool``."""

    def __init__(  # noqa: PLR0917 - its parts
        self, topic: str, registry: Registry, clock: Clock, gather_s: float, answer_s: float, most_bytes: int,
        spool: Spool | None = None,
    ) -> None:  # fmt: skip
        self._topic = topic
        self._registry = registry
        self._clock = clock
        self._gather_s = gather_s
        self._answer_s = answer_s
        self._most_bytes = most_bytes
        self._spool = spool
        self._waiting: list[_Waiting] = []
        self._readings = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self.producer: aiokafka.AIOKafkaProducer | None = None
        self.waiting_bytes = 0
        self.frames = 0
        self.failures = 0
        self.trouble = ""
        self._since = 0.0
        self._hopeless = False

    async def observe(self, columns: Columns, source: str) -> None:
        """Return once the readings are durable; raises ``Overloaded``, ``LogUnavailable``."""
        if self.waiting_bytes > self._most_bytes:
            raise Overloaded(1.0)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Waiting(columns, source, future))
        self._readings += len(columns)
        self.waiting_bytes += READING_BYTES * len(columns)
        if self._readings >= _AT_ONCE:
            self._write()
        elif self._timer is None:
            gather_s = max(self._gather_s, _SPOOLING_S) if self.spooling else self._gather_s
            self._timer = loop.call_later(gather_s, self._write)
        await future

    async def record(self, partition: int, value: bytes, key: bytes | None = None) -> int:
        """Write one record; returns its offset once it is durable. Raises ``LogUnavailable``."""
        return (await self._answered([await self._send(partition, value, key)]))[0]

    async def drain(self) -> None:
        """Write what is waiting and return once everything is answered."""
        self._write()
        while self._writing:
            await asyncio.wait(self._writing)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        waiting, self._waiting, self._readings = self._waiting, [], 0
        task = asyncio.create_task(self._write_all(waiting))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_all(self, waiting: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            observed = [(one.columns, one.source) for one in waiting]
            made = frames(observed, self._registry, self._clock.now(), _MOST)
            records = [(partition, encode_record(frame)) for partition, frame in made]
            await self._write_or_spool(records, sum(len(one.columns) for one in waiting))
            self.frames += len(made)
        except LogUnavailable as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - every waiting request gets an answer, whatever happened
            error = LogUnavailable(f"the readings could not be written: {failure!r}")
        for one in waiting:
            self.waiting_bytes -= READING_BYTES * len(one.columns)
            if one.future.done():
                continue  # the caller was cancelled
            if error is None:
                one.future.set_result(None)
            else:
                one.future.set_exception(error)

    @property
    def spooling(self) -> bool:
        """Whether readings go to the disk now: Kafka is away, or older readings wait there."""
        return self._spool is not None and bool(self.trouble or not self._spool.empty)

    async def _write_or_spool(self, records: list[Record], readings: int) -> None:
        if not self.spooling:
            try:
                await self._answered([await self._send(partition, record) for partition, record in records])
            except LogUnavailable:
                if self._spool is None:
                    raise
            else:
                return
        if self._spool is not None:
            await self._spool.keep(records, readings)

    async def send_spooled(self, records: Sequence[Record]) -> None:
        """Return once records from the spool are durable; raises ``KafkaError``, ``TimeoutError``."""
        if self.producer is None:
            raise aiokafka.errors.KafkaConnectionError("the service is not running")
        sending = [
            await self.producer.send(self._topic, record, partition=partition, headers=headers() or None)
            for partition, record in records
        ]
        # Longer than it takes to replace a stuck producer.
        await asyncio.wait_for(asyncio.gather(*map(asyncio.shield, sending)), 2 * _STUCK_S)
        self.trouble = ""

    async def _send(self, partition: int, value: bytes, key: bytes | None = None) -> "asyncio.Future[object]":
        if self.producer is None:
            raise LogUnavailable("the service is not running")
        try:
            sending = self.producer.send(self._topic, value, key=key, partition=partition, headers=headers() or None)
            return await asyncio.wait_for(sending, self._answer_s)
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def _answered(self, futures: "list[asyncio.Future[object]]") -> list[int]:
        try:
            done = asyncio.gather(*(asyncio.shield(future) for future in futures))
            answers = await asyncio.wait_for(done, self._answer_s)
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            for future in futures:
                future.add_done_callback(lambda one: one.cancelled() or one.exception())
            raise self._unavailable(error) from error
        self.trouble = ""
        return [answer.offset for answer in answers]  # type: ignore[attr-defined] # aiokafka's RecordMetadata

    @property
    def stuck(self) -> bool:
        """Whether to try another producer: Kafka refuses this one, or has acknowledged nothing for half a minute."""
        # Success on other partitions does not help the one that is refused.
        return self._hopeless or (bool(self.trouble) and asyncio.get_running_loop().time() - self._since > _STUCK_S)

    def renew(self, producer: aiokafka.AIOKafkaProducer) -> None:
        """Write with another producer from now on."""
        self.producer = producer
        self._hopeless = False
        self._since = asyncio.get_running_loop().time()

    def _unavailable(self, error: Exception) -> LogUnavailable:
        self.failures += 1
        why = "did not answer in time" if isinstance(error, TimeoutError) else f"refused: {error}"
        if not self.trouble:
            self._since = asyncio.get_running_loop().time()
        self._hopeless |= isinstance(error, aiokafka.errors.KafkaError) and not error.retriable
        self.trouble = f"Kafka {why}"
        return LogUnavailable(f"the log cannot be written: {self.trouble}")
