"""The active alarms of a partition: by key, of each patient, and those for which a time comes."""

from twins.alarms.lifecycle import Alarm, next_time

__all__ = ["Active", "Key"]

Key = tuple[int, str, int]
"""The key of an alarm: patient's number, family, signal's code (−1: none)."""

_NEVER = 1 << 62


class Active(dict[Key, Alarm]):
    """Alarms by key, with the keys of each patient, and when the next pause ends or the next reminder is due."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[int, dict[Key, None]] = {}
        self._times: dict[Key, int] = {}
        self._earliest = _NEVER

    def __setitem__(self, key: Key, alarm: Alarm) -> None:
        super().__setitem__(key, alarm)
        self._keys.setdefault(key[0], {})[key] = None
        self.note(key)

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
        self._times.pop(key, None)
        keys = self._keys[key[0]]
        del keys[key]
        if not keys:
            del self._keys[key[0]]

    def take(self, key: Key) -> Alarm | None:
        """Remove an alarm and return it; ``None`` if there is none."""
        alarm = self.get(key)
        if alarm is not None:
            del self[key]
        return alarm

    def of(self, number: int) -> list[tuple[Key, Alarm]]:
        """The alarms of one patient with their keys, in the order of the keys."""
        return [(key, self[key]) for key in sorted(self._keys.get(number, ()))]

    def note(self, key: Key) -> None:
        """Look again when something of an alarm is due; to be called after each change of it."""
        alarm = self.get(key)
        time = next_time(alarm) if alarm is not None else 0
        if time:
            self._times[key] = time
            self._earliest = min(self._earliest, time)
        else:
            self._times.pop(key, None)

    def note_all(self) -> None:
        """Look at every alarm again."""
        for key in self:
            self.note(key)

    def due(self, now: int) -> list[Key]:
        """The keys of alarms of which something is due at ``now`` (µs), in order."""
        if now < self._earliest:
            return []
        found = sorted(key for key, time in self._times.items() if time <= now)
        if not found:
            self._earliest = min(self._times.values(), default=_NEVER)
        return found
