"""The distributed worker: a Faust agent that applies the records of its assigned partitions to the twins.

Checkpoints decide where to read on, not the group's offset: on assignment the twins are restored from ``twins`` and the
log is read from the offset they cover, wherever Faust would begin. Every partition's offsets must arrive without a gap.
Order of durability: outcomes and history, then blocks, then the manifest, then the acknowledgement to the group.
"""

import asyncio
import math
import socket
from collections.abc import Collection, Iterable
from functools import reduce
from typing import Any

import aiokafka.errors
import faust
import structlog
from faust.types import TP

from streams.clock import Clock
from streams.errors import KafkaUnusable
from streams.history.base import History
from streams.kafka.format import FORMAT, format_of, newer
from streams.kafka.messages import EVERYBODY
from streams.kafka.topics import Topics
from streams.kafka.worker import checkpoints, log_reader
from streams.kafka.worker.application import application
from streams.kafka.worker.intake import AHEAD_US, Intake, arrival
from streams.kafka.worker.log_time import BrokerTime, log_time
from streams.kafka.worker.outgoing import Outgoing
from streams.kafka.worker.partition import Partition, Place
from streams.kafka.worker.roll_call import answer_calls, state_to
from streams.kafka.worker.sweeps import Sweeps
from streams.log.log import DeadLetter, encode_record
from streams.settings import Settings
from streams.worker.worker import Worker
from twins.bank.bank import Bank
from twins.models.registry import SiteModel
from twins.records import Outcome, Tick

__all__ = ["KafkaWorker"]

_logger = structlog.get_logger(__name__)

_SEEK_AGAIN_S = 1.0
_STOPS_WITHIN_S = 10.0
_THROUGH_S = 0.05
_BEAT_S = 0.5
_STUCK_S = 5.0


