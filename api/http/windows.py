"""Counts events in moving windows of monotonic time, which clock corrections do not change."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence

__all__ = ["Rate", "Windows"]

Rate = tuple[int, float]
"""A number of events within a number of seconds."""

_MOST_KEYS = 100_000


class Windows:
    """The recent events of each key, in memory, per process.

    All ``rates`` apply together. Beyond a hundred thousand keys the ones counted longest ago are forgotten.

    >>> guesses = Windows([(2, 60.0)])
    >>> guesses.add("ada"), guesses.left("ada"), guesses.add("ada"), guesses.left("ada"), guesses.left("bob")
    (None, 1, None, 0, 2)
    """

    def __init__(self, rates: Sequence[Rate], now: Callable[[], float] = time.monotonic) -> None:
        self._rates = list(rates)
        self._longest = max(seconds for _, seconds in self._rates)
        self._now = now
        self._events: dict[Hashable, deque[tuple[float, int]]] = {}

    def __len__(self) -> int:
        """The number of keys remembered."""
        return len(self._events)

    def add(self, key: Hashable, count: int = 1) -> None:
        """Count events at the present time."""
        events = self._events.pop(key, None) or deque()
        self._trim(events)
        events.append((self._now(), count))
        self._events[key] = events  # moved to the end, so that the first key is the one counted longest ago
        while len(self._events) > _MOST_KEYS:
            del self._events[next(iter(self._events))]

    def left(self, key: Hashable) -> int:
        """How many more events fit now."""
        events = self._of(key)
        return min(max(0, most - self._sum(events, seconds)) for most, seconds in self._rates)

    def wait(self, key: Hashable) -> float:
        """Seconds until one more event fits; 0 if it fits now."""
        events, now = self._of(key), self._now()
        wait = 0.0
        for most, seconds in self._rates:
            over = self._sum(events, seconds) - most + 1
            for moment, count in events:
                if over <= 0:
                    break
                if moment > now - seconds:
                    over -= count
                    wait = max(wait, moment + seconds - now)
        return wait

    def clear(self, key: Hashable) -> None:
        """Forget a key's events."""
        self._events.pop(key, None)

    def sweep(self) -> None:
        """Forget keys without an event in any window."""
        for key in [key for key in self._events if not self._of(key)]:
            self._events.pop(key, None)

    def _of(self, key: Hashable) -> "deque[tuple[float, int]]":
        events = self._events.get(key)
        if events is None:
            return deque()
        self._trim(events)
        return events

    def _trim(self, events: "deque[tuple[float, int]]") -> None:
        past = self._now() - self._longest
        while events and events[0][0] <= past:
            events.popleft()

    def _sum(self, events: "deque[tuple[float, int]]", seconds: float) -> int:
        since = self._now() - seconds
        return sum(count for moment, count in events if moment > since)
