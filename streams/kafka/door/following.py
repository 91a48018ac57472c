"""What the workers say, as one door follows it: the whole state of every partition first, then each outcome once, in order.

A partition is *awaited* until its state is whole. What comes for it meanwhile waits too: of that, what the state does not
hold yet is delivered behind it. So nothing is lost between two parts of a state, and nothing told twice.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from streams.kafka.messages import ADDRESS, ANSWER, BEAT, EVERYBODY, PART, decode_outcome
from twins.records import Outcome

__all__ = ["Following", "Through"]

_logger = structlog.get_logger(__name__)

_MOST_WAITING_BYTES = 8 << 20
"""Of one partition. Beyond it the oldest goes, and only a state that holds it counts."""


class Through(NamedTuple):
    """The newest input that is through the twins: when it arrived (broker's time, µs), where it is, the log's time there."""

    arrived: int = 0
    offset: int = -1
    time: int = 0


class _Partition:
    """What is known of one partition."""

    def __init__(self) -> None:
        self.awaited = True
        self.offset = -1
        """Of the newest outcome delivered."""
        self.position = -1
        """The place in the topic that comes next; -1 before anything was heard."""
        self.parts: dict[bytes, list[Outcome]] = {}
        """Parts of the whole state, by the answer they belong to; all of the same offset."""
        self.waiting: deque[tuple[Outcome, int]] = deque()
        self.waiting_bytes = 0
        self.least = -1
        """A state has to hold what was brought about up to here."""
        self.through = Through()

    def hold(self, outcome: Outcome, size: int) -> None:
        """Keep an outcome until the state is whole."""
        self.waiting.append((outcome, size))
        self.waiting_bytes += size
        while self.waiting_bytes > _MOST_WAITING_BYTES:
            gone, its = self.waiting.popleft()
            self.waiting_bytes -= its
            self.least = max(self.least, gone.offset)

    def let_go(self) -> list[Outcome]:
        """What was kept, in the order it came."""
        kept = [outcome for outcome, _ in self.waiting]
        self.waiting.clear()
        self.waiting_bytes = 0
        return kept


class Following:
    """``door`` is the name states are addressed to; ``deliver`` has each outcome.

    ``missed`` is called when a partition's state has to be asked for anew.
    """

    def __init__(
        self, door: str, partitions: Iterable[int], deliver: Callable[[Outcome], None], missed: Callable[[], None]
    ) -> None:
        self.door = door
        self._deliver = deliver
        self._missed = missed
        self._partitions = {partition: _Partition() for partition in partitions}
        self.repeated = 0
        """Outcomes that came again."""
        self.gaps = 0
        """Times what a worker said was gone before it was read."""

    @property
    def awaited(self) -> list[int]:
        """Partitions whose state is not whole yet."""
        return [number for number, one in self._partitions.items() if one.awaited]

    def through(self, partition: int) -> "Through":
        """What the partition's worker told last of how far its twins are."""
        return self._partitions[partition].through

    def offset(self, partition: int) -> int:
        """The place in the log up to which a partition's outcomes were delivered; -1 before its state."""
        return self._partitions[partition].offset

    def at(self, partition: int, position: int) -> None:
        """The place in ``estimates`` of the record that is heard next."""
        one = self._partitions[partition]
        if one.position not in (-1, position) and not one.awaited:
            self._ask_anew(partition, one)
        one.position = position + 1

    def heard(self, raw: bytes, headers: dict[str, bytes]) -> None:
        """One record of ``estimates``; raises ``msgspec.MsgspecError``, ``ValueError``."""
        address = headers.get(ADDRESS)
        if address not in {None, EVERYBODY, self.door.encode()}:
            return
        outcome = decode_outcome(raw)
        one = self._partitions.get(outcome.partition)
        if one is None:
            raise ValueError(f"an outcome of a partition {outcome.partition} that is none")
        if BEAT in headers:
            one.through = Through(int(headers[BEAT]), outcome.offset, outcome.time)
        elif address is not None:
            self._stated(one, outcome, headers)
        elif one.awaited:
            one.hold(outcome, len(raw))
        else:
            self._followed(one, outcome)

    def _ask_anew(self, partition: int, one: _Partition) -> None:
        """What the workers said was dropped before this door read it, as after hours asleep: only a whole state helps."""
        self.gaps += 1
        _logger.warning("what the workers said was missed: asking for the whole state", partition=partition)
        one.awaited = True
        one.least = one.offset
        self._missed()

    def _followed(self, one: _Partition, outcome: Outcome) -> None:
        if outcome.offset <= one.offset:
            self.repeated += 1
            return
        one.offset = outcome.offset
        self._deliver(outcome)

    def _stated(self, one: _Partition, outcome: Outcome, headers: dict[str, bytes]) -> None:
        """A part of the whole state; all of them together are delivered as one, and then what has waited."""
        # One for everybody replaces what was: the worker set the log's time back.
        wanted = one.awaited or (headers[ADDRESS] == EVERYBODY and outcome.offset > one.offset)
        if not wanted or outcome.offset < one.least:
            return
        furthest = max((parts[0].offset for parts in one.parts.values()), default=-1)
        if outcome.offset < furthest:
            return  # of a worker that has lost the partition and does not know it yet
        number, count = map(int, headers.get(PART, b"0/1").split(b"/"))
        answer = headers.get(ANSWER, b"")
        if outcome.offset > furthest:
            one.parts.clear()
        parts = one.parts.setdefault(answer, [])
        if number == 0:
            parts.clear()
        if number != len(parts):
            if not parts:
                del one.parts[answer]
            return  # the one before is missing: the partition is asked for again
        parts.append(outcome)
        if len(parts) < count:
            return
        one.parts.clear()
        self._whole(one, parts)

    def _whole(self, one: _Partition, parts: list[Outcome]) -> None:
        whole, *others = parts
        for other in others:
            whole.profiles += other.profiles
            whole.scores += other.scores
            whole.transitions += other.transitions
        one.awaited = False
        one.offset = whole.offset
        self._deliver(whole)
        for other in others:
            self._deliver(
                Outcome(partition=whole.partition, offset=other.offset, time=other.time, estimates=other.estimates)
            )
        for outcome in one.let_go():
            self._followed(one, outcome)
