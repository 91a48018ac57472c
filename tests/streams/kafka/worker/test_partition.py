"""Where a record stands against the one that is due."""

import pytest

from streams.kafka.worker.partition import Partition, Place


class Event:
    def __init__(self, acknowledged: list[int], offset: int) -> None:
        self._acknowledged, self._offset = acknowledged, offset

    def ack(self) -> None:
        self._acknowledged.append(self._offset)


@pytest.fixture
def held() -> Partition:
    found = Partition(0)
    found.due = 10
    return found


def test_places(held: Partition) -> None:
    assert held.place(10) is Place.DUE
    assert held.place(9) is Place.SEEN
    assert held.place(12) is Place.AHEAD
    assert held.place(13) is Place.AHEAD, "what was fetched before the log is read again"
    assert held.place(10) is Place.DUE, "read again, the record that was missing"


def test_a_hole_is_what_comes_again_without_what_was_due(held: Partition) -> None:
    assert held.place(12) is Place.AHEAD
    assert held.place(12) is Place.HOLE
    held.took(12, 1, Event([], 12))
    assert held.place(13) is Place.DUE


def test_only_what_is_covered_is_acknowledged(held: Partition) -> None:
    acknowledged: list[int] = []
    for offset in range(10, 15):
        held.took(offset, 100 + offset, Event(acknowledged, offset))
    assert held.time_at(12) == 112
    held.acknowledge(12, held.time_at(12))
    assert acknowledged == [10, 11, 12]
    assert held.time_at(12) == 112, "nothing newer is covered"
    assert held.time_at(14) == 114


def test_what_comes_again_is_acknowledged_too(held: Partition) -> None:
    """Faust commits as far as acknowledgements have no gap: one that never comes would hold the group for ever."""
    acknowledged: list[int] = []
    held.covered = 7
    held.seen(7, Event(acknowledged, 7))
    held.seen(8, Event(acknowledged, 8))
    assert acknowledged == [7]
    held.took(10, 1, Event(acknowledged, 10))
    held.acknowledge(9, 0)
    assert acknowledged == [7, 8]
