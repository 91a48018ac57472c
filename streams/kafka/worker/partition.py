"""A partition as its worker holds it: where it is in the log, and whether records arrive without a gap."""

import asyncio
from collections import deque
from enum import Enum

import faust
import msgspec

from streams.kafka.worker.ticks import Ticks

__all__ = ["Partition", "Place"]


class Place(Enum):
    """Where a record stands against the one that is due."""

    DUE = "due"
    SEEN = "seen"
    AHEAD = "ahead"
    HOLE = "hole"


class Taken(msgspec.Struct):
    """A record that was taken and may be acknowledged once a checkpoint covers it; ``time`` is the log's, µs."""

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
        """Up to here a manifest says that the log is not needed any more …"""
        self.time = 0
        """… and this was the log's time there."""
        self.arrived = 0
        """When the record taken last arrived, by the broker's clock (µs)."""
        self.beat_due = False
        self.beaten = 0.0
        """When the doors were last told how far this is, in the event loop's seconds."""
        self.blocks: dict[int, int] = {}
        self.target = 0
        """The log's end when the partition was restored: behind it the worker is catching up."""
        self.restored = 0.0
        """When that was, in the event loop's seconds."""
        self._taken: deque[Taken] = deque()
        self._again: list[Taken] = []
        self._ahead = -1

    def place(self, offset: int) -> Place:
        """Judge a record by its offset.

        A record ahead of the one due shows a gap: records that were skipped on the way here, or were never there
        (a transaction's marks, or what retention has taken). Read again from the one due, the skipped come; where the
        same record comes once more instead, there may be a hole in the log itself.
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
        """A record has moved the twins."""
        self.due = offset + 1
        self._ahead = -1
        self._taken.append(Taken(offset, time, event))

    def seen(self, offset: int, event: faust.EventT) -> None:
        """A record came again that has moved the twins: acknowledged as it would have been, or the group stands still."""
        if offset <= self.covered:
            event.ack()
        else:
            self._again.append(Taken(offset, 0, event))

    def time_at(self, offset: int) -> int:
        """The log's time (µs) after the record at ``offset``, one that was taken and not acknowledged yet."""
        time = self.time
        for taken in self._taken:
            if taken.offset > offset:
                break
            time = taken.time
        return time

    def acknowledge(self, offset: int, time: int) -> None:
        """The manifest that says so is durable: what it covers is acknowledged."""
        self.covered, self.time = offset, time
        while self._taken and self._taken[0].offset <= offset:
            self._taken.popleft().event.ack()
        again, self._again = self._again, []
        for taken in again:
            self.seen(taken.offset, taken.event)
