"""The batcher: sends complete rows to InfluxDB in requests of some thousand lines, or to the spill while it is away.

The spill is the queue of requests to try again. While anything is in it, new requests go behind it. So points always
arrive in order, and the later of two with the same identity wins. Only one request is under way at a time.
"""

import asyncio
import contextlib
import errno
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import structlog

from streams.history.buffer import Buffer, Waiting
from streams.history.columns import ESTIMATES, FORECASTS, OBSERVATIONS, Segment
from streams.history.influx.chances import chance_lines
from streams.history.influx.layout import fact_line, revision_line, stay_line, transition_line
from streams.history.influx.line_protocol import Lines, Tags, estimate_lines, forecast_lines, observation_lines
from streams.history.influx.link import Away, LinesRefused, Link, Taken
from streams.spool.spill import Spill, SpoolEntry

__all__ = ["Writer"]

_logger = structlog.get_logger(__name__)

BATCH_LINES = 5_000
BUSY_ROWS = 500_000
"""With this many rows waiting they go to the disk: it is faster than a busy InfluxDB."""
MOST_ROWS = 8_000_000
"""The most rows in memory, whatever the disk does: more are dropped and counted."""
_PAUSE_S = 0.25
_LIVE_S, _AGAIN_S = 5.0, 30.0
_BACK_OFF_S = (0.5, 30.0)
_ADOPT_S = 30.0
READINGS, EVENTS = 0, 1
_PRECISION = ("us", "ns")


