"""The records of the log ``inputs``: frames of observations, charted facts, commands and ticks.

All times are integer microseconds since 1970 UTC. Columns are raw little-endian bytes. Properties return them as numpy
views.
"""

from typing import Literal

import msgspec
import numpy as np

from twins.arrays import F8, I8, U2, U4
from twins.records.alarm_commands import PauseAlarms, SetAlarmPolicy, TakeAlarm
from twins.records.escalation import SetEscalation, SetSchedule
from twins.records.limit_periods import LimitPeriod
from twins.records.rules import SetRules, SetZone

__all__ = [
    "Acknowledge",
    "Admit",
    "Columns",
    "Command",
    "Discharge",
    "Fact",
    "Frame",
    "Move",
    "Record",
    "Retract",
    "SetAlarmOff",
    "SetLimits",
    "SetProfile",
    "SetWard",
    "Setting",
    "Tick",
    "for_everybody",
]


class Columns(msgspec.Struct, frozen=True):
    """Readings as columns: ``patient`` indexes ``patients``; values are in the unit of each signal."""

    patients: list[str]
    patient: U4
    signal: U2
    time: I8
    value: F8

    def __len__(self) -> int:
        return len(self.time)


class Frame(msgspec.Struct, tag="frame", kw_only=True):
    """Observations of many patients as columns. ``received`` is the server's clock; it never decreases in a partition.

    ``sources`` names the devices. ``source`` (u16 per reading) indexes it, and is empty when there is only one device.
    """

    version: int = 1
    received: int = 0
    sources: list[str] = []
    patients: list[str]
    patient: bytes
    signal: bytes
    time: bytes
    value: bytes
    source: bytes = b""

    @property
    def columns(self) -> Columns:
        """The readings as read-only numpy views over the record's bytes."""
        return Columns(
            self.patients,
            np.frombuffer(self.patient, "<u4"),
            np.frombuffer(self.signal, "<u2"),
            np.frombuffer(self.time, "<i8"),
            np.frombuffer(self.value, "<f8"),
        )


class Fact(msgspec.Struct, tag="fact", kw_only=True):
    """A charted fact: ``oxygen`` (L/min, 0 is air), ``consciousness`` (A C V P U), ``meal``, ``insulin``, ``note``.

    A fact whose ``id`` is already charted for the patient is a repeat of that fact.
    """

    patient: str
    kind: str
    id: str = ""
    time: int
    value: float | str | None = None
    unit: str = ""
    note: str = ""
    by: str = ""
    received: int = 0


class Tick(msgspec.Struct, tag="tick", omit_defaults=True):
    """Time moves forward: everything driven by the clock happens on ticks.

    ``unheard`` is how long (µs) before the tick no reading could reach the log. No sensor counts as silent for that
    time. ``back`` says by how much (µs) the clock was set back. Time continues from ``received``; only such a record
    may be earlier than the records before it. Times later than ``received`` were stamped by the wrong clock and move
    back by ``back``.
    """

    received: int
    unheard: int = 0
    back: int = 0


class Admit(msgspec.Struct, tag="admit", kw_only=True):
    """Begin a stay. It changes nothing for a patient who is already admitted; use ``Move`` for that.

    ``stranger``: a reading caused the admission, not a person. It takes effect only if this id was never admitted
    before.
    """

    patient: str
    ward: str = ""
    bed: str = ""
    label: str = ""
    spo2_scale: int = 1
    birth_date: str = ""
    age_years: int | None = None
    news2: bool | None = None
    stranger: bool = False
    by: str = ""
    received: int = 0


class Move(msgspec.Struct, tag="move", kw_only=True):
    """Change the ward, bed or label; ``None`` leaves a field as it is.

    In this and other commands, ``stay`` names the stay by its time of admission (µs). If it is given and another stay
    of this id is in progress, nothing is changed.
    """

    patient: str
    stay: int = 0
    ward: str | None = None
    bed: str | None = None
    label: str | None = None
    by: str = ""
    received: int = 0


