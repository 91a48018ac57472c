"""An alarm: one episode of the conditions of one family of one patient, with the levels that are true."""

from typing import Any

import msgspec

from twins.alarms.table import Presence

__all__ = ["Alarm", "Level"]


class Level(msgspec.Struct, kw_only=True, frozen=True):
    """One condition of an alarm's family that is true now, and why; ``since`` in µs."""

    priority: str
    level: int
    latches: bool
    since: int
    limit: float | None = None
    explanation: dict[str, Any] = {}


class Alarm(msgspec.Struct, kw_only=True):
    """One episode of the conditions of one family of one patient; times in µs."""

    id: str
    patient: str
    condition: str
    """The highest condition that is true now; after the end the highest of the episode since the last answer."""
    signal: str
    kind: str
    priority: str
    presence: Presence
    onset: int
    time: int
    latches: bool = False
    standing: bool = True
    """Whether the condition itself is true now (for a latched alarm it is not)."""
    ended: int = 0
    """When the condition last became false; 0 if it never did."""
    changes: int = 0
    value: float | None = None
    onset_value: float | None = None
    extreme: float | None = None
    limit: float | None = None
    by: str = ""
    note: str = ""
    explanation: dict[str, Any] = {}
    family: str = ""
    levels: dict[str, Level] = {}
    """The conditions that are true now, by name."""
    known: bool = True
    """False while nothing measures the condition."""
    count: int = 1
    """How often the condition became true in this episode."""
    under: str = ""
    """The id of the alarm under which this one is shown, because both have one cause."""
    event: str = ""
    """What caused the last change."""
    audio_paused_until: int = 0
    paused_until: int = 0
    patient_audio_paused_until: int = 0
    """The end of the pause of the whole patient or ward; so is the next."""
    patient_paused_until: int = 0
    reminds_at: int = 0
    responder: str = ""
    """Who said: I take it."""
    step: int = 0
    """How far the alarm was escalated."""
    escalates_at: int = 0
    """When the next step is due; while the alarm does not sound, the wait stands still."""
    waits_since: int = 0
    """Since when nobody has answered."""
    called: list[str] = []
    """Who was called last, and …"""
    called_at: int = 0
    """… when."""
    text: dict[str, str] = {}
    """The text of a site's rule, by language."""
    worst: str = ""
    """The highest condition that latches, of those that were true since the last answer."""
    worst_level: Level | None = None

    def __post_init__(self) -> None:
        """Complete an alarm that an earlier version stored: each condition was an alarm of its own."""
        if not self.family:
            self.family = self.condition
            level = Level(
                priority=self.priority, level=0, latches=self.latches, since=self.onset, limit=self.limit,
                explanation=self.explanation,
            )  # fmt: skip
            if self.standing:
                self.levels = {self.condition: level}
            if self.latches and self.presence != "acknowledged":
                self.worst, self.worst_level = self.condition, level
