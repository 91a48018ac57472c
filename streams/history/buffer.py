"""What has been added and is not yet known to be stored.

Rows wait in ``Waiting`` until their offset is complete, then a flush writes them. Flushed rows stay in ``sent`` until the
database covers them: their transaction may be rolled back, and readers must not miss them between flush and commit.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from streams.history.columns import Kind, Segment
from twins.records import Fact, JudgedChances, Revision, Stay, Transition

__all__ = [
    "Buffer", "BufferSnapshot", "PlacedChances", "PlacedFact", "PlacedRevision", "PlacedStay", "PlacedTransition",
    "RecordRows", "Waiting", "place",
]  # fmt: skip

PLACES = 1024


class RecordRows(NamedTuple):
    """Rows of one log record."""

    offset: int
    kind: Kind
    segment: Segment


class PlacedTransition(NamedTuple):
    """A transition and its place in the log, which orders transitions of one moment."""

    offset: int
    place: int
    transition: Transition
    body: bytes


class PlacedFact(NamedTuple):
    """A fact and the offset of its record."""

    offset: int
    fact: Fact
    body: bytes


class PlacedStay(NamedTuple):
    """A stay as it was after the record at this offset."""

    offset: int
    stay: Stay
    body: bytes


class PlacedRevision(NamedTuple):
    """A revision and its place in the log."""

    offset: int
    place: int
    revision: Revision
    body: bytes


class PlacedChances(NamedTuple):
    """The chances judged by the record at this offset."""

    offset: int
    chances: JudgedChances


@dataclass
class Waiting:
    """Everything added to one partition, in the order it was added."""

    batches: list[RecordRows] = field(default_factory=list)
    transitions: list[PlacedTransition] = field(default_factory=list)
    facts: list[PlacedFact] = field(default_factory=list)
    stays: list[PlacedStay] = field(default_factory=list)
    revisions: list[PlacedRevision] = field(default_factory=list)
    chances: list[PlacedChances] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of observations, estimates and forecasts."""
        return sum(len(batch.segment.patient) for batch in self.batches)

    def copy(self) -> "Waiting":
        """A copy with its own lists."""
        return Waiting(*(list(getattr(self, part.name)) for part in fields(self)))

    def take(self, offset: int) -> "Waiting":
        """Remove and return everything of the offsets up to this one."""
        taken = Waiting(
            [batch for batch in self.batches if batch.offset <= offset],
            [placed for placed in self.transitions if placed.offset <= offset],
            [noted for noted in self.facts if noted.offset <= offset],
            [lodged for lodged in self.stays if lodged.offset <= offset],
            [revised for revised in self.revisions if revised.offset <= offset],
            [judged for judged in self.chances if judged.offset <= offset],
        )
        self.batches = [batch for batch in self.batches if batch.offset > offset]
        self.transitions = [placed for placed in self.transitions if placed.offset > offset]
        self.facts = [noted for noted in self.facts if noted.offset > offset]
        self.stays = [lodged for lodged in self.stays if lodged.offset > offset]
        self.revisions = [revised for revised in self.revisions if revised.offset > offset]
        self.chances = [judged for judged in self.chances if judged.offset > offset]
        return taken

    def extend(self, other: "Waiting") -> None:
        """Append what came later."""
        self.batches += other.batches
        self.transitions += other.transitions
        self.facts += other.facts
        self.stays += other.stays
        self.revisions += other.revisions
        self.chances += other.chances


@dataclass
class _Partition:
    completed: int = -1
    stored: int = -1
    waiting: Waiting = field(default_factory=Waiting)
    sent: Waiting = field(default_factory=Waiting)
    sent_upto: int = -1


class Buffer:
    """The waiting rows of all partitions; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[int, _Partition] = {}
        self.rows = 0

    def begin(self, covered: dict[int, int]) -> None:
        """Ignore from now on what the database already covers."""
        with self._lock:
            for number, offset in covered.items():
                partition = self._partitions.setdefault(number, _Partition())
                partition.completed = max(partition.completed, offset)
                partition.stored = max(partition.stored, offset)

    def add(self, number: int, offset: int, addition: Waiting) -> None:
        """Take an addition, unless its offset is complete."""
        with self._lock:
            partition = self._partitions.setdefault(number, _Partition())
            if offset > partition.completed:
                partition.waiting.extend(addition)
                self.rows += addition.rows

    def complete(self, number: int, offset: int) -> None:
        """Let the next flush write everything of the offsets up to this one."""
        with self._lock:
            partition = self._partitions.setdefault(number, _Partition())
            partition.completed = max(partition.completed, offset)

    def outgoing(self, covered: dict[int, int]) -> Iterator[tuple[int, int, Waiting]]:
        """By partition, the offset that will be covered and what to write, given what the database covers now."""
        with self._lock:
            out = []
            for number, partition in self._partitions.items():
                partition.stored = covered.get(number, -1)
                if partition.sent_upto <= partition.stored:
                    partition.sent = Waiting()
                fresh = partition.waiting.take(partition.completed)
                self.rows -= fresh.rows
                partition.sent.extend(fresh)
                partition.sent_upto = partition.completed
                if partition.completed > partition.stored:
                    out.append((number, partition.completed, partition.sent))
        return iter(out)

    def snapshot(self) -> "BufferSnapshot":
        """What readers must add to the database's rows. Take it before reading there, or rows in between are missed."""
        with self._lock:
            return BufferSnapshot(
                [
                    (number, pending.copy())
                    for number, partition in self._partitions.items()
                    for pending in (partition.sent, partition.waiting)
                ]
            )


class BufferSnapshot(NamedTuple):
    """The buffer at one moment, by partition."""

    pending: list[tuple[int, Waiting]]

    def beyond(self, covered: dict[int, int]) -> Waiting:
        """What is missing in a database that covers these offsets."""
        found = Waiting()
        for number, pending in self.pending:
            offset = covered.get(number, -1)
            found.batches += [batch for batch in pending.batches if batch.offset > offset]
            found.transitions += [placed for placed in pending.transitions if placed.offset > offset]
            found.facts += [noted for noted in pending.facts if noted.offset > offset]
            found.stays += [lodged for lodged in pending.stays if lodged.offset > offset]
            found.revisions += [revised for revised in pending.revisions if revised.offset > offset]
            found.chances += [judged for judged in pending.chances if judged.offset > offset]
        return found


def place(offset: int, index: int) -> int:
    """The place of a transition in the log, as one number."""
    return offset * PLACES + min(index, PLACES - 1)