class Discharge(msgspec.Struct, tag="discharge", kw_only=True):
    """End a stay. Its alarms end, and readings are refused until the next admission, which begins with an empty state."""

    patient: str
    stay: int = 0
    by: str = ""
    received: int = 0


class Acknowledge(msgspec.Struct, tag="acknowledge", kw_only=True):
    """Acknowledge exactly one alarm."""

    patient: str
    alarm: str
    by: str = ""
    note: str = ""
    received: int = 0


class SetLimits(msgspec.Struct, tag="set_limits", kw_only=True):
    """Limits of one signal for a patient, or for a ward when ``patient`` is empty; ``None`` falls back one level.

    ``falling_per_min`` and ``rising_per_min`` are rates of change, both positive. ``periods`` are limits for parts of the
    day, by name. What is named in ``keep`` stays as it is at that level. Ward limits are written to every partition.
    """

    signal: str
    patient: str = ""
    stay: int = 0
    ward: str = ""
    critical_low: float | None = None
    low: float | None = None
    high: float | None = None
    critical_high: float | None = None
    delay_s: float | None = None
    falling_per_min: float | None = None
    rising_per_min: float | None = None
    periods: dict[str, LimitPeriod] = {}
    by: str = ""
    received: int = 0
    keep: list[str] = []
    clear_s: float | None = None


class SetProfile(msgspec.Struct, tag="set_profile", kw_only=True):
    """What a clinician sets about a patient for scoring; ``None`` leaves a field as it is.

    ``spo2_scale`` is the SpO2 scale of NEWS2. ``birth_date`` (ISO 8601) and ``age_years`` replace each other; "" and
    -1 delete the age. ``news2`` says whether the patient is scored; ``"by_ward"`` leaves that to the ward.
    """

    patient: str
    stay: int = 0
    spo2_scale: int | None = None
    birth_date: str | None = None
    age_years: int | None = None
    news2: bool | Literal["by_ward"] | None = None
    by: str = ""
    received: int = 0


class SetAlarmOff(msgspec.Struct, tag="set_alarm_off", kw_only=True):
    """Turn alarms off until ``until`` (µs), or on again if that time is not in the future.

    ``signal`` is a signal (its limit alarms, predicted and rate alarms), ``news2``, or a site's rule as ``rule.<id>``.
    """

    patient: str
    stay: int = 0
    signal: str
    until: int = 0
    reason: str = ""
    by: str = ""
    received: int = 0


class SetWard(msgspec.Struct, tag="set_ward", kw_only=True):
    """Whether a ward uses NEWS2 for patients who have no setting of their own; written to every partition."""

    ward: str
    news2: bool = True
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""


class Retract(msgspec.Struct, tag="retract", kw_only=True):
    """Retract the reading of ``signal`` (its name) at ``time``: it was entered in error and nothing replaces it.

    ``source`` is the device that asks for it, as in frames. It is empty for a person. A device can retract only what
    it sent.
    """

    patient: str
    signal: str
    time: int
    by: str = ""
    source: str = ""
    reason: str = ""
    received: int = 0


Setting = SetEscalation | SetSchedule | SetAlarmPolicy
"""What a site sets that belongs to no patient, by key: see ``twins.bank.settings``. Written to every partition."""

Command = (
    Admit
    | Move
    | Discharge
    | Acknowledge
    | SetLimits
    | SetProfile
    | SetAlarmOff
    | SetWard
    | SetRules
    | SetZone
    | PauseAlarms
    | TakeAlarm
    | Retract
    | SetEscalation
    | SetSchedule
    | SetAlarmPolicy
)
Record = Frame | Fact | Tick | Command


def for_everybody(record: Fact | Command) -> bool:
    """Whether a command belongs to no patient: it is written to every partition."""
    return isinstance(record, SetLimits | SetWard | SetRules | SetZone | Setting | PauseAlarms) and not record.patient
