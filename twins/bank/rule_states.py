"""The state of a site's rules: one column per rule, one row per patient, and the rules themselves as the log set them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from twins.alarms.rules import IS_ON, MOST_TIMES, Compiled, compiled
from twins.records import SetRules, SetZone, Zone

__all__ = ["RuleStates"]

_FIRST = 64
_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "phase": ("u1", ()), "truth": ("u1", ()), "since": ("i8", ()), "moved": ("i8", ()), "happened": ("i8", (MOST_TIMES,)),
}  # fmt: skip


class RuleStates:
    """The rules in force and their states.

    A column belongs to a rule's key, so a checkpoint finds the state of its rules even before the log sets them again.
    """

    phase: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8]
    since: npt.NDArray[np.int64]
    moved: npt.NDArray[np.int64]
    happened: npt.NDArray[np.int64]

    def __init__(self) -> None:
        self.rules: Compiled = compiled(())
        self.command: SetRules | None = None
        """The command that set the rules in force."""
        self.changes: list[tuple[int, SetRules]] = []
        """Offset in the log at which rules were set, as far back as a replay may begin."""
        self.zone_changes: list[tuple[int, SetZone]] = []
        self.zones: dict[str, Zone] = {}
        """Time zones of wards."""
        self.keys: list[str] = []
        """The key that each column belongs to; "" for a free one."""
        self.columns = np.zeros(0, np.int64)
        self.known = np.zeros(_FIRST, np.uint8)
        """Whether ``applies`` and ``place`` of a patient are right. They follow from the profile and are in no checkpoint."""
        self.applies = np.zeros(_FIRST, np.uint32)
        """A bit per rule that is for this patient."""
        self.place = np.zeros(_FIRST, np.int32)
        """The patient's time zone, as an index in ``places``."""
        self.places: list[Zone] = []
        self.hours = np.zeros(0, np.uint32)
        """By time zone, a bit per rule whose hours include the minute ``hours_at[0]``."""
        self.hours_at = (-1, -1)
        self._rows = _FIRST
        self._make(_FIRST, 0)

    def __len__(self) -> int:
        return len(self.rules.rules)

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """The arrays, each with one row per patient."""
        return [getattr(self, name) for name in _ARRAYS]

    def zone_of(self, ward: str) -> Zone:
        """The time zone of a ward: its own, else the site's, else UTC."""
        return self.zones.get(ward) or (self.command.zone if self.command else Zone())

    def set_rules(self, offset: int, command: SetRules) -> None:
        """Put rules in force from the record at ``offset`` on; states of rules with the same key stay."""
        self.changes.append((offset, command))
        self.command = command
        self.rules = compiled(command.rules)
        self.columns = np.array([self.column(rule.key) for rule in self.rules.rules], np.int64)
        self._forget_places()

    def set_zone(self, offset: int, command: SetZone) -> None:
        """Set a ward's time zone from the record at ``offset`` on."""
        self.zone_changes.append((offset, command))
        if command.zone is None:
            self.zones.pop(command.ward, None)
        else:
            self.zones[command.ward] = command.zone
        self._forget_places()

    def zone_number(self, ward: str) -> int:
        """The index in ``places`` of a ward's time zone."""
        zone = self.zone_of(ward)
        if zone not in self.places:
            self.places.append(zone)
        return self.places.index(zone)

    def _forget_places(self) -> None:
        self.known[:] = 0
        self.places, self.hours_at = [], (-1, -1)

    def rule(self, condition: str) -> int:
        """The index of the rule with a condition's name, −1 if there is none."""
        return next((at for at, held in enumerate(self.rules.conditions) if held.name == condition), -1)

    def turn_on(self, number: int, condition: str) -> None:
        """The alarm of a rule is on: it ends when the rule is no longer true."""
        self.phase[number, self.columns[self.rule(condition)]] = IS_ON

    def column(self, key: str) -> int:
        """The column of a key; a new one if it has none."""
        if key in self.keys:
            return self.keys.index(key)
        if "" in self.keys:
            at = self.keys.index("")
            self.keys[at] = key
            return at
        self.keys.append(key)
        self._make(self._rows, len(self.keys))
        return len(self.keys) - 1

    def drop_others(self, numbers: npt.NDArray[np.int64]) -> None:
        """Reset the states of rules that are no longer in force, of patients ``numbers``; frees columns without a state."""
        force = set(self.columns.tolist())
        for at in range(len(self.keys)):
            if at not in force:
                for array in self.arrays:
                    array[numbers, at] = 0
                if not any(array[:, at].any() for array in self.arrays):
                    self.keys[at] = ""

    def make_room(self, rows: int) -> None:
        """Grow to ``rows`` patients."""
        self._make(rows, len(self.keys))

    def forget(self, number: int) -> None:
        """Reset a patient's row."""
        for array in self.arrays:
            array[number] = 0
        self.known[number] = 0

    def _make(self, rows: int, columns: int) -> None:
        for name, (dtype, shape) in _ARRAYS.items():
            longer = np.zeros((rows, columns, *shape), dtype)
            held = getattr(self, name, None)
            if held is not None:
                longer[: held.shape[0], : held.shape[1]] = held
            setattr(self, name, longer)
        if rows > len(self.known):
            for name in ("known", "applies", "place"):
                held = getattr(self, name)
                setattr(self, name, np.concatenate([held, np.zeros(rows - len(held), held.dtype)]))
        self._rows = rows

    # -- checkpoints --------------------------------------------------------------------------------------------

    def state_of(self, patients: slice) -> dict[str, bytes]:
        """The states of some patients by key; keys without a state are left out."""
        found = {}
        for at, key in enumerate(self.keys):
            parts = [array[patients, at] for array in self.arrays]
            if key and any(part.any() for part in parts):
                found[key] = b"".join(part.tobytes() for part in parts)
        return dict(sorted(found.items()))

    def restore(self, first: int, count: int, states: dict[str, bytes]) -> None:
        """Restore what ``state_of`` gave; raises ``ValueError`` if the bytes do not fit."""
        for key, raw in states.items():
            at, read = self.column(key), 0
            for name, (dtype, shape) in _ARRAYS.items():
                size = count * int(np.prod(shape)) * np.dtype(dtype).itemsize
                part = np.frombuffer(raw[read : read + size], dtype).reshape(count, *shape)
                getattr(self, name)[first : first + count, at] = part
                read += size
