"""What a worker writes to Kafka besides its checkpoints, in order, and whether all of it is durable."""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

import aiokafka
import aiokafka.errors
import structlog

from streams.errors import KafkaUnusable
from streams.kafka import format as topics_format
from streams.kafka.connect import producer
from streams.kafka.messages import ADDRESS, BEAT, EVERYBODY, OFFSET, encode_outcome, encode_transition
from streams.kafka.topics import Topics
from streams.kafka.worker.log_time import BrokerTime, ask
from streams.log.log import DeadLetter, encode_dead_letter
from streams.settings import Settings
from twins.records import Outcome

__all__ = ["Outgoing"]

_logger = structlog.get_logger(__name__)

_STOPS_WITHIN_S = 10.0

Headers = list[tuple[str, bytes]]


class Outgoing:
    """One producer; ``failed`` is called with the reason as soon as something cannot be made durable."""

    def __init__(self, settings: Settings, topics: Topics, broker_time: BrokerTime | None = None) -> None:
        self._settings = settings
        self._broker_time = broker_time or BrokerTime(lambda: 0)
        self._topics = topics
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._beside: set[asyncio.Task[Any]] = set()
        self.unanswered = 0
        """Records that Kafka has not acknowledged yet."""
        self.failed: asyncio.Future[None]
        self._since = 0.0

    async def start(self) -> None:
        """Connect; raises ``KafkaError``."""
        self.failed = asyncio.get_running_loop().create_future()
        self._producer = producer(self._settings)
        await self._producer.start()

    async def ask_time(self) -> None:
        """Get the broker's time before the first tick needs it; raises ``KafkaError``."""
        self._broker_time.observe(await ask(self.producer, self._topics.roll_calls))

    async def stop(self) -> None:
        """Write what is waiting, if Kafka takes it within some seconds, and close."""
        try:
            await asyncio.wait_for(self.producer.stop(), _STOPS_WITHIN_S)
        except TimeoutError:
            _logger.warning(
                "Kafka has not taken everything; the next worker of these partitions writes it again",
                unanswered=self.unanswered,
            )
        for task in self._beside:
            task.cancel()
        self.failed.cancel()

    @property
    def stuck_s(self) -> float:
        """Seconds for which Kafka has acknowledged nothing although something waits; 0 if nothing waits."""
        return time.monotonic() - self._since if self.unanswered else 0.0

    @property
    def producer(self) -> aiokafka.AIOKafkaProducer:
        """The producer itself, for callers that wait for each of their records."""
        if self._producer is None:
            raise RuntimeError("call start first")
        return self._producer

    async def outcome(self, outcome: Outcome, headers: Headers | None = None) -> None:
        """Write an outcome for the doors, in one record, and its transitions for everybody else.

        A door reads only one topic: two topics have no common order, and an alarm must not come before its patient.
        """
        partition = outcome.partition
        await self.send(self._topics.estimates, encode_outcome(outcome), partition, headers=headers)
        if headers:
            return  # a whole state repeats known transitions: they are no news
        for transition in outcome.transitions:
            await self.send(
                self._topics.alarms, encode_transition(transition), partition, transition.patient.encode(),
                [(OFFSET, b"%d" % outcome.offset)],
            )  # fmt: skip

    async def beat(self, partition: int, offset: int, time_us: int, arrived: int) -> None:
        """Send the doors a heartbeat: the newest processed input, at ``offset``, ``arrived`` then (broker's time, µs)."""
        said = encode_outcome(Outcome(partition=partition, offset=offset, time=time_us))
        await self.send(
            self._topics.estimates, said, partition, headers=[(ADDRESS, EVERYBODY), (BEAT, b"%d" % arrived)]
        )

    def dead_letter(self, letter: DeadLetter) -> None:
        """Write a dead letter, independent of everything else; its key is the place in the log it is about."""
        self._aside(self.send(self._topics.dead_letters, encode_dead_letter(letter), 0, letter.where.encode()))

    async def send(
        self, topic: str, value: bytes, partition: int, key: bytes | None = None, headers: Headers | None = None
    ) -> "asyncio.Future[Any]":
        """Queue a record, waiting while the producer's buffer is full.

        Its future is done once the record is durable or has failed; ``flush`` waits for all.
        """
        if not self.unanswered:
            self._since = time.monotonic()
        self.unanswered += 1
        try:
            headers = [*(headers or ()), *topics_format.headers()] or None
            future = await self._accepted(topic, value, key=key, partition=partition, headers=headers)
        except BaseException as error:
            self.unanswered -= 1
            self._fail(topic, error)
            raise
        future.add_done_callback(partial(self._answered, topic))
        return future

    async def _accepted(self, topic: str, value: bytes, **more: Any) -> "asyncio.Future[Any]":  # noqa: ANN401 - aiokafka's options
        while True:
            try:
                return await self.producer.send(topic, value, **more)  # type: ignore[no-any-return]
            except aiokafka.errors.KafkaTimeoutError:
                _logger.warning("Kafka takes nothing", topic=topic, unanswered=self.unanswered)

    async def flush(self) -> None:
        """Return once every queued record is durable; raises ``KafkaUnusable`` if one cannot be."""
        while self.unanswered and not self.failed.done():
            await self.producer.flush()
            await asyncio.sleep(0.001)  # a record may be about to be queued
        if self.failed.done():
            self.failed.result()

    def _answered(self, topic: str, answer: "asyncio.Future[Any]") -> None:
        self.unanswered -= 1
        self._since = time.monotonic()
        if answer.cancelled():
            return
        if error := answer.exception():
            self._fail(topic, error)
        else:
            self._broker_time.observe(answer.result().timestamp * 1000)

    def _fail(self, topic: str, error: BaseException) -> None:
        if not self.failed.done() and not isinstance(error, asyncio.CancelledError):
            self.failed.set_exception(KafkaUnusable(f"what was written to {topic} is lost: {error}"))

    def _aside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something in the background, with a reference until it is done."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