class KafkaWorker:
    """One worker process: restores its partitions, processes records, writes outcomes and checkpoints."""

    def __init__(self, settings: Settings, history: History, models: Iterable[SiteModel] = ()) -> None:
        self.settings = settings
        self.topics = Topics.of(settings)
        self.clock = Clock()
        self.history = history
        self.worker = Worker(history, models, self._failed)
        self.assigned: dict[int, Partition] = {}
        self.broker_time = BrokerTime(self.clock.now)
        self._intake = Intake(settings)
        self.counts = dict.fromkeys(("records", "gaps", "holes", "skipped", "poison", "restores", "set_back"), 0)
        self.draining = False
        self.stranded: Collection[object] = ()
        """Faust tasks that did not end: its consumer's thread waits for Kafka and cannot be stopped."""
        self._outgoing = Outgoing(settings, self.topics, self.broker_time)
        self._restoring: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[None]
        self.sweeps = Sweeps(self.worker, self.assigned, history, self._outgoing, self.topics)
        self._sought = -math.inf
        self.app = application(settings, self._take)
        self.app.on_partitions_assigned.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then hand over.

        Raises:
            KafkaUnusable: no broker answers, or written records were lost. The next worker of the partitions repeats
                what no checkpoint covers.
            NewerVersion: a newer version wrote a record or a checkpoint; what it wrote stays as it is.
        """
        self._broken = asyncio.get_running_loop().create_future()
        calls = answer_calls(self.settings, self.topics.roll_calls, self._outgoing, self._stated)
        beside: list[asyncio.Future[Any]] = []
        try:
            await self._outgoing.start()
            await self._outgoing.ask_time()
            await checkpoints.refuse_newer(self.settings)
            await self.app.start()
            sweeps = self.sweeps.run(self.settings.checkpoint_seconds)
            beside = [asyncio.ensure_future(work) for work in (stop.wait(), self._tick(), sweeps, calls)]
            ended, _ = await asyncio.wait(
                [*beside, self._broken, self._outgoing.failed], return_when=asyncio.FIRST_COMPLETED
            )
            for one in ended:
                one.result()
            if stop.is_set():
                await self.sweeps.bring_up_to_date()
        except aiokafka.errors.KafkaError as error:
            raise KafkaUnusable(f"Kafka at {self.settings.kafka_servers}: {error}") from error
        finally:
            self.draining = True
            for task in (*beside, *self._restoring, self._broken):
                task.cancel()
            # Release partitions first: another worker restores them while this one cleans up.
            leaving = asyncio.ensure_future(self.app.stop())
            left, self.stranded = await asyncio.wait([leaving], timeout=_STOPS_WITHIN_S)
            await self._outgoing.stop()
            for one in left:
                one.result()

    # -- assignment ---------------------------------------------------------------------------------------------

    async def _revoked(self, _: faust.App, revoked: set[TP], **__: Any) -> None:  # noqa: ANN401 - Faust's signal
        asked = sorted(place.partition for place in revoked if place.topic == self.topics.inputs)
        if asked:
            _logger.info("partitions are being reassigned", partitions=asked)
        for place in revoked:
            part = self.assigned.get(place.partition)
            if part is not None and not part.ready.is_set():
                self.assigned.pop(place.partition)

    async def _assigned(self, _: faust.App, assigned: set[TP], **__: Any) -> None:  # noqa: ANN401 - Faust's signal
        """Start new partitions. Those this worker keeps need nothing: their state follows from the log alone."""
        mine = {place.partition for place in assigned if place.topic == self.topics.inputs}
        given_up = sorted(self.assigned.keys() - mine)
        for partition in given_up:
            self._forget(partition)
        new = sorted(mine - self.assigned.keys())
        _logger.info("partitions assigned", assigned=sorted(mine), new=new, given_up=given_up)
        for partition in new:
            self.assigned[partition] = Partition(partition, self.settings.tick_seconds)
        if new:
            task = asyncio.create_task(self._restore(new))
            self._restoring.add(task)
            task.add_done_callback(self._restored)

    def _restored(self, task: "asyncio.Task[None]") -> None:
        """End the worker if a partition cannot be restored: nobody would notice one that waits for ever."""
        self._restoring.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._break(error)

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    def _forget(self, partition: int) -> None:
        del self.assigned[partition]
        if partition in self.worker.banks:
            self.worker.release(partition)

    async def _restore(self, partitions: list[int]) -> None:
        """Restore new partitions; try again until it succeeds or they are gone."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while wanted := [
            number for number in partitions if number in self.assigned and not self.assigned[number].ready.is_set()
        ]:
            try:
                kept = await checkpoints.read(self.settings, wanted)
                ends = await log_reader.ends(self.settings, self.topics.inputs, wanted)
            except aiokafka.errors.KafkaError as error:
                _logger.warning("checkpoints cannot be read yet", reason=str(error))
                await asyncio.sleep(0.5)
                continue
            for partition in wanted:
                part = self.assigned.get(partition)
                if part is None or part.ready.is_set():
                    continue
                found = kept.pop(partition)
                damaged = self.worker.damaged
                part.due = self.worker.assign(partition, found.blobs, found.manifest.covered)
                part.covered, part.blocks = found.manifest.covered, found.manifest.blocks
                bank = self.worker.banks[partition]
                whole = self.worker.damaged == damaged
                if not whole:
                    _logger.error(
                        "checkpoints cannot be read: their patients come again from the log", partition=partition
                    )
                bank.time = part.time = found.manifest.time if whole else 0
                bank.time_kept = 0  # from the foundation; it may be ahead of the records still to be read
                part.target = ends[partition]
                self._catch_up(part)
                self.counts["restores"] += 1
                part.restored = loop.time()
                part.ready.set()
                await asyncio.sleep(0)
            restored = [number for number in wanted if number in self.assigned and self.assigned[number].ready.is_set()]
            _logger.info("partitions restored", partitions=restored, seconds=round(loop.time() - began, 3))

    def _catch_up(self, part: Partition) -> None:
        bank = self.worker.banks[part.partition]
        if bank.catching_up and part.due > max(bank.covered, default=-1):
            bank.finish_catch_up()

    # -- records ------------------------------------------------------------------------------------------------

    async def _take(self, event: faust.EventT) -> None:
        message = event.message
        part = self.assigned.get(message.partition)
        if part is None or self.draining:
            return
        if not part.ready.is_set():
            await part.ready.wait()
            if self.assigned.get(message.partition) is not part:
                return
        place = part.place(message.offset)
        if place is Place.AHEAD:
            await self._seek_back(part, message.offset)
            return
        if place is Place.SEEN:
            self.counts["skipped"] += 1
            part.seen(message.offset, event)
            return
        if place is Place.HOLE:
            # Ask the log directly: Faust may have skipped records.
            if await log_reader.next_offset(self.settings, self.topics.inputs, part.partition, part.due) == part.due:
                await self._seek_back(part, message.offset)
                return
            self.counts["holes"] += 1
            _logger.warning("the log has a hole", partition=part.partition, begin=part.due, end=message.offset)
        if (version := format_of(message.headers)) > FORMAT:
            self.draining = True  # nothing behind it is taken: it must not be passed over
            self._break(newer(f"{self.topics.inputs}[{part.partition}]@{message.offset}", "format", version, FORMAT))
            return
        arrived = arrival(message, 1e6, self.clock.now())
        outcome = self._moved(part, message.offset, message.value, arrived)
        bank = self.worker.banks[part.partition]
        part.took(message.offset, bank.time, event)
        part.arrived = arrived
        self._catch_up(part)
        self.counts["records"] += 1
        await self._tell(part, outcome, message.offset)

    async def _tell(self, part: Partition, outcome: Outcome | None, offset: int) -> None:
        """Write a record's outcome, and about once a second a heartbeat."""
        bank = self.worker.banks[part.partition]
        if outcome is not None and outcome.complete:
            await state_to(self._outgoing, EVERYBODY, bank, offset)  # one record is too small for a whole partition
        elif outcome is not None:
            await self._outgoing.outcome(outcome)
        now = asyncio.get_running_loop().time()
        if part.beat_due and now - part.beaten > _BEAT_S:
            part.beat_due, part.beaten = False, now
            await self._outgoing.beat(part.partition, offset, bank.time, part.arrived)

    async def _seek_back(self, part: Partition, offset: int) -> None:
        """Records are missing before ``offset``: read again from the one due."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._sought < _SEEK_AGAIN_S:
            return
        self.counts["gaps"] += 1
        _logger.warning("records are missing: reading again", partition=part.partition, due=part.due, came=offset)
        consumer = self.app.consumer
        consumer.stop_flow()
        await consumer.wait_for_stopped_flow()
        # Records fetched before must be processed first: they would move Faust's position past the records to read again.
        await asyncio.sleep(_THROUGH_S)
        # When its flow stops, Faust drops what it has fetched of every partition. So all partitions are read again;
        # otherwise each of them would show a gap, one after the other.
        try:
            for partition, other in list(self.assigned.items()):
                place = TP(self.topics.inputs, partition)
                if other.ready.is_set() and place in consumer.assignment():
                    await consumer.seek(place, other.due)
        finally:
            consumer.resume_flow()
            self._sought = loop.time()

    def _moved(self, part: Partition, offset: int, raw: bytes | None, arrived: int) -> Outcome | None:
        """Apply an input to the twins; returns its outcome, ``None`` if that is empty."""
        partition = part.partition
        records, poison = self._intake.records(raw, arrived, self.worker.banks[partition])
        for one in poison:
            self.counts["poison"] += 1
            self._dead_letter(partition, offset, one.reason, str(one), raw or b"")
        if not records:
            self.worker.pass_over(partition, offset)
            return None
        before = self.worker.banks[partition].time
        # Readers skip a second outcome with the same offset: so an input has exactly one outcome.
        last = records[-1]
        outcome = reduce(
            Outcome.followed_by,
            [self.worker.take(partition, offset, one, more=one is not last) for one in records],
        )
        part.ticks.seen(records[0], before, self.worker.banks[partition].time)
        part.beat_due |= isinstance(last, Tick)
        return None if outcome.empty else outcome

    def _failed(self, partition: int, offset: int, error: Exception) -> None:
        _logger.error("a record could not be processed", partition=partition, offset=offset, exc_info=error)
        self._dead_letter(partition, offset, "record_failed", repr(error), b"")

    def _dead_letter(self, partition: int, offset: int, reason: str, detail: str, raw: bytes) -> None:
        where = f"{self.topics.inputs}[{partition}]@{offset}"
        self._outgoing.dead_letter(
            DeadLetter(self.clock.now(), self.topics.inputs, reason, where, detail, raw[: 64 << 10])
        )

    # -- beside the records -------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while not self.draining:
            for part in list(self.assigned.values()):
                if not part.ready.is_set():
                    continue
                restored_s = asyncio.get_running_loop().time() - part.restored
                if part.ticks.due(caught_up=part.due >= part.target, restored_s=restored_s):
                    tick = self._next_tick(part)
                    part.ticks.sent(await self._outgoing.send(self.topics.inputs, encode_record(tick), part.partition))
            await asyncio.sleep(self.settings.tick_seconds)

    def _next_tick(self, part: Partition) -> Tick:
        last, now = self.worker.banks[part.partition].time, self.broker_time.now()
        at_end = part.due >= self._end(part)
        if at_end and last - now > AHEAD_US:
            # A record of an earlier version may have caused this, or a broker whose clock was wrong.
            self.counts["set_back"] += 1
            ahead_s = (last - now) / 1e6
            _logger.error("log time is ahead of the broker's: set back", partition=part.partition, ahead_s=ahead_s)
            return Tick(now, back=last - now)
        return part.ticks.next(log_time(now, last, part.arrived), last, at_end=at_end)

    def _stated(self, partition: int) -> tuple[Bank, int] | None:
        """The bank of a partition and the offset it has seen, if it is restored here."""
        part = self.assigned.get(partition)
        return (self.worker.banks[partition], part.due - 1) if part is not None and part.ready.is_set() else None

    # -- figures ------------------------------------------------------------------------------------------------

    def lag(self) -> dict[int, int]:
        """Records behind the log's end, by partition."""
        behind = {}
        for partition, part in self.assigned.items():
            end = self._end(part)
            behind[partition] = max(0, end - part.due) if part.ready.is_set() else end
        return behind

    def _end(self, part: Partition) -> int:
        """The log's end as far as this worker knows it."""
        try:
            return self.app.consumer.highwater(TP(self.topics.inputs, part.partition)) or part.target
        except AssertionError:  # aiokafka raises this between two assignments
            return part.target

    def health(self) -> dict[str, object]:
        """The facts that readiness is decided from."""
        restored = sum(part.ready.is_set() for part in self.assigned.values())
        lag = sum(self.lag().values()) if self.assigned else 0
        # A tick goes out every second: if it is not acknowledged for long, Kafka is away, also for an idle worker.
        stuck_s = self._outgoing.stuck_s
        log = f"Kafka has taken nothing for {stuck_s:.0f} s" if stuck_s > _STUCK_S else "ok"
        through = bool(self.assigned) and restored == len(self.assigned) and lag <= self.settings.ready_lag
        return {
            "ready": through and log == "ok" and not self.draining,
            "assigned": sorted(self.assigned), "restored": restored, "log": log,
            "lag_records": lag, "estimate_age_s": round(max(self._ages_s().values(), default=0.0), 3),
            "clock_apart_s": round(self._apart_us() / 1e6, 3),
            "draining": self.draining, "host": socket.gethostname(),
        }  # fmt: skip

    def _ages_s(self) -> dict[int, float]:
        """Age (s) of the newest processed record, by partition."""
        now = self.broker_time.now()
        return {one: max(0, now - part.arrived) / 1e6 for one, part in self.assigned.items() if part.arrived}

    def _apart_us(self) -> int:
        """How far (µs) the log's time is ahead of this machine's clock, for the worst partition; negative: behind."""
        now, own = self.broker_time.now(), self.clock.now()
        banks = self.worker.banks
        apart = [banks[one].time + now - part.arrived - own for one, part in self.assigned.items() if part.arrived]
        return max(apart, key=abs, default=now - own if self.broker_time.known else 0)

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""
        lag = self.lag()
        figures: dict[str, int | float] = {f"readings_{name}": count for name, count in self.worker.counts.items()}
        figures |= self.history.counters()
        return figures | {f"worker_{name}": count for name, count in self.counts.items()} | {
            "patients": sum(len(bank.index) for bank in self.worker.banks.values()),
            "worker_failures": self.worker.failures,
            "model_failures": self.worker.model_failures,
            "models_begun_anew": self.worker.models_begun,
            "worker_received_ahead": self._intake.ahead,
            "worker_checkpoints_damaged": self.worker.damaged,
            "worker_checkpoints": self.sweeps.blocks,
            "worker_checkpoint_bytes": self.sweeps.bytes,
            "worker_partitions": len(self.assigned),
            "worker_partitions_restored": sum(part.ready.is_set() for part in self.assigned.values()),
            "worker_lag_records": sum(lag.values()),
            "worker_unanswered": self._outgoing.unanswered,
            "kafka_reached": float(self._outgoing.stuck_s <= _STUCK_S),
            "clock_apart_seconds": self._apart_us() / 1e6,
        } | {f"estimate_age_seconds.{partition}": age for partition, age in self._ages_s().items()}  # fmt: skip
