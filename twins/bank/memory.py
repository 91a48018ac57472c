"""What a bank stores about single channels besides its arrays: senders' clocks, other sources, episodes of the past."""

from typing import Any

import msgspec

from twins.alarms.conditions import Condition

__all__ = ["Clock", "Others", "Past", "ReportedEpisode", "Withheld"]


class Clock(msgspec.Struct, kw_only=True):
    """What is known about the clock of a channel's sender: the range of its readings' ages (µs, ahead is below 0)."""

    first: int
    least: int
    most: int
    uploads: int = 0
    seen: int = 0
    told: bool = False


class ReportedEpisode(msgspec.Struct, kw_only=True):
    """An episode of the past as it was reported: condition number, limit, times in µs, values, count of changes.

    An episode that continued into present readings is ``live``: it is not reported, because its alarm is.
    """

    which: int
    limit: float
    onset: int
    end: int
    extreme: float
    first: float
    changes: int
    withdrawn: bool = False
    live: bool = False


class Past(msgspec.Struct, kw_only=True):
    """Late readings of a channel beyond a limit, by time, and the episodes reported from them, by id.

    ``began`` and ``changed``: when the first and the last change came that is not reported yet, 0 if there is none.
    """

    readings: dict[int, float] = {}
    told: dict[str, ReportedEpisode] = {}
    began: int = 0
    changed: int = 0


class Others(msgspec.Struct):
    """The moments (µs) of a channel that belong to sources other than its first; before ``floor`` the owner is unknown."""

    times: dict[int, int] = {}
    floor: int = 0


class Withheld(msgspec.Struct, kw_only=True):
    """A condition that is true while its alarm is turned off."""

    condition: Condition
    priority: str
    value: float | None
    limit: float | None
    explanation: dict[str, Any]
    text: dict[str, str] = {}
