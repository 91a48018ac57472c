"""The distributed worker: a Faust agent that moves the twins by the records of the partitions it is assigned.

The group's offset is never the truth, the checkpoints are: on assignment the twins are restored from ``twins`` and the
log is read on from what they cover, wherever Faust would begin; every partition's offsets have to arrive without a gap.
Order of durability: outcomes and history, then blocks, then the manifest, then the acknowledgement to the group.
"""

import asyncio
import math
import socket
from collections.abc import Collection, Iterable
from typing import Any

import aiokafka.errors
import faust
import structlog
from faust.types import TP

from streams.clock import Clock
from streams.errors import KafkaUnusable
from streams.history.base import History
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
from twins.models.registry import ChannelModel
from twins.records import Outcome, Tick

__all__ = ["KafkaWorker"]

_logger = structlog.get_logger(__name__)

_SEEK_AGAIN_S = 1.0
_STOPS_WITHIN_S = 10.0
_THROUGH_S = 0.05
_BEAT_S = 0.5
_STUCK_S = 5.0


class KafkaWorker:
    """One worker process: restores what it is assigned, takes records, writes outcomes and checkpoints."""

    def __init__(self, settings: Settings, history: History, models: Iterable[ChannelModel] = ()) -> None:
        self.settings = settings
        self.topics = Topics.of(settings)
        self.clock = Clock()
        self.history = history
        self.worker = Worker(history, models, self._failed)
        self.held: dict[int, Partition] = {}
        self.broker_time = BrokerTime(self.clock.now)
        self._intake = Intake(settings)
        self.counts = dict.fromkeys(("records", "gaps", "holes", "skipped", "poison", "restores", "set_back"), 0)
        self.draining = False
        self.stranded: Collection[object] = ()
        """What of Faust did not end: its consumer's thread waits for Kafka, and nothing can be told to it."""
        self._outgoing = Outgoing(settings, self.topics, self.broker_time)
        self._restoring: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[None]
        self.sweeps = Sweeps(self.worker, self.held, history, self._outgoing, self.topics)
        self._sought = -math.inf
        self.app = application(settings, self._take)
        self.app.on_partitions_assigned.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then hand over.

        Raises:
            KafkaUnusable: no broker answers, or what was written is lost. What is not covered by a checkpoint is done
                again by whoever takes the partitions over.
        """
        self._broken = asyncio.get_running_loop().create_future()
        calls = answer_calls(self.settings, self.topics.roll_calls, self._outgoing, self._stated)
        beside: list[asyncio.Future[Any]] = []
        try:
            await self._outgoing.start()
            await self._outgoing.ask_time()
            await self.app.start()
            sweeps = self.sweeps.run(self.settings.checkpoint_seconds)
            beside = [asyncio.ensure_future(work) for work in (stop.wait(), self._tick(), sweeps, calls)]
            ended, _ = await asyncio.wait(
                [*beside, self._broken, self._outgoing.failed], return_when=asyncio.FIRST_COMPLETED
            )
            for one in ended:
                one.result()
            if stop.is_set():
                await self.sweeps.leave_little()
        except aiokafka.errors.KafkaError as error:
            raise KafkaUnusable(f"Kafka at {self.settings.kafka_servers}: {error}") from error
        finally:
            self.draining = True
            for task in (*beside, *self._restoring, self._broken):
                task.cancel()
            # Partitions first: another worker restores them while this one tidies up.
            leaving = asyncio.ensure_future(self.app.stop())
            left, self.stranded = await asyncio.wait([leaving], timeout=_STOPS_WITHIN_S)
            await self._outgoing.stop()
            for one in left:
                one.result()

    # -- assignment ---------------------------------------------------------------------------------------------

    async def _revoked(self, _: faust.App, revoked: set[TP], **__: Any) -> None:  # noqa: ANN401 - Faust's signal
        asked = sorted(place.partition for place in revoked if place.topic == self.topics.inputs)
        if asked:
            _logger.info("partitions are shared out anew", held=asked)
        for place in revoked:
            held = self.held.get(place.partition)
            if held is not None and not held.ready.is_set():
                self.held.pop(place.partition)

    async def _assigned(self, _: faust.App, assigned: set[TP], **__: Any) -> None:  # noqa: ANN401 - Faust's signal
        """Begin with what is new. What this worker held before it still holds: state follows from the log alone."""
        mine = {place.partition for place in assigned if place.topic == self.topics.inputs}
        given_up = sorted(self.held.keys() - mine)
        for partition in given_up:
            self._forget(partition)
        new = sorted(mine - self.held.keys())
        _logger.info("partitions assigned", assigned=sorted(mine), new=new, given_up=given_up)
        for partition in new:
            self.held[partition] = Partition(partition, self.settings.tick_seconds)
        if new:
            task = asyncio.create_task(self._restore(new))
            self._restoring.add(task)
            task.add_done_callback(self._restored)

    def _restored(self, task: "asyncio.Task[None]") -> None:
        """A partition that cannot be restored ends the worker: nobody would notice one that waits for ever."""
        self._restoring.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)

    def _forget(self, partition: int) -> None:
        del self.held[partition]
        if partition in self.worker.banks:
            self.worker.release(partition)

    async def _restore(self, partitions: list[int]) -> None:
        """Restore new partitions, again and again until it succeeds or they are gone."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while wanted := [
            number for number in partitions if number in self.held and not self.held[number].ready.is_set()
        ]:
            try:
                kept = await checkpoints.read(self.settings, wanted)
                ends = await log_reader.ends(self.settings, self.topics.inputs, wanted)
            except aiokafka.errors.KafkaError as error:
                _logger.warning("checkpoints cannot be read yet", reason=str(error))
                await asyncio.sleep(0.5)
                continue
            for partition in wanted:
                held = self.held.get(partition)
                if held is None or held.ready.is_set():
                    continue
                found = kept.pop(partition)
                damaged = self.worker.damaged
                held.due = self.worker.assign(partition, found.blobs, found.manifest.covered)
                held.covered, held.blocks = found.manifest.covered, found.manifest.blocks
                bank = self.worker.banks[partition]
                whole = self.worker.damaged == damaged
                if not whole:
                    _logger.error(
                        "checkpoints cannot be read: their patients come again from the log", partition=partition
                    )
                bank.time = held.time = found.manifest.time if whole else 0
                bank.time_kept = 0  # the foundation's; it may be ahead of what is still to be read
                held.target = ends[partition]
                self._catch_up(held)
                self.counts["restores"] += 1
                held.restored = loop.time()
                held.ready.set()
                await asyncio.sleep(0)
            restored = [number for number in wanted if number in self.held and self.held[number].ready.is_set()]
            _logger.info("partitions restored", partitions=restored, seconds=round(loop.time() - began, 3))

    def _catch_up(self, held: Partition) -> None:
        bank = self.worker.banks[held.partition]
        if bank.catching_up and held.due > max(bank.covered, default=-1):
            bank.finish_catch_up()

    # -- records ------------------------------------------------------------------------------------------------

    async def _take(self, event: faust.EventT) -> None:
        message = event.message
        held = self.held.get(message.partition)
        if held is None or self.draining:
            return
        if not held.ready.is_set():
            await held.ready.wait()
            if self.held.get(message.partition) is not held:
                return
        place = held.place(message.offset)
        if place is Place.AHEAD:
            await self._seek_back(held, message.offset)
            return
        if place is Place.SEEN:
            self.counts["skipped"] += 1
            held.seen(message.offset, event)
            return
        if place is Place.HOLE:
            # Asked past Faust and all it may have skipped.
            if await log_reader.next_offset(self.settings, self.topics.inputs, held.partition, held.due) == held.due:
                await self._seek_back(held, message.offset)
                return
            self.counts["holes"] += 1
            _logger.warning("the log has a hole", partition=held.partition, begin=held.due, end=message.offset)
        arrived = arrival(message, 1e6, self.clock.now())
        outcome = self._moved(held, message.offset, message.value, arrived)
        bank = self.worker.banks[held.partition]
        held.took(message.offset, bank.time, event)
        held.arrived = arrived
        self._catch_up(held)
        self.counts["records"] += 1
        await self._tell(held, outcome, message.offset)

    async def _tell(self, held: Partition, outcome: Outcome | None, offset: int) -> None:
        """Say what a record brought about, and about once a second that somebody is at work."""
        bank = self.worker.banks[held.partition]
        if outcome is not None and outcome.complete:
            await state_to(self._outgoing, EVERYBODY, bank, offset)  # no record holds a whole partition
        elif outcome is not None:
            await self._outgoing.outcome(outcome)
        now = asyncio.get_running_loop().time()
        if held.beat_due and now - held.beaten > _BEAT_S:
            held.beat_due, held.beaten = False, now
            await self._outgoing.beat(held.partition, offset, bank.time, held.arrived)

    async def _seek_back(self, held: Partition, offset: int) -> None:
        """Records are missing before ``offset``: have them read again from the one due."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._sought < _SEEK_AGAIN_S:
            return
        self.counts["gaps"] += 1
        _logger.warning("records are missing: reading again", partition=held.partition, due=held.due, came=offset)
        consumer = self.app.consumer
        consumer.stop_flow()
        await consumer.wait_for_stopped_flow()
        # What was fetched before has to be through: it would move Faust's own position past what is read again.
        await asyncio.sleep(_THROUGH_S)
        # Faust drops what it has fetched of any partition when its flow is stopped: all are read again, or each would show
        # a gap of its own then, and the next of another.
        try:
            for partition, other in list(self.held.items()):
                place = TP(self.topics.inputs, partition)
                if other.ready.is_set() and place in consumer.assignment():
                    await consumer.seek(place, other.due)
        finally:
            consumer.resume_flow()
            self._sought = loop.time()

    def _moved(self, held: Partition, offset: int, raw: bytes | None, arrived: int) -> Outcome | None:
        """Move the twins by an input; what it brought about, if anybody is to hear of it."""
        partition = held.partition
        records, poison = self._intake.records(raw, arrived, self.worker.banks[partition])
        for one in poison:
            self.counts["poison"] += 1
            self._bury(partition, offset, one.reason, str(one), raw or b"")
        if not records:
            self.worker.pass_over(partition, offset)
            return None
        before = self.worker.banks[partition].time
        # Whoever has heard of an offset passes over what comes with it again: an input brings about one outcome.
        last = records[-1]
        first, *others = [self.worker.take(partition, offset, one, more=one is not last) for one in records]
        for other in others:
            first.estimates = other.estimates or first.estimates
            first.scores += other.scores
            first.profiles += other.profiles
            first.transitions += other.transitions
        held.ticks.seen(records[0], before, self.worker.banks[partition].time)
        held.beat_due |= isinstance(last, Tick)
        return None if first.empty else first

    def _failed(self, partition: int, offset: int, error: Exception) -> None:
        _logger.error("a record could not be taken", partition=partition, offset=offset, exc_info=error)
        self._bury(partition, offset, "record_failed", repr(error), b"")

    def _bury(self, partition: int, offset: int, reason: str, detail: str, raw: bytes) -> None:
        where = f"{self.topics.inputs}[{partition}]@{offset}"
        self._outgoing.bury(DeadLetter(self.clock.now(), self.topics.inputs, reason, where, detail, raw[: 64 << 10]))

    # -- beside the records -------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while not self.draining:
            for held in list(self.held.values()):
                if not held.ready.is_set():
                    continue
                restored_s = asyncio.get_running_loop().time() - held.restored
                if held.ticks.due(caught_up=held.due >= held.target, restored_s=restored_s):
                    tick = self._next_tick(held)
                    held.ticks.sent(await self._outgoing.send(self.topics.inputs, encode_record(tick), held.partition))
            await asyncio.sleep(self.settings.tick_seconds)

    def _next_tick(self, held: Partition) -> Tick:
        last, now = self.worker.banks[held.partition].time, self.broker_time.now()
        at_end = held.due >= self._end(held)
        if at_end and last - now > AHEAD_US:
            # As a record of an earlier version may have left it, or a broker whose clock was wrong.
            self.counts["set_back"] += 1
            _logger.error(
                "the log's time is ahead of the broker's and is set back",
                partition=held.partition,
                ahead_s=(last - now) / 1e6,
            )
            return Tick(now, back=last - now)
        return held.ticks.next(log_time(now, last, held.arrived), last, at_end=at_end)

    def _stated(self, partition: int) -> tuple[Bank, int] | None:
        """The bank of a partition and the offset it has seen, if it is restored here."""
        held = self.held.get(partition)
        return (self.worker.banks[partition], held.due - 1) if held is not None and held.ready.is_set() else None

    # -- figures ------------------------------------------------------------------------------------------------

    def lag(self) -> dict[int, int]:
        """Records behind the log's end, by partition."""
        behind = {}
        for partition, held in self.held.items():
            end = self._end(held)
            behind[partition] = max(0, end - held.due) if held.ready.is_set() else end
        return behind

    def _end(self, held: Partition) -> int:
        """The log's end as far as it is known here."""
        try:
            return self.app.consumer.highwater(TP(self.topics.inputs, held.partition)) or held.target
        except AssertionError:  # aiokafka's word between two assignments
            return held.target

    def health(self) -> dict[str, object]:
        """What readiness rests on."""
        restored = sum(held.ready.is_set() for held in self.held.values())
        lag = sum(self.lag().values()) if self.held else 0
        # A tick goes out every second: what is not answered for so long says that Kafka is away, also of an idle worker.
        stuck_s = self._outgoing.stuck_s
        log = f"Kafka takes nothing for {stuck_s:.0f} s" if stuck_s > _STUCK_S else "ok"
        through = bool(self.held) and restored == len(self.held) and lag <= self.settings.ready_lag
        return {
            "ready": through and log == "ok" and not self.draining,
            "assigned": sorted(self.held), "restored": restored, "log": log,
            "lag_records": lag, "estimate_age_s": round(max(self._ages_s().values(), default=0.0), 3),
            "clock_apart_s": round(self._apart_us() / 1e6, 3),
            "draining": self.draining, "host": socket.gethostname(),
        }  # fmt: skip

    def _ages_s(self) -> dict[int, float]:
        """How long ago the record arrived that was taken last, by partition."""
        now = self.broker_time.now()
        return {one: max(0, now - held.arrived) / 1e6 for one, held in self.held.items() if held.arrived}

    def _apart_us(self) -> int:
        """How far the log's time is ahead of this machine's clock, where it is furthest from it; behind, where negative."""
        now, own = self.broker_time.now(), self.clock.now()
        banks = self.worker.banks
        apart = [banks[one].time + now - held.arrived - own for one, held in self.held.items() if held.arrived]
        return max(apart, key=abs, default=now - own if self.broker_time.known else 0)

    def counters(self) -> dict[str, int | float]:
        """Figures for /metrics."""
        lag = self.lag()
        figures: dict[str, int | float] = {f"readings_{name}": count for name, count in self.worker.counts.items()}
        figures |= self.history.counters()
        return figures | {f"worker_{name}": count for name, count in self.counts.items()} | {
            "patients": sum(len(bank.index) for bank in self.worker.banks.values()),
            "worker_failures": self.worker.failures,
            "worker_received_ahead": self._intake.ahead,
            "worker_checkpoints_damaged": self.worker.damaged,
            "worker_checkpoints": self.sweeps.blocks,
            "worker_checkpoint_bytes": self.sweeps.bytes,
            "worker_partitions": len(self.held),
            "worker_partitions_restored": sum(held.ready.is_set() for held in self.held.values()),
            "worker_lag_records": sum(lag.values()),
            "worker_unanswered": self._outgoing.unanswered,
            "kafka_reached": float(self._outgoing.stuck_s <= _STUCK_S),
            "clock_apart_seconds": self._apart_us() / 1e6,
        } | {f"estimate_age_seconds.{partition}": age for partition, age in self._ages_s().items()}  # fmt: skip
