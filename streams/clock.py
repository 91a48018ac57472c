"""The one clock of the service, injected everywhere; nothing else reads domain time."""

import time
from collections.abc import Callable

__all__ = ["WAITS_US", "Clock", "set_back_us", "span"]

WAITS_US = 2_000_000
"""A wall clock set back by up to this much is waited for. A larger step back goes into the log (``set_back_us``)."""


def _wall() -> int:
    return time.time_ns() // 1000


class Clock:
    """Service time in integer microseconds since 1970 UTC.

    Without a speed or an origin it is wall time. It follows when the wall clock is set or after the machine slept.
    With ``speed`` it runs that many times as fast, beginning at ``origin_us`` (default: wall time now). It is then
    read from the monotonic clock and never goes back. ``wall`` returns wall time, µs.

    >>> Clock(origin_us=5_000_000).now() >= 5_000_000
    True
    """

    def __init__(self, speed: float = 1.0, origin_us: int | None = None, wall: Callable[[], int] | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"clock speed must be above 0, got {speed}")
        self.speed = speed
        self._wall = wall or _wall
        self.follows_wall = speed == 1.0 and origin_us is None
        """Whether it follows the wall clock, also backwards."""
        self._origin = origin_us if origin_us is not None else self._wall()
        self._started = time.monotonic_ns()
        self._ahead = 0

    def now(self) -> int:
        """Service time now, µs."""
        if self.follows_wall:
            return self._wall() + self._ahead
        elapsed_us = (time.monotonic_ns() - self._started) / 1000
        return self._origin + int(elapsed_us * self.speed) + self._ahead

    def apart(self) -> int:
        """Service time minus wall time, µs."""
        return self.now() - self._wall()

    def advance_to(self, time_us: int) -> None:
        """Jump forward so that ``now()`` is at least ``time_us``, and stay as far ahead."""
        self._ahead += max(0, time_us - self.now())

    def wall_seconds(self, service_seconds: float) -> float:
        """How long a span of service time takes on the wall."""
        return service_seconds / self.speed


def set_back_us(last: int, now: int) -> int:
    """How far (µs) the clock was set back since the log's last record, at ``last``; 0 if the step is small: then wait.

    >>> set_back_us(last=10_000_000, now=9_000_000), set_back_us(last=3_610_000_000, now=10_000_000)
    (0, 3600000000)
    """
    return last - now if last - now > WAITS_US else 0


def span(time_us: int) -> str:
    """A span of time in words, to about one percent.

    >>> span(59_000_000), span(3_720_000_000), span(43_200_000_000_000)
    ('59 s', '1 h 2 min', '500 days')
    """
    seconds = round(time_us / 1e6)
    for unit, name, part, of in ((86_400, "d", "h", 3600), (3600, "h", "min", 60), (60, "min", "s", 1)):
        if seconds >= unit:
            whole, rest = divmod(seconds, unit)
            if name == "d" and whole >= 10:
                return f"{round(seconds / unit)} days"
            return f"{whole} {name} {rest // of} {part}" if rest // of else f"{whole} {name}"
    return f"{seconds} s"
