"""What a bank remembers of single channels besides its arrays: senders' clocks, other sources, episodes of the past."""

import msgspec

__all__ = ["Clock", "Others", "Past", "Told"]


class Clock(msgspec.Struct, kw_only=True):
    """What is known of the clock of a channel's sender: the range of its readings' ages (µs, ahead is below 0)."""

    first: int
    least: int
    most: int
    uploads: int = 0
    seen: int = 0
    told: bool = False


class Told(msgspec.Struct, kw_only=True):
    """An episode of the past as it was told: the condition's number, its limit, times in µs, values, count of changes.

    One that went on into readings of now is ``live``: it is not told, as its alarm is.
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
    """Late readings of a channel beyond a limit, by time; the episodes told of them, by id.

    ``began`` and ``changed``: when something untold first and last came, 0 where all is told.
    """

    readings: dict[int, float] = {}
    told: dict[str, Told] = {}
    began: int = 0
    changed: int = 0


class Others(msgspec.Struct):
    """The moments (µs) of a channel that belong to sources other than its first; before ``floor`` nobody can tell."""

    times: dict[int, int] = {}
    floor: int = 0
