"""Delete from the embedded file by age and size, oldest first; measure age safely when the clock may be wrong.

A clock that is wrong for an hour must not cost a year of history. So age is counted from a separate time in the file,
the retention time. It follows the clock only in ordinary steps. After a jump of the clock (the clock is wrong, or the
service was stopped) it stands still until the service has run for a day without another jump. Then it catches up by one
day an hour.
"""

import sqlite3
import time

import structlog

from streams.clock import Clock
from streams.embedded.schema import OFFSET_BITS
from streams.history import SqliteHistory

__all__ = ["Retention", "retention_time"]

_logger = structlog.get_logger(__name__)

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_CATCH_UP = 24
_AT_ONCE = 2000
_INCREMENTAL = 2
_FREE_PAGES = 256
"""This many free pages, or an eighth of the file, stay for new records."""
_GIVEN_BACK = 128
_TIME, _AGREED = "retention_time", "retention_agreed_us"


def retention_time(time_us: int, agreed_us: int, now: int, lived_us: int) -> tuple[int, int]:
    """The retention time, and for how long the clock has run without a jump, after ``lived_us`` more of running.

    An ordinary step, a jump of a year, the same after a day of running, and a clock set back:

    >>> day = 24 * 3_600_000_000
    >>> retention_time(10 * day, 0, 10 * day + 60_000_000, 60_000_000) == (10 * day + 60_000_000, 0)
    True
    >>> retention_time(10 * day, 0, 375 * day, 60_000_000) == (10 * day, 60_000_000)
    True
    >>> retention_time(10 * day, day, 375 * day, 3_600_000_000) == (11 * day, day + 3_600_000_000)
    True
    >>> retention_time(10 * day, day, 9 * day, 60_000_000) == (9 * day, 0)
    True
    """
    if now - time_us <= lived_us + _HOUR_US:
        return now, 0
    agreed_us += lived_us
    if agreed_us <= _DAY_US:
        return time_us, agreed_us
    return min(now, time_us + _CATCH_UP * lived_us), agreed_us


class Retention:
    """Deletes from log and history; for the thread that writes the file, on its connection, in its transaction.

    ``last`` is the file's newest log time (µs, 0 for a new file): the first retention time of a file that has none.
    """

    def __init__(
        self, connection: sqlite3.Connection, history: SqliteHistory, clock: Clock, *,
        last: int, keep_us: int, keep_bytes: int, log_bytes: int,
    ) -> None:  # fmt: skip
        self._history = history
        self._clock = clock
        self._keep_us = keep_us
        self._keep_bytes = keep_bytes
        self.log_bytes = log_bytes
        self.oldest = 0
        """Log time (µs) of the oldest record at the last look; 0: none."""
        self.by_size = False
        """Whether records were deleted before their age because the log had reached its largest size."""
        kept = dict(connection.execute("SELECT name, value FROM log_facts").fetchall())
        self.time: int = kept.get(_TIME, last or clock.now())
        self._agreed: int = kept.get(_AGREED, 0)
        self._seen = self._clock.now()
        self._looked = time.monotonic()
        self._note(connection)

    @property
    def behind_us(self) -> int:
        """How far (µs) the retention time is behind the clock."""
        return max(0, self._clock.now() - self.time)

    def run(self, connection: sqlite3.Connection, committed: dict[int, int], budget_s: float) -> bool:
        """Delete what is due, for about ``budget_s``; whether more is due."""
        now, moment = self._clock.now(), time.monotonic()
        lived = int((moment - self._looked) * self._clock.speed * 1e6)
        if not -_HOUR_US < now - self._seen - lived < _HOUR_US:
            self._agreed = 0
        self._seen, self._looked = now, moment
        self.time, self._agreed = retention_time(self.time, self._agreed, now, lived)
        self._note(connection)
        more = self._history.retain(connection, self.time, budget_s)
        deadline = time.monotonic() + budget_s
        while self._forget(connection, committed):
            if time.monotonic() >= deadline:
                return True
        return self._give_back(connection) or more

    def _note(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR REPLACE INTO log_facts VALUES (?, ?)", [(_TIME, self.time), (_AGREED, self._agreed)]
        )

    def _forget(self, connection: sqlite3.Connection, committed: dict[int, int]) -> bool:
        """Delete some of the oldest log records by age and size, but none that no checkpoint covers yet."""
        cutoff = self.time - self._keep_us
        self.oldest, gone = 0, False
        for partition, offset in committed.items():
            base = partition << OFFSET_BITS
            oldest = connection.execute(
                "SELECT id, received FROM log WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1", (base, base + offset)
            ).fetchone()
            if oldest is None:
                continue
            self.oldest = min(self.oldest or oldest[1], oldest[1])
            too_much = self.log_bytes > self._keep_bytes
            if oldest[1] >= cutoff and not too_much:
                continue
            self.by_size |= too_much and oldest[1] >= cutoff
            before = 1 << 62 if too_much else cutoff
            chosen = "id >= ? AND id < ? AND id <= ? AND received < ?"
            bounds = (base, oldest[0] + _AT_ONCE, base + offset, before)
            (size,) = connection.execute(f"SELECT total(length(record)) FROM log WHERE {chosen}", bounds).fetchone()  # noqa: S608
            connection.execute(f"DELETE FROM log WHERE {chosen}", bounds)  # noqa: S608
            self.log_bytes -= int(size)
            gone = True
        if self.oldest and self.oldest <= cutoff + _HOUR_US:
            self.by_size = False
        return gone

    @staticmethod
    def _give_back(connection: sqlite3.Connection) -> bool:
        """Return some freed pages to the file system; whether there are more. A file of an older version keeps them."""
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (total,) = connection.execute("PRAGMA page_count").fetchone()
        (kind,) = connection.execute("PRAGMA auto_vacuum").fetchone()
        if kind != _INCREMENTAL or free <= max(_FREE_PAGES, total // 8):
            return False
        for _ in range(min(_GIVEN_BACK, free)):
            connection.execute("PRAGMA incremental_vacuum(1)")  # one at a time: sqlite3 executes only one step of it
        return True
