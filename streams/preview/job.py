"""What is asked of a preview of limits, and what comes back; both travel between processes as MessagePack."""

from typing import Any, Literal

import msgspec

from streams.errors import StreamsError
from twins.records import Command, Profile

__all__ = ["MOST_LISTED", "MOST_READINGS", "Counts", "Episode", "Job", "Part", "Preview", "TooLarge"]

MOST_READINGS = 30_000_000
"""More readings are refused: about 20 patients with five signals at 1 Hz for three days."""
MOST_LISTED = 200
"""At most so many gained and so many lost alarms are listed; all are counted."""

Missing = Literal["answers", "arrival", "earlier_limits", "alarms_off", "corrections", "begin"]
"""What a run could not reproduce: what people did about alarms, when readings arrived, limits of that time, alarms that
were turned off, corrected readings, and the state at the beginning (the twins start empty before the period).
"""


class TooLarge(StreamsError):
    """The period has more readings than may be run again at once."""


class Job(msgspec.Struct, kw_only=True):
    """Run the readings of [start, end) (µs) of ``patients`` twice: as things are set now, and with ``changes``.

    ``setup`` are commands that belong to no patient: limits of wards, rules, settings. A patient's own limits are in the
    profile. ``log`` is the embedded service's file; its log is read if it reaches back and is not too long.
    """

    patients: list[Profile]
    setup: list[Command]
    changes: list[Command]
    start: int
    end: int
    log: str = ""
    most_readings: int = MOST_READINGS
    listed: int = MOST_LISTED


class Episode(msgspec.Struct, kw_only=True):
    """An alarm of one run, from its beginning until its condition ended (``end`` 0: it went on). Times are µs.

    ``condition`` and ``priority`` are the highest it reached, ``extreme`` its worst value, ``readings`` some around the
    beginning, as (time, value).
    """

    id: str
    patient: str
    ward: str
    family: str
    condition: str
    signal: str
    priority: str
    onset: int
    end: int = 0
    value: float | None = None
    extreme: float | None = None
    limit: float | None = None
    explanation: dict[str, Any] = {}
    readings: list[tuple[int, float]] = []


class Counts(msgspec.Struct, kw_only=True):
    """The alarms of one run that sounded, also by priority and condition, and how long they were true together.

    ``sustained`` of them were true for at least 60 s.
    """

    alarms: int
    rises: int
    sustained: int
    true_s: float
    by_priority: dict[str, int]
    by_condition: dict[str, int]


class Part(msgspec.Struct, kw_only=True):
    """Where the readings of a part of the period came from."""

    source: Literal["log", "history"]
    start: int
    end: int


class Preview(msgspec.Struct, kw_only=True):
    """Both runs, and the alarms that only one of them has.

    A gained alarm is one of the changed run that no alarm of the same patient, signal and side overlaps in the present
    run, and the reverse for lost ones. ``lost_sustained`` of the lost ones were true for at least 60 s. Readings within
    ``step_s`` were run together. ``seconds`` is how long both runs took.
    """

    start: int
    end: int
    patients: int
    patient_days: float
    readings: int
    parts: list[Part]
    present: Counts
    changed: Counts
    gained: list[Episode]
    lost: list[Episode]
    gained_count: int
    lost_count: int
    lost_sustained: int
    missing: list[Missing]
    step_s: float
    seconds: float
