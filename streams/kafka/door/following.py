"""Follow the workers' outcomes in one door: first the whole state of every partition, then each outcome once, in order.

A partition is *awaited* until its state is complete. Outcomes that come meanwhile wait, and those newer than the state are
delivered after it. So nothing is lost between two parts of a state, and nothing is delivered twice.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from streams.kafka.format import FORMAT, format_of, newer
from streams.kafka.messages import ADDRESS, ANSWER, BEAT, EVERYBODY, PART, decode_outcome
from twins.records import Outcome

__all__ = ["Following", "Progress"]

_logger = structlog.get_logger(__name__)

_MOST_WAITING_BYTES = 8 << 20
"""Most waiting bytes of one partition. Above it the oldest outcome is dropped, and only a state that covers it counts."""


class Progress(NamedTuple):
    """The newest processed input: when it arrived (broker's time, µs), its offset, the log's time there."""

    arrived: int = 0
    offset: int = -1
    time: int = 0


class _Partition:
    """One partition as this door knows it."""

    def __init__(self) -> None:
        self.awaited = True
        self.offset = -1
        """Offset of the newest outcome delivered."""
        self.position = -1
        """The next position in the topic; -1 before the first record."""
        self.parts: dict[bytes, list[Outcome]] = {}
        """Parts of the whole state, by the answer they belong to; all have the same offset."""
        self.waiting: deque[tuple[Outcome, int]] = deque()
        self.waiting_bytes = 0
        self.least = -1
        """A state must cover the outcomes up to this offset."""
        self.progress = Progress()
        self.format = 0
        """The format of newer outcomes that arrived; 0 if there are none."""

    def hold(self, outcome: Outcome, size: int) -> None:
        """Keep an outcome until the state is complete."""
        self.waiting.append((outcome, size))
        self.waiting_bytes += size
        while self.waiting_bytes > _MOST_WAITING_BYTES:
            gone, its = self.waiting.popleft()
            self.waiting_bytes -= its
            self.least = max(self.least, gone.offset)

    def release(self) -> list[Outcome]:
        """The kept outcomes, in order of arrival."""
        kept = [outcome for outcome, _ in self.waiting]
        self.waiting.clear()
        self.waiting_bytes = 0
        return kept


class Following:
    """``door`` is the name that states are addressed to; ``deliver`` gets each outcome.

    ``missed`` is called when a partition's state must be asked for again.
    """

    def __init__(
        self, door: str, partitions: Iterable[int], deliver: Callable[[Outcome], None], missed: Callable[[], None]
    ) -> None:
        self.door = door
        self._deliver = deliver
        self._missed = missed
        self._partitions = {partition: _Partition() for partition in partitions}
        self.repeated = 0
        """Number of repeated outcomes."""
        self.gaps = 0
        """How many times outcomes were deleted from the topic before this door read them."""

    @property
    def awaited(self) -> list[int]:
        """Partitions whose state is not complete yet."""
        return [number for number, one in self._partitions.items() if one.awaited]

    @property
    def refused(self) -> str:
        """Why this version cannot follow some partitions, in a sentence; empty if it can."""
        formats = ((number, one.format) for number, one in self._partitions.items() if one.format)
        number, version = next(formats, (0, 0))
        return str(newer(f"the estimates of partition {number}", "format", version, FORMAT)) if version else ""

    def progress(self, partition: int) -> "Progress":
        """How far the partition's twins are, from their worker's last heartbeat."""
        return self._partitions[partition].progress

    def offset(self, partition: int) -> int:
        """The log offset up to which a partition's outcomes were delivered; -1 before its state."""
        return self._partitions[partition].offset

    def at(self, partition: int, position: int) -> None:
        """Note the position in ``estimates`` of the record that comes next."""
        one = self._partitions[partition]
        if one.position not in (-1, position) and not one.awaited:
            self._ask_again(partition, one)
        one.position = position + 1

    def newer(self, partition: int, headers: dict[str, bytes]) -> bool:
        """Whether a record of ``estimates`` has a newer format; then the state known so far no longer counts."""
        version = format_of(headers)
        if version <= FORMAT:
            return False
        one = self._partitions[partition]
        if not one.format:
            one.format = version
            if not one.awaited:
                self._ask_again(partition, one)
        return True

    def heard(self, raw: bytes, headers: dict[str, bytes]) -> None:
        """Process one record of ``estimates``; raises ``msgspec.MsgspecError``, ``ValueError``."""
        address = headers.get(ADDRESS)
        if address not in {None, EVERYBODY, self.door.encode()}:
            return
        outcome = decode_outcome(raw)
        one = self._partitions.get(outcome.partition)
        if one is None:
            raise ValueError(f"an outcome of a partition {outcome.partition} that does not exist")
        if BEAT in headers:
            one.progress = Progress(int(headers[BEAT]), outcome.offset, outcome.time)
        elif address is not None:
            self._stated(one, outcome, headers)
        elif one.awaited:
            one.hold(outcome, len(raw))
        else:
            self._followed(one, outcome)

    def _ask_again(self, partition: int, one: _Partition) -> None:
        """Outcomes were deleted before this door read them, as after hours of sleep: only a whole state helps."""
        self.gaps += 1
        _logger.warning("outcomes of the workers were missed: asking for the whole state", partition=partition)
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
        """Take a part of the whole state; when all have come they are delivered as one, then the outcomes that waited."""
        # A state for everybody replaces everything: the worker has set the log's time back.
        wanted = one.awaited or (headers[ADDRESS] == EVERYBODY and outcome.offset > one.offset)
        if not wanted or outcome.offset < one.least:
            return
        furthest = max((parts[0].offset for parts in one.parts.values()), default=-1)
        if outcome.offset < furthest:
            return  # from a worker that has lost the partition and does not know it yet
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
            return  # the part before is missing: ask for the partition again
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
            whole.notices += other.notices
        one.awaited = False
        one.format = 0
        one.offset = whole.offset
        self._deliver(whole)
        for other in others:
            self._deliver(
                Outcome(
                    partition=whole.partition,
                    offset=other.offset,
                    time=other.time,
                    estimates=other.estimates,
                    outputs=other.outputs,
                )
            )
        for outcome in one.release():
            self._followed(one, outcome)