class Writer:
    """Takes complete rows from a buffer, on the link's thread, and makes them safe."""

    def __init__(self, link: Link, buffer: Buffer, spill: Spill, buckets: tuple[str, str]) -> None:
        self._link, self._buffer, self._spill, self._buckets = link, buffer, spill, buckets
        self._tags = {OBSERVATIONS: Tags("observation"), ESTIMATES: Tags("estimate"), FORECASTS: Tags("forecast")}
        self._lines: dict[object, Callable[[Tags, Segment], Lines]] = {
            OBSERVATIONS: observation_lines, ESTIMATES: estimate_lines, FORECASTS: forecast_lines,
        }  # fmt: skip
        self._upto: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._woken = False
        self._guard = threading.Lock()
        self._waiters: list[Future[None]] = []
        self._failures = 0
        self._again = 0.0
        self._adopt = 0.0
        self._closing = self._ended = False
        self.points = 0
        self.dropped = 0

    # -- from any thread ------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Do not wait for more rows."""
        if not self._woken:
            self._woken = True
            self._link.soon(self._wake)

    def safe(self) -> "Future[None]":
        """A future that is done once everything complete now is in InfluxDB or on disk."""
        waiter: Future[None] = Future()
        with self._guard:
            if self._ended:
                waiter.set_result(None)
            else:
                self._waiters.append(waiter)
        self.wake()
        return waiter

    def close(self) -> None:
        """Store everything complete and end ``run``."""
        self._closing = True
        self.wake()

    # -- on the link's thread -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until closed."""
        closing, replay = False, asyncio.create_task(self._replay())
        while not closing:
            await self._pause()
            closing = self._closing
            self._woken = False
            self._wake.clear()
            with self._guard:
                waiters, self._waiters = self._waiters, []
            await self._take()
            for waiter in waiters:
                waiter.set_result(None)
            if replay.done() and not closing:
                replay = asyncio.create_task(self._replay())
        replay.cancel()
        await asyncio.wait([replay])
        with self._guard:
            self._ended = True
            for waiter in self._waiters:
                waiter.set_result(None)
        self._spill.close()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await self._wake.wait()

    async def _take(self) -> None:
        """Make everything complete safe."""
        for number, upto, waiting in self._buffer.outgoing(self._upto):
            self._upto[number] = upto
            left = waiting.rows + len(waiting.transitions) + len(waiting.facts)
            left += len(waiting.stays) + len(waiting.revisions)
            left += sum(len(judged.chances.came) for judged in waiting.chances)
            try:
                for entry in self._entries(waiting):
                    await self._put(entry)
                    left -= entry.lines
            except Exception:  # a bad row must not keep the other partitions from being written
                self.dropped += left
                _logger.exception("history could not be written as lines", points=left)
        try:
            self._spill.sync()
        except OSError:
            _logger.exception("the spill cannot be written")

    def _entries(self, waiting: Waiting) -> Iterator[SpoolEntry]:
        """Requests, each of about ``BATCH_LINES`` lines."""
        bodies: list[bytes] = []
        count = 0
        for batch in waiting.batches:
            tags, lines = self._tags[batch.kind], self._lines[batch.kind]
            for first in range(0, len(batch.segment.patient), BATCH_LINES):
                made = lines(tags, _cut(batch.segment, first, first + BATCH_LINES))
                self.dropped += made.lost
                if count + made.lines > BATCH_LINES:
                    yield SpoolEntry(READINGS, count, b"".join(bodies))
                    bodies, count = [], 0
                bodies.append(made.body)
                count += made.lines
        if count:
            yield SpoolEntry(READINGS, count, b"".join(bodies))
        for judged in waiting.chances:
            made = chance_lines(judged.chances)
            self.dropped += made.lost
            if made.lines:
                yield SpoolEntry(EVENTS, made.lines, made.body)
        events = [transition_line(placed) for placed in waiting.transitions]
        events += [fact_line(noted) for noted in waiting.facts]
        events += [stay_line(lodged) for lodged in waiting.stays]
        events += [revision_line(revised) for revised in waiting.revisions]
        kept = [line for line in events if line]
        self.dropped += len(events) - len(kept)
        for first in range(0, len(kept), BATCH_LINES):
            part = kept[first : first + BATCH_LINES]
            yield SpoolEntry(EVENTS, len(part), b"".join(part))

    async def _put(self, entry: SpoolEntry) -> None:
        """Send an entry to InfluxDB or, if that is away or busy or others wait already, put it into the spill."""
        left: list[SpoolEntry] = [entry]
        if self._spill.empty and self._buffer.rows < BUSY_ROWS:
            left = await self._send(entry, _LIVE_S)
        for part in left:
            self._keep(part)

    def _keep(self, part: SpoolEntry) -> None:
        """Put an entry into the spill; on a full disk it replaces the oldest there."""
        while True:
            try:
                self._spill.append(part)
            except OSError as error:
                if error.errno == errno.ENOSPC and not self._spill.empty:
                    self._spill.give_up_oldest()
                    continue
                self.dropped += part.lines
                _logger.exception("history given up: no spill can be written", points=part.lines)
            return

    async def _replay(self) -> None:
        """Send what waits in the spill, if it is time to try InfluxDB again; new rows go on meanwhile."""
        now = time.monotonic()
        try:
            if now >= self._adopt:
                self._adopt = now + _ADOPT_S
                self._spill.adopt()
            if now < self._again:
                return
            while (entry := self._spill.first(BATCH_LINES)) is not None:
                if await self._send(entry, _AGAIN_S):
                    return
                if self._spill.first(BATCH_LINES) == entry:  # it may have been deleted meanwhile
                    self._spill.pop()
        except Exception:  # an error in one round must not stop the next
            _logger.exception("the spill could not be sent to InfluxDB")

    async def _send(self, entry: SpoolEntry, within_s: float) -> list[SpoolEntry]:
        """Send an entry to InfluxDB; returns what it did not take for now. Lines it will never take are dropped."""
        todo = [entry]
        while todo:
            part = todo.pop()
            bucket, precision = self._buckets[part.bucket], _PRECISION[part.bucket]
            outcome = await self._link.write(bucket, part.body, precision, within_s)
            if isinstance(outcome, Away):
                self._failed(outcome)
                return [part, *reversed(todo)]
            if isinstance(outcome, LinesRefused):
                todo += self._halves(part, outcome)
                continue
            self._took(part, outcome)
        return []

    def _took(self, part: SpoolEntry, taken: Taken) -> None:
        if self._failures:
            _logger.info("InfluxDB takes points again")
        self._failures, self._again = 0, 0.0
        self.points += part.lines - min(taken.dropped, part.lines)
        self.dropped += taken.dropped

    def _failed(self, away: Away) -> None:
        if not self._failures:
            _logger.warning("InfluxDB takes no points: they go to the spill", reason=away.reason)
        shortest, longest = _BACK_OFF_S
        wait = min(longest, shortest * 2.0 ** min(self._failures, 16)) * random.uniform(0.75, 1.25)  # noqa: S311
        self._failures += 1
        self._again = time.monotonic() + max(wait, min(away.after_s, 10 * longest))

    def _halves(self, part: SpoolEntry, refused: LinesRefused) -> list[SpoolEntry]:
        """The later half, then the earlier one; nothing for a single line, which is dropped."""
        if part.lines == 1:
            self.dropped += 1
            _logger.warning(
                "InfluxDB refuses a line", line=part.body[:80].decode("utf-8", "replace"), reason=refused.reason[:20]
            )
            return []
        lines = [line + b"\n" for line in part.body.split(b"\n")[:-1]]
        middle = len(lines) // 2
        return [SpoolEntry(part.bucket, len(half), b"".join(half)) for half in (lines[middle:], lines[:middle])]


def _cut(segment: Segment, first: int, last: int) -> Segment:
    if not first and last >= len(segment.patient):
        return segment
    return Segment(
        segment.patients, segment.patient[first:last], tuple(column[first:last] for column in segment.columns)
    )
