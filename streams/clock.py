"""The one clock of the service, injected everywhere; nothing else reads domain time."""

import time

__all__ = ["Clock"]


class Clock:
    """Service time in integer microseconds since 1970 UTC, ``speed`` times as fast as the wall's.

    It starts at ``origin_us`` (default: the wall's now), never runs backwards, and keeps its pace when the wall clock
    is set, because it is read off the monotonic clock.

    >>> Clock(origin_us=5_000_000).now() >= 5_000_000
    True
    """

    def __init__(self, speed: float = 1.0, origin_us: int | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"clock speed must be above 0, got {speed}")
        self.speed = speed
        self._origin = origin_us if origin_us is not None else time.time_ns() // 1000
        self._started = time.monotonic_ns()

    def now(self) -> int:
        """Service time now, µs."""
        elapsed_us = (time.monotonic_ns() - self._started) / 1000
        return self._origin + int(elapsed_us * self.speed)

    def advance_to(self, time_us: int) -> None:
        """Jump forward so that ``now()`` is at least ``time_us``: a log must never see time go back."""
        behind = time_us - self.now()
        if behind > 0:
            self._origin += behind

    def wall_seconds(self, service_seconds: float) -> float:
        """How long a span of service time takes on the wall."""
        return service_seconds / self.speed
