"""The worker: records in, outcomes out. It knows no store, no broker and no framework; both runtimes use it."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import structlog

from streams.errors import NewerVersion
from streams.history.base import History
from streams.history.kept_forecasts import ForecastSchedule
from streams.history.packing import coarse
from twins.bank.bank import BLOCK, Bank
from twins.bank.checkpoint import (
    FOUNDATION_VERSION,
    VERSION,
    Block,
    Foundation,
    block_of,
    foundation_of,
    restore,
    restore_foundation,
)
from twins.bank.rebuild import begin_patients, begin_wards, keep_alarms
from twins.compiled.sorting import tally
from twins.models.registry import SiteModel
from twins.records import Columns, Estimates, Fact, Outcome, Record, Retract, Revision, Status
from twins.signals import BY_NAME
from twins.step.dispatch import step
from twins.step.estimates import complete

__all__ = ["Blob", "Saved", "Worker", "readable", "version_of"]

_MEAN_BITS, _SPREAD_BITS = 16, 10
"""Precision of stored estimates: a heart rate to a thousandth, its standard deviation to a relative 1/2000."""

_logger = structlog.get_logger(__name__)
_checkpoint = msgspec.msgpack.Decoder(Block | Foundation)


class _Version(msgspec.Struct):
    """What a checkpoint of any version says."""

    type: str
    version: int


_version = msgspec.msgpack.Decoder(_Version)
_KNOWN = {"block": VERSION, "foundation": FOUNDATION_VERSION}
_STATUSES = tuple(status.name.lower() for status in Status)
"""The names of statuses in the order of their numbers."""

Blob = tuple[int, int, int, bytes]
"""A checkpoint to store: partition, block number (−1: the foundation, which belongs to no patient), offset, bytes."""


class Saved(msgspec.Struct):
    """Checkpoints to write, and by partition the offset up to which the log is no longer needed."""

    blobs: list[Blob]
    committed: dict[int, int]
    left: int = 0
    """Blocks of the share for which the time budget was too short."""


def version_of(blob: bytes) -> int:
    """The version of a block's checkpoint; 0 if it cannot be read."""
    try:
        return msgspec.msgpack.decode(blob, type=Block | Foundation).version
    except msgspec.MsgspecError:
        return 0


def readable(blob: bytes) -> bool:
    """Whether a checkpoint can be read, whatever its version."""
    try:
        msgspec.msgpack.decode(blob, type=Block | Foundation)
    except msgspec.MsgspecError:
        return False
    return True


