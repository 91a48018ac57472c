"""A partition in its worker: its position in the log, and whether records arrive without a gap."""

import asyncio
from collections import deque
from enum import Enum

import faust
import msgspec

from streams.kafka.worker.ticks import Ticks

__all__ = ["Partition", "Place"]


class Place(Enum):
    """The position of a record relative to the one that is due."""

    DUE = "due"
    SEEN = "seen"
    AHEAD = "ahead"
    HOLE = "hole"


class Taken(msgspec.Struct):
    """A processed record; it may be acknowledged once a checkpoint covers it. ``time`` is the log's, µs."""

    offset: int
    time: int
    event: faust.EventT


class Partition:
    """``due`` is the offset of the next record; ``ready`` is set once the twins are restored."""

    def __init__(self, partition: int, tick_s: float = 1.0) -> None:
        self.partition = partition
        self.ticks = Ticks(tick_s)
        self.due = 0
        self.ready = asyncio.Event()
        self.covered = -1
        """The log up to this offset is no longer needed, by the manifest …"""
        self.time = 0
        """… and the log's time there."""
        self.arrived = 0
        """When the newest processed record arrived, by the broker's clock (µs)."""
        self.beat_due = False
        self.beaten = 0.0
        """When the last heartbeat went to the doors, in the event loop's seconds."""
        self.blocks: dict[int, int] = {}
        self.target = 0
        """The log's end when the partition was restored: before it the worker is catching up."""
        self.restored = 0.0
        """When it was restored, in the event loop's seconds."""
        self._taken: deque[Taken] = deque()
        self._again: list[Taken] = []
        self._ahead = -1

    def place(self, offset: int) -> Place:
        """Judge a record by its offset.

        A record ahead of the one due shows a gap: either records were skipped on the way, or they do not exist (a
        transaction's markers, or records deleted by retention). The worker then reads again from the one due. If the
        skipped records come, it was a gap; if the same record comes again, there may be a hole in the log itself.
        """
        if offset == self.due:
            return Place.DUE
        if offset < self.due:
            return Place.SEEN
        if offset <= self._ahead:
            return Place.HOLE
        self._ahead = offset
        return Place.AHEAD

    def took(self, offset: int, time: int, event: faust.EventT) -> None:
        """Note that a record has been applied to the twins."""
        self.due = offset + 1
        self._ahead = -1
        self._taken.append(Taken(offset, time, event))

    def seen(self, offset: int, event: faust.EventT) -> None:
        """A processed record came again: acknowledge it as the first time, or the group's offset would stand still."""
        if offset <= self.covered:
            event.ack()
        else:
            self._again.append(Taken(offset, 0, event))

    def time_at(self, offset: int) -> int:
        """The log's time (µs) after the record at ``offset``, which is processed and not acknowledged yet."""
        time = self.time
        for taken in self._taken:
            if taken.offset > offset:
                break
            time = taken.time
        return time

    def acknowledge(self, offset: int, time: int) -> None:
        """Acknowledge what the manifest covers; call it once the manifest is durable."""
        self.covered, self.time = offset, time
        while self._taken and self._taken[0].offset <= offset:
            self._taken.popleft().event.ack()
        again, self._again = self._again, []
        for taken in again:
            self.seen(taken.offset, taken.event)
