"""Counts refused attempts instead of recording each one: guessing must not fill the disk.

One entry of the audit trail stands for the attempts at one account from one address (or of one actor at one action) in a
quarter of an hour, with their number. It is written when the quarter of an hour is over, when somebody reads the trail,
and when the service stops. A killed process loses the counts of its last quarter of an hour.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["QUARTER_S", "RefusedAttempts"]

QUARTER_S = 900.0
_MOST_NAMES = 20
_MOST = 1000
SEVERAL = "(several)"
"""Replaces the name when one address has tried more names than are counted separately."""

Entry = dict[str, Any]
_Key = tuple[str, ...]


@dataclass(slots=True)
class _Tries:
    entry: Entry
    begun: float
    count: int = 1


class RefusedAttempts:
    """Collects entries that differ only in their time; `due` returns them, each with its `count`."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: dict[_Key, _Tries] = {}
        self._names: Counter[_Key] = Counter()

    def __len__(self) -> int:
        """The number of entries being counted."""
        return len(self._tries)

    def add(self, entry: Entry, place: str) -> None:
        """Count one attempt; `place` is its address, empty for a signed-in actor or a device."""
        what = (entry["kind"], entry["action"], entry["outcome"], place)
        known = self._tries.get((*what, entry["actor"]))
        if known is not None:
            known.count += 1
            return
        if place and self._names[what] >= _MOST_NAMES:
            entry["actor"] = SEVERAL
        if len(self._tries) >= _MOST:
            entry["actor"], what = SEVERAL, (entry["kind"], entry["action"], entry["outcome"], SEVERAL)
            entry["detail"] = "from several addresses" if place else "several"
        known = self._tries.get((*what, entry["actor"]))
        if known is not None:
            known.count += 1
            return
        self._names[what] += 1
        self._tries[*what, entry["actor"]] = _Tries(entry, self._now())

    def due(self, *, all_of_them: bool = False) -> list[Entry]:
        """Remove and return the entries whose quarter of an hour is over, or all; oldest first."""
        before = self._now() - QUARTER_S
        over = [key for key, tries in self._tries.items() if all_of_them or tries.begun <= before]
        found = []
        for key in over:
            tries = self._tries.pop(key)
            self._names[key[:-1]] -= 1
            if not self._names[key[:-1]]:
                del self._names[key[:-1]]
            found.append(tries.entry | {"count": tries.count})
        return found