class Worker:
    """The twins of some partitions, and when their state is checkpointed."""

    def __init__(
        self,
        history: History,
        models: Iterable[SiteModel] = (),
        failed: Callable[[int, int, Exception], None] | None = None,
    ) -> None:
        """``failed(partition, offset, error)`` is called for each record that could not be processed."""
        self.history = history
        self._failed = failed
        self.models = tuple(models)
        self.banks: dict[int, Bank] = {}
        self._schedules: dict[int, ForecastSchedule] = {}
        self.offsets: dict[int, int] = {}
        self.counts: dict[str, int] = {status.name.lower(): 0 for status in Status}
        self.failures = 0
        self.damaged = 0
        """Number of checkpoints that could not be read."""
        self.model_failures = 0
        """Number of calls of a site's models that raised an exception."""
        self.models_begun = 0
        """Number of blocks in which a site's model started anew because its checkpoint could not be used."""
        self._failing: set[str] = set()
        self._first_dirty: dict[tuple[int, int], int] = {}
        self._listeners: list[Callable[[Outcome], None]] = []
        self._revised: list[Revision] = []
        """The outcome of one offset's records so far."""

    def listen(self, callback: Callable[[Outcome], None]) -> None:
        """Get every outcome that is not empty, in order, on the worker's thread."""
        self._listeners.append(callback)

    def assign(self, partition: int, blobs: Iterable[bytes], committed: int = -1) -> int:
        """Start a partition from its checkpoints, which cover its log up to ``committed``; returns the next offset.

        Blocks may have been written later than that: each skips what it has already seen. If one cannot be read, the log
        must be read again from its oldest record; ``damaged`` counts such blocks.

        Raises:
            NewerVersion: a newer version wrote one of them. This version may misunderstand it.
        """
        bank, damaged = self._restored(partition, blobs, committed)
        self.damaged += damaged
        self.models_begun += len(bank.models.begun)
        for name, reason in dict(bank.models.begun).items():
            _logger.warning("a site's model begins anew", model=name, partition=partition, reason=reason)
        begin = 0 if damaged else committed + 1
        bank.catching_up = begin > 0 or damaged > 0
        bank.begin_catch_up(begin)
        self.banks[partition] = bank
        self._schedules[partition] = ForecastSchedule(bank)
        self.offsets[partition] = begin - 1
        return begin

    def _restored(self, partition: int, blobs: Iterable[bytes], committed: int) -> tuple[Bank, int]:
        """A bank of the readable checkpoints, and the number of unreadable ones: their patients are rebuilt from the log."""
        found: list[Block | Foundation] = []
        damaged = 0
        for raw in blobs:
            try:
                _refuse_newer(partition, _version.decode(raw))
                found.append(_checkpoint.decode(raw))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                damaged += 1
        found.sort(key=lambda kept: isinstance(kept, Block))  # blocks look up the limits of wards
        while True:
            bank = Bank(partition, self.models)
            blocks = [kept for kept in found if isinstance(kept, Block)]
            bank.expect(
                max(((kept.number + 1) * BLOCK for kept in blocks), default=0), sum(len(kept.rows) for kept in blocks)
            )
            wrong = next((kept for kept in found if not _into(bank, kept, committed)), None)
            if wrong is not None:
                found.remove(wrong)
                damaged += 1
                continue
            numbers = {block.number for block in blocks}
            bank.covered = [
                max(offset, committed) if not damaged or number in numbers else -1
                for number, offset in enumerate(bank.covered)
            ]
            return bank, damaged

    def rebuild(self, partition: int, blobs: Iterable[bytes], records: Iterable[tuple[int, Record]]) -> int:
        """Start a partition from the whole log that is left; from checkpoints take only what is older than the log.

        Used if this version cannot read the channels of the checkpoints. Returns the next offset.
        """
        bank = self.banks[partition] = Bank(partition, self.models)
        found: list[Block | Foundation] = [msgspec.msgpack.decode(raw, type=Block | Foundation) for raw in blobs]
        for kept in found:
            if isinstance(kept, Block):
                begin_patients(bank, kept)
            else:
                begin_wards(bank, kept)
                bank.time_kept, bank.time_kept_at = kept.time, kept.offset
        self._schedules[partition] = ForecastSchedule(bank)
        self.offsets[partition] = -1
        counted = dict(self.counts)
        for offset, record in records:
            self.take(partition, offset, record)
        self.counts = counted
        for kept in found:
            if isinstance(kept, Block):
                keep_alarms(bank, kept)
                self.offsets[partition] = max(self.offsets[partition], kept.offset)
        bank.finish_catch_up()
        for number in (-1, *range(len(bank.covered))):
            self._first_dirty[partition, number] = self.offsets[partition]
        return self.offsets[partition] + 1

    def take(self, partition: int, offset: int, record: Record, *, more: bool = False) -> Outcome:
        """Apply one record to the partition's twins; no content of a record can raise out of here.

        ``more``: another record with the same offset follows.
        """
        bank = self.banks[partition]
        bank.filed = None
        try:
            outcome = step(bank, record, offset)
        except Exception as error:  # noqa: BLE001 - whatever a record contains, its partition goes on
            self.failures += 1
            outcome = Outcome(partition=partition, offset=offset, time=bank.time)
            if self._failed:
                self._failed(partition, offset, error)
        self.offsets[partition] = offset
        if bank.models.failures:
            self._model_failed(bank)
        for block in bank.dirty:
            self._first_dirty.setdefault((partition, block), offset)
        bank.dirty.clear()
        self._first_dirty.setdefault((partition, -1), offset)
        if not bank.catching_up and not isinstance(record, Fact):
            self._count(outcome)
        self._remember(partition, offset, bank.filed, outcome, more=more)
        if not outcome.empty:
            for callback in self._listeners:
                callback(outcome)
        return outcome

    def pass_over(self, partition: int, offset: int) -> None:
        """Skip an unreadable record: nothing changes, and the next one is due."""
        self.offsets[partition] = offset
        self._first_dirty.setdefault((partition, -1), offset)

    def _model_failed(self, bank: Bank) -> None:
        """Count the failures of a site's models; of each model the first is logged."""
        self.model_failures += len(bank.models.failures)
        for name, error in bank.models.failures:
            if name not in self._failing:
                self._failing.add(name)
                _logger.error(
                    "a site's model failed; its further failures are only counted", model=name, exc_info=error
                )
        bank.models.failures.clear()

    def _count(self, outcome: Outcome) -> None:
        if outcome.status:
            totals = np.empty(len(Status), np.int64)
            tally(np.frombuffer(outcome.status, np.uint8), totals)
            for name, count in zip(_STATUSES, totals.tolist(), strict=True):
                if count:
                    self.counts[name] += count

    def _remember(
        self, partition: int, offset: int, filed: Columns | Fact | Retract | None, outcome: Outcome, *, more: bool
    ) -> None:
        history = self.history
        if isinstance(filed, Columns) and outcome.status:
            columns = filed
            history.add_observations(
                partition, offset, columns.patients, columns.patient, columns.signal, columns.time, columns.value,
                np.frombuffer(outcome.status, np.uint8),
            )  # fmt: skip
        elif isinstance(filed, Fact):
            history.add_facts(partition, offset, [filed])
        elif isinstance(filed, Retract):
            self._remember_retraction(partition, offset, filed)
        if outcome.complete:
            # The clock was set back: forecasts are due again. Stored estimates of the past stay unchanged.
            self._schedules[partition] = ForecastSchedule(self.banks[partition])
        elif outcome.estimates is not None:
            rows = outcome.estimates.rows
            if not rows["time"].all():
                # A channel with all its readings retracted goes to listeners, but it is no estimate of a past moment.
                rows = {name: column[rows["time"] > 0] for name, column in rows.items()}
            history.add_estimates(
                partition, offset, outcome.estimates.patients, rows["patient"], rows["signal"], rows["time"],
                coarse(rows["mean"], _MEAN_BITS), coarse(rows["sd"], _SPREAD_BITS),
                coarse(rows["quality"], _SPREAD_BITS).astype("f4"),
            )  # fmt: skip
            self._remember_forecasts(partition, offset, outcome.estimates, rows)
        self._remember_events(partition, offset, outcome)
        if outcome.chances:
            history.add_chances(partition, offset, outcome.chances)
        self._revised += outcome.revisions
        if not more:
            if self._revised:
                history.add_revisions(partition, offset, self._revised)
                self._revised = []
            history.complete(partition, offset)

    def _remember_events(self, partition: int, offset: int, outcome: Outcome) -> None:
        if outcome.stays:
            self.history.add_stays(partition, offset, outcome.stays)
        if outcome.transitions:
            self.history.add_transitions(partition, offset, outcome.transitions)

    def _remember_forecasts(self, partition: int, offset: int, estimates: Estimates, rows: dict[str, Any]) -> None:
        kept = self._schedules[partition].of(estimates, rows)
        # Estimates covered by a checkpoint come again while other blocks catch up. Their forecasts are already stored.
        if kept is not None and not self.banks[partition].catching_up:
            self.history.add_forecasts(partition, offset, *kept)

    def _remember_retraction(self, partition: int, offset: int, record: Retract) -> None:
        """Put a retraction mark in the reading's place, however old it is and whatever the twin can still do about it."""
        signal = BY_NAME.get(record.signal)
        if signal is not None:
            self.history.add_observations(
                partition, offset, [record.patient], np.zeros(1, np.uint32), np.array([signal.code], np.uint16),
                np.array([record.time]), np.zeros(1), np.array([Status.RETRACTED], np.uint8),
            )  # fmt: skip

    def complete(self, partition: int) -> Outcome:
        """The whole state of a partition, for a new listener."""
        return complete(self.banks[partition], self.offsets[partition])

    def release(self, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        del self.banks[partition], self._schedules[partition], self.offsets[partition]
        for key in [key for key in self._first_dirty if key[0] == partition]:
            del self._first_dirty[key]

    def checkpoint(self, share: float = 1.0, budget_s: float = float("inf")) -> Saved:
        """Checkpoints of the oldest ``share`` of the changed blocks, and how far each partition's log is covered.

        Call it between records. ``confirm`` them once they are written, and not before.
        """
        began = time.monotonic()
        committed = self.covered()
        waiting = sorted(self._first_dirty, key=self._first_dirty.__getitem__)
        chosen = waiting[: max(1, round(share * len(waiting)))] if waiting else []
        blobs: list[Blob] = []
        for partition, number in chosen:
            bank, offset = self.banks[partition], self.offsets[partition]
            kept = foundation_of(bank, offset, committed[partition]) if number < 0 else block_of(bank, number, offset)
            blobs.append((partition, number, offset, msgspec.msgpack.encode(kept)))
            del self._first_dirty[partition, number]
            if time.monotonic() - began > budget_s:
                break
        return Saved(blobs, self.covered(), len(chosen) - len(blobs))

    def covered(self) -> dict[int, int]:
        """Offset by partition up to which every record is in the checkpoints returned so far."""
        covered = dict(self.offsets)
        for (partition, _), offset in self._first_dirty.items():
            covered[partition] = min(covered[partition], offset - 1)
        return covered


def _refuse_newer(partition: int, seen: _Version) -> None:
    known = _KNOWN.get(seen.type, 0)
    if seen.version > known:
        raise NewerVersion(
            f"a checkpoint of partition {partition} was written by a newer version of vitaltwin ({seen.type} version"
            f" {seen.version}; this one knows {known}): use that version, or go back to what was kept before it"
        )


def _into(bank: Bank, kept: Block | Foundation, committed: int) -> bool:
    """Restore a checkpoint; ``False`` if its parts do not fit together."""
    try:
        if isinstance(kept, Foundation):
            restore_foundation(bank, kept, committed)
        else:
            restore(bank, kept)
    except (ValueError, LookupError, TypeError):
        return False
    return True
