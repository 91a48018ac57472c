"""The distributed service as its doors see it: a stateless process before Kafka; the twins are in the workers.

The current state comes from ``estimates``. A starting door asks the workers for the whole state and is ready when it has
the state of every partition. Outcomes repeated after a take-over have an offset that the door has passed: they are
skipped.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence

import aiokafka
import aiokafka.errors
import msgspec
import structlog

from streams.clock import Clock
from streams.errors import KafkaUnusable, LogUnavailable
from streams.history.base import History
from streams.kafka.connect import MOST_BYTES, options, producer
from streams.kafka.door.following import Following
from streams.kafka.door.gatherer import Gatherer
from streams.kafka.door.spool import Spool
from streams.kafka.messages import Call, encode_call
from streams.kafka.reach import Reach
from streams.kafka.topics import Topics, mismatches
from streams.kafka.worker.log_reader import reader
from streams.kafka.worker.log_time import BrokerTime
from streams.log.log import DeadLetter, decode_dead_letter, encode_dead_letter, encode_record
from streams.registry import Registry, partition_of
from streams.settings import Settings
from twins.alarms.limit_settings import limits_given
from twins.records import (
    Admit,
    Columns,
    Command,
    Discharge,
    Fact,
    Move,
    Outcome,
    SetLimits,
    SetRules,
    Setting,
    Zone,
    for_everybody,
)

__all__ = ["KafkaService"]

_logger = structlog.get_logger(__name__)

_CALL_AGAIN_S = 2.0
_MEND_S = 1.0
_STOPS_WITHIN_S = 10.0
_STOPPED_S = 8.5
"""Estimates older than this have no worker: a killed worker is replaced sooner."""


class KafkaService:
    """Everything behind a door of the distributed service; coroutines run on the loop that called ``start``."""

    def __init__(self, settings: Settings, history: History) -> None:
        """Raises ``KafkaUnusable`` if the folder of the spool cannot be used."""
        self.settings = settings
        self.clock = Clock()
        self.registry = Registry(settings.kafka_partitions)
        self.history = history
        self.topics = Topics.of(settings)
        self._listeners: list[Callable[[Outcome], None]] = []
        self._spool = _spool(settings)
        self._gatherer = Gatherer(
            self.topics.inputs, self.registry, self.clock, settings.kafka_gather_seconds, settings.kafka_answer_seconds,
            settings.max_waiting_bytes, self._spool,
        )  # fmt: skip
        self._calling = asyncio.Event()
        self._door = secrets.token_hex(8)
        self._following = Following(self._door, range(settings.kafka_partitions), self._deliver, self._calling.set)
        self._heard = self._following.heard
        self._broker_time = BrokerTime(self.clock.now)
        self._since = self.clock.now()
        self._reach = Reach(self.topics.inputs, range(settings.kafka_partitions))
        self._ward_limits: dict[tuple[str, str], SetLimits] = {}
        self._ward_scores: dict[str, bool] = {}
        self._rules: SetRules | None = None
        self._zones: dict[str, Zone] = {}
        self._settings: dict[tuple[str, ...], Setting] = {}
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.counts = dict.fromkeys(("outcomes", "alarms", "unreadable"), 0)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to listen and to take readings; ``ready`` once the workers have sent their state.

        Raises:
            KafkaUnusable: no broker answers, or the topics are not those that ``vitaltwin init`` creates.
        """
        wrong = await mismatches(self.settings)
        if wrong:
            raise KafkaUnusable("; ".join(wrong))
        try:
            self._producer = self._gatherer.producer = producer(self.settings)
            await self._producer.start()
            self._consumer = aiokafka.AIOKafkaConsumer(
                **options(self.settings), enable_auto_commit=False, auto_offset_reset="latest",
                max_partition_fetch_bytes=MOST_BYTES, fetch_max_wait_ms=500,
            )  # fmt: skip
            await self._consumer.start()
            places = [
                aiokafka.TopicPartition(self.topics.estimates, partition)
                for partition in range(self.settings.kafka_partitions)
            ]
            self._consumer.assign(places)
            if not await self._consumer.seek_to_end(*places):
                raise aiokafka.errors.KafkaTimeoutError("Kafka does not say where the estimates end")
        except aiokafka.errors.KafkaError as error:
            await self.stop()
            raise KafkaUnusable(f"Kafka at {self.settings.kafka_servers}: {error}") from error
        self._since = self._broker_time.now()
        beside = (self._listen(), self._call(), self._replace_stuck_producer(), self._reach.run(self._consumer))
        self._tasks = [asyncio.create_task(work) for work in beside]
        if self._spool is not None:
            self._tasks.append(asyncio.create_task(self._spool.run(self._gatherer.send_spooled)))

    async def stop(self) -> None:
        """Answer waiting requests and close."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gatherer.drain()
        for client in (self._consumer, self._producer):
            if client is not None:
                await _ended(client)
        self._gatherer.producer = None
        if self._spool is not None:
            self._spool.close()
        self.history.close()

    async def failed(self) -> str:
        """Never return: a door has no twins of its own, and replaces a stuck producer itself."""
        await asyncio.Event().wait()
        return ""

    @property
    def ready(self) -> bool:
        """Whether readings can be taken and the state of every partition is known."""
        return not self._following.awaited and not self._stopping

    # -- what the doors call ------------------------------------------------------------------------------------

    async def observe(self, columns: Columns, source: str) -> None:
        """Return once the readings are durable; raises ``Overloaded``, ``LogUnavailable``."""
        if len(columns):
            await self._gatherer.observe(columns, source)

    async def append(self, record: Fact | Command) -> tuple[int, int]:
        """Return the record's (partition, offset) once it is durable; raises ``LogUnavailable``."""
        record.received = self.clock.now()
        raw = encode_record(record)
        if for_everybody(record):
            count = self.settings.kafka_partitions
            places = await asyncio.gather(*(self._gatherer.record(partition, raw) for partition in range(count)))
            return count - 1, places[-1]
        partition = partition_of(record.patient, self.settings.kafka_partitions)
        place = await self._gatherer.record(partition, raw, record.patient.encode())
        if isinstance(record, Admit | Move | Discharge):
            self.registry.foresee(record, (partition, place))
        return partition, place

    async def refuse(self, entries: Sequence[DeadLetter]) -> None:
        """Return once the dead letters are durable; raises ``LogUnavailable``."""
        if self._producer is None:
            raise LogUnavailable("the service is not running")
        sending = [
            self._producer.send_and_wait(self.topics.dead_letters, encode_dead_letter(entry), partition=0)
            for entry in entries
        ]
        try:
            await asyncio.wait_for(asyncio.gather(*sending), self.settings.kafka_answer_seconds)
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"dead letters cannot be written: {error!r}") from error

    async def dead_letters(self, before: int | None = None, limit: int = 100) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their numbers, newest first, from before number ``before``."""
        place = aiokafka.TopicPartition(self.topics.dead_letters, 0)
        found: list[tuple[int, DeadLetter]] = []
        try:
            async with reader(self.settings) as consumer:
                consumer.assign([place])
                first = (await consumer.beginning_offsets([place]))[place]
                end = min((await consumer.end_offsets([place]))[place], before if before is not None else 1 << 62)
                consumer.seek(place, max(first, end - limit))
                while await consumer.position(place) < end:
                    records = (await consumer.getmany(place, timeout_ms=500)).get(place, ())
                    found += [(one.offset, _letter(one)) for one in records if one.offset < end]
        except aiokafka.errors.KafkaError as error:
            raise LogUnavailable(f"dead letters cannot be read: {error}") from error
        return found[::-1]

    def listen(self, callback: Callable[[Outcome], None]) -> None:
        """Get every outcome on the loop, first the complete state of each partition; call before ``start``."""
        self._listeners.append(callback)

    def ward_limits(self, ward: str) -> dict[str, dict[str, float]]:
        """The limits set for a ward: by signal, then by bound."""
        return {signal: limits_given(given) for (place, signal), given in self._ward_limits.items() if place == ward}

    def ward_settings(self, ward: str) -> dict[str, SetLimits]:
        """The commands that set the limits of a ward, by signal."""
        return {signal: given for (place, signal), given in self._ward_limits.items() if place == ward}

    def ward_scores(self, ward: str) -> bool:
        """Whether NEWS2 is used in a ward."""
        return self._ward_scores.get(ward, True)

    def rules(self) -> SetRules | None:
        """The command that set the site's rules; ``None`` if nobody has set any."""
        return self._rules

    def zone(self, ward: str) -> Zone:
        """The time zone of a ward."""
        return self._zones.get(ward) or (self._rules.zone if self._rules else Zone())

    def site_settings(self) -> dict[tuple[str, ...], Setting]:
        """What the site has set that belongs to no patient, by key."""
        return dict(self._settings)

    def health(self) -> dict[str, object]:
        """The facts that readiness is decided from."""
        trouble = self._gatherer.trouble or self._reach.trouble
        age_s = max(self._ages_s().values())
        awaited = self._following.awaited
        twins = "stopped" if age_s > _STOPPED_S else "warming" if awaited else "ok"
        twins = self._following.refused or twins
        lag = self._lag()
        return {
            # A door that spools still takes readings: a load balancer must keep sending them.
            "ready": self.ready and twins == "ok" and (not trouble or self._gatherer.spooling),
            "restored": not awaited,
            "log": trouble or "ok",
            "twins": twins,
            "estimate_age_s": round(age_s, 3),
            # This counts records; each has at least one reading.
            "lag_readings": lag,
            "lag_s": round(max(0.0, age_s - self.settings.tick_seconds), 3) if lag else 0.0,
            "clock_apart_s": round(self._apart_us() / 1e6, 3),
            "awaited_partitions": awaited,
            "spooled_bytes": self._spool.waiting_bytes if self._spool is not None else 0,
        }

    def _ages_s(self) -> dict[int, float]:
        """Age (s) of the newest processed input, by partition; time since the start if none is known."""
        now = self._broker_time.now()
        partitions = range(self.settings.kafka_partitions)
        return {one: max(0, now - (self._following.progress(one).arrived or self._since)) / 1e6 for one in partitions}

    def _lag(self) -> int:
        """Records in the log that are not known to be processed."""
        ends = self._reach.ends.items()
        return sum(max(0, end - 1 - self._following.progress(one).offset) for one, end in ends)

    def _apart_us(self) -> int:
        """How far (µs) the log's time is ahead of this machine's clock, for the worst partition; negative: behind."""
        now, own = self._broker_time.now(), self.clock.now()
        heard = [self._following.progress(one) for one in range(self.settings.kafka_partitions)]
        return max((one.time + now - one.arrived - own for one in heard if one.arrived), key=abs, default=0)

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""
        figures: dict[str, int | float] = {
            "patients": len(self.registry),
            "log_records": self._gatherer.frames,
            "log_failures": self._gatherer.failures,
            "log_waiting_bytes": self._gatherer.waiting_bytes,
            "partitions_awaited": len(self._following.awaited),
        }
        if self._spool is not None:
            figures |= {"spool_waiting_bytes": self._spool.waiting_bytes, "spool_readings_total": self._spool.spooled}
        figures |= {f"estimate_age_seconds.{one}": age for one, age in self._ages_s().items()}
        figures["kafka_reached"] = float(not (self._gatherer.trouble or self._reach.trouble))
        figures["clock_apart_seconds"] = self._apart_us() / 1e6
        counts = self.counts | {"repeated": self._following.repeated, "gaps": self._following.gaps}
        return figures | {f"hub_{name}": count for name, count in counts.items()}

    # -- what the workers say -----------------------------------------------------------------------------------

    async def _call(self) -> None:
        """Ask for the state of partitions that is not known yet, or no longer."""
        while self._producer is not None:
            self._calling.clear()
            awaited = self._following.awaited
            if not awaited:
                await self._calling.wait()
                continue
            try:
                call = encode_call(Call(self._door, awaited))
                await self._producer.send_and_wait(self.topics.roll_calls, call, partition=0)
            except aiokafka.errors.KafkaError as error:
                _logger.warning("the workers cannot be called", reason=str(error))
            await asyncio.sleep(_CALL_AGAIN_S)

    async def _replace_stuck_producer(self) -> None:
        """Replace a stuck producer by a fresh one; requests waiting in the old one were answered 503."""
        while True:
            await asyncio.sleep(_MEND_S)
            if not self._gatherer.stuck:
                continue
            fresh = producer(self.settings)
            try:
                await fresh.start()
            except aiokafka.errors.KafkaError:
                await _ended(fresh)  # Kafka is away: a new producer is no better
                continue
            _logger.warning("another producer takes over", reason=self._gatherer.trouble)
            old, self._producer = self._producer, fresh
            self._gatherer.renew(fresh)
            if old is not None:
                await _ended(old)

    async def _listen(self) -> None:
        consumer = self._consumer
        while consumer is not None:
            try:
                batches = await consumer.getmany(timeout_ms=1_000, max_records=500)
            except aiokafka.errors.KafkaError as error:
                _logger.warning("outcomes of the workers cannot be read", reason=str(error))
                await asyncio.sleep(0.5)
                continue
            for place, records in batches.items():
                for record in records:
                    try:
                        self._broker_time.observe(record.timestamp * 1000)
                        self._following.at(place.partition, record.offset)
                        headers = dict(record.headers)
                        if not self._following.newer(place.partition, headers):
                            self._heard(record.value, headers)
                    except (msgspec.MsgspecError, ValueError, TypeError) as error:
                        self.counts["unreadable"] += 1
                        _logger.warning("an outcome of a worker cannot be read", topic=place.topic, reason=str(error))

    def _deliver(self, outcome: Outcome) -> None:
        self.counts["outcomes"] += 1
        self.counts["alarms"] += 0 if outcome.complete else len(outcome.transitions)
        self.registry.take(outcome)
        for limits in outcome.ward_limits:
            self._ward_limits[limits.ward, limits.signal] = limits
        self._ward_scores |= {ward.ward: ward.news2 for ward in outcome.wards}
        self._rules = outcome.rules or self._rules
        for one in outcome.zones:
            if one.zone is None:
                self._zones.pop(one.ward, None)
            else:
                self._zones[one.ward] = one.zone
        for setting in outcome.settings:
            if setting.removes:
                self._settings.pop(setting.key, None)
            else:
                self._settings[setting.key] = setting
        for callback in self._listeners:
            try:
                callback(outcome)
            except Exception:
                _logger.exception("a listener failed", partition=outcome.partition, offset=outcome.offset)


def _letter(record: aiokafka.ConsumerRecord) -> DeadLetter:
    """A record as a dead letter, also one that a foreign producer wrote."""
    raw = record.value or b""
    try:
        return decode_dead_letter(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return DeadLetter(
            record.timestamp * 1000, "", "malformed_record", str(record.offset), str(error), raw[: 64 << 10]
        )


async def _ended(client: aiokafka.AIOKafkaConsumer | aiokafka.AIOKafkaProducer) -> None:
    """Stop a client; one that cannot send its last records is abandoned after some seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.stop(), _STOPS_WITHIN_S)


def _spool(settings: Settings) -> Spool | None:
    if settings.kafka_spool is None:
        return None
    try:
        return Spool(settings.kafka_spool, settings.kafka_spool_bytes)
    except OSError as error:
        raise KafkaUnusable(f"the spool {settings.kafka_spool} cannot be used: {error.strerror}") from error
