"""The active alarms of a partition by key, and of each patient."""

from twins.alarms.lifecycle import Alarm

__all__ = ["Active", "Key"]

Key = tuple[int, str, int]
"""The key of an alarm: patient's number, family, signal's code (−1: none)."""


class Active(dict[Key, Alarm]):
    """Alarms by key, with the keys of each patient."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[int, dict[Key, None]] = {}

    def __setitem__(self, key: Key, alarm: Alarm) -> None:
        super().__setitem__(key, alarm)
        self._keys.setdefault(key[0], {})[key] = None

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
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
