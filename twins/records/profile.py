"""Who is monitored and where, and what is charted and set for them, for the newest stay of a patient's id."""

from typing import Literal

import msgspec

from twins.records.limit_periods import LimitPeriod, SetAt

__all__ = ["AlarmOff", "MeasuredFact", "Pause", "Profile", "Stay"]


class AlarmOff(msgspec.Struct, frozen=True):
    """Who turned alarms off, why, since when and until when (µs)."""

    until: int
    since: int
    by: str
    reason: str


class Pause(msgspec.Struct, frozen=True):
    """Who paused the patient's alarms, why, since when and until when (µs), and whether it was for the whole ward."""

    until: int
    since: int
    by: str
    reason: str
    scope: Literal["patient", "ward"] = "patient"


class MeasuredFact(msgspec.Struct, frozen=True):
    """What a device reports about oxygen or consciousness, since ``time`` (µs)."""

    value: float
    time: int


class Profile(msgspec.Struct, kw_only=True):
    """Who is monitored and where, with the charted facts and limits in force; all of it for the newest stay of this id.

    ``admitted`` (µs) distinguishes the stay from other stays of the id. Readings dated ``begin`` or later belong to
    it; ``begin`` is −1 if an earlier version wrote the profile. ``admission`` is the offset in the log of the record
    that began the stay. ``discharged`` is when it ended, 0 while it is in progress.

    ``oxygen`` and ``consciousness`` are as charted. ``measured`` is what devices report about them, by signal. ``age``
    follows from ``birth_date``, or from ``age_years``, which was given at ``age_told``. ``news2`` is the setting of
    this patient (``None``: no setting). ``news2_off`` is the reason why there is no score: see
    ``twins.models.deterioration.eligibility``. ``adult_limits`` says that limits for adults are applied to a child.
    ``alarms_off`` has what is turned off: signals, ``news2``, rules as ``rule.<id>``. ``audio_pause`` and ``alarm_pause``
    are the pauses in force.
    ``limits`` are those set for this patient, by signal, ``periods`` those for parts of the day, and ``limits_set`` says
    who set them last.
    """

    patient: str
    active: bool = True
    ward: str = ""
    bed: str = ""
    label: str = ""
    admitted: int = 0
    begin: int = -1
    discharged: int = 0
    admission: int = -1
    spo2_scale: int = 1
    oxygen: float | None = None
    oxygen_time: int = 0
    consciousness: str | None = None
    consciousness_time: int = 0
    measured: dict[str, MeasuredFact] = {}
    birth_date: str = ""
    age_years: int | None = None
    age_told: int = 0
    age: int | None = None
    news2: bool | None = None
    news2_off: str = ""
    adult_limits: bool = False
    limits: dict[str, dict[str, float]] = {}
    periods: dict[str, dict[str, LimitPeriod]] = {}
    limits_set: dict[str, SetAt] = {}
    alarms_off: dict[str, AlarmOff] = {}
    audio_pause: Pause | None = None
    alarm_pause: Pause | None = None


class Stay(msgspec.Struct, tag="stay", kw_only=True):
    """One stay of one patient id, from ``admitted`` to ``discharged`` (0: in progress), with its last ward and bed.

    Readings dated from ``begin`` up to the ``begin`` of the next stay belong to it.
    """

    patient: str
    admitted: int
    begin: int
    discharged: int = 0
    ward: str = ""
    bed: str = ""
    label: str = ""
