"""The position of a record relative to the one that is due."""

import pytest

from streams.kafka.worker.partition import Partition, Place


class Event:
    def __init__(self, acknowledged: list[int], offset: int) -> None:
        self._acknowledged, self._offset = acknowledged, offset

    def ack(self) -> None:
        self._acknowledged.append(self._offset)


@pytest.fixture
def partition() -> Partition:
    found = Partition(0)
    found.due = 10
    return found


def test_places(partition: Partition) -> None:
    assert partition.place(10) is Place.DUE
    assert partition.place(9) is Place.SEEN
    assert partition.place(12) is Place.AHEAD
    assert partition.place(13) is Place.AHEAD, "what was fetched before the log is read again"
    assert partition.place(10) is Place.DUE, "read again, the record that was missing"


def test_a_hole_is_what_comes_again_without_what_was_due(partition: Partition) -> None:
    assert partition.place(12) is Place.AHEAD
    assert partition.place(12) is Place.HOLE
    partition.took(12, 1, Event([], 12))
    assert partition.place(13) is Place.DUE


def test_only_what_is_covered_is_acknowledged(partition: Partition) -> None:
    acknowledged: list[int] = []
    for offset in range(10, 15):
        partition.took(offset, 100 + offset, Event(acknowledged, offset))
    assert partition.time_at(12) == 112
    partition.acknowledge(12, partition.time_at(12))
    assert acknowledged == [10, 11, 12]
    assert partition.time_at(12) == 112, "nothing newer is covered"
    assert partition.time_at(14) == 114


def test_what_comes_again_is_acknowledged_too(partition: Partition) -> None:
    """Faust commits up to the first missing acknowledgement: one that never comes would stop the group for ever."""
    acknowledged: list[int] = []
    partition.covered = 7
    partition.seen(7, Event(acknowledged, 7))
    partition.seen(8, Event(acknowledged, 8))
    assert acknowledged == [7]
    partition.took(10, 1, Event(acknowledged, 10))
    partition.acknowledge(9, 0)
    assert acknowledged == [7, 8]
