"""The records of the log and what a step over them gives back.

``Record`` is everything that can stand in the log ``inputs``: frames of observations, charted facts, commands and
ticks. ``Outcome`` is everything a step produces. All times are integer microseconds since 1970 UTC.
Columns are raw little-endian bytes, read with the properties that return numpy views.
"""

from enum import IntEnum
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "HORIZONS_MIN",
    "QUANTILES",
    "Acknowledge",
    "Admit",
    "AlarmOff",
    "Columns",
    "Command",
    "Discharge",
    "Estimates",
    "Fact",
    "Frame",
    "MeasuredFact",
    "Move",
    "Outcome",
    "Profile",
    "Record",
    "Retract",
    "Revision",
    "Score",
    "SetAlarmOff",
    "SetLimits",
    "SetProfile",
    "SetWard",
    "Status",
    "Stay",
    "Tick",
    "Transition",
]

HORIZONS_MIN: tuple[int, ...] = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""Forecast horizons, minutes after the effective time of the newest measurement."""

QUANTILES: tuple[float, ...] = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Forecast quantiles, in the order of the last axis of ``twins.fan.fan``."""

U1 = npt.NDArray[np.uint8]
U2 = npt.NDArray[np.uint16]
U4 = npt.NDArray[np.uint32]
I8 = npt.NDArray[np.int64]
F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]


class Status(IntEnum):
    """What became of one reading in the twin; a late one is inserted where it belongs unless it is too old."""

    ACCEPTED = 0
    GATED = 1
    IMPLAUSIBLE = 2
    LATE = 3
    DUPLICATE = 4
    UNFILTERED = 5
    UNKNOWN_PATIENT = 6
    FUTURE = 7
    REACQUIRED = 8
    INVALID = 9
    INSERTED = 10
    CORRECTED = 11
    RETRACTED = 12
    BEFORE_STAY = 13
    FOREIGN = 14


class Columns(msgspec.Struct, frozen=True):
    """Readings side by side: ``patient`` indexes ``patients``; values are in the signals' own units."""

    patients: list[str]
    patient: U4
    signal: U2
    time: I8
    value: F8

    def __len__(self) -> int:
        return len(self.time)


class Frame(msgspec.Struct, tag="frame", kw_only=True):
    """Observations of many patients as columns; ``received`` is the door's clock, never decreasing in a partition.

    ``sources`` names the devices; ``source`` (u16 per reading) indexes it and is empty when there is one.
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

    A fact with the ``id`` of one of the patient's that is charted already is the same one again.
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
    """Time moving forward: everything clock-driven happens on ticks.

    ``unheard`` is the time (µs) before it in which nothing could reach the log, whatever sensors sent: no sensor counts
    as silent for that. ``back`` says that the clock was set back by so much (µs): time goes on from ``received``, the only
    record that may be earlier than those before it, and what was taken for later than that has been so much earlier.
    """

    received: int
    unheard: int = 0
    back: int = 0


class Admit(msgspec.Struct, tag="admit", kw_only=True):
    """Begin a stay. Of somebody who is here already it changes nothing: a ``Move`` moves.

    ``stranger``: a reading asks for it, not a person, and nobody of this id may ever have been here.
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
    """Another ward, bed or label; ``None`` leaves a field as it is.

    Here as in other commands ``stay``, if given, names the stay that is meant by its admission (µs): of another stay of
    the same id nothing is changed.
    """

    patient: str
    stay: int = 0
    ward: str | None = None
    bed: str | None = None
    label: str | None = None
    by: str = ""
    received: int = 0


class Discharge(msgspec.Struct, tag="discharge", kw_only=True):
    """End of a stay: alarms end, readings are refused until the next admission, which begins with nothing of it."""

    patient: str
    stay: int = 0
    by: str = ""
    received: int = 0


class Acknowledge(msgspec.Struct, tag="acknowledge", kw_only=True):
    """One alarm, and only this one, is acknowledged."""

    patient: str
    alarm: str
    by: str = ""
    note: str = ""
    received: int = 0


class SetLimits(msgspec.Struct, tag="set_limits", kw_only=True):
    """Limits of one signal for a patient, or for a ward when ``patient`` is empty; ``None`` falls back one level.

    The bounds named in ``keep`` stay as they are at that level. Ward limits are written to every partition.
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
    by: str = ""
    received: int = 0
    keep: list[str] = []


class SetProfile(msgspec.Struct, tag="set_profile", kw_only=True):
    """What a clinician says of a patient for scoring; ``None`` leaves a field as it is.

    ``spo2_scale`` is that of NEWS2; ``birth_date`` (ISO 8601) and ``age_years`` replace each other, "" and -1 forget the
    age; ``news2`` is whether the patient is scored, ``"by_ward"`` leaves it to the ward.
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
    """The limit alarms of one signal are off until ``until`` (µs), or on again where that is not ahead."""

    patient: str
    stay: int = 0
    signal: str
    until: int = 0
    reason: str = ""
    by: str = ""
    received: int = 0


class SetWard(msgspec.Struct, tag="set_ward", kw_only=True):
    """Whether a ward uses NEWS2 for patients of whom nothing else is said; written to every partition."""

    ward: str
    news2: bool = True
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Nobody's: it belongs to no patient."""
        return ""


class Retract(msgspec.Struct, tag="retract", kw_only=True):
    """The reading of ``signal`` (its name) at ``time`` was entered in error and is taken back, without another in its place.

    ``source`` is the device that asks for it, as in frames, empty for a person: a device takes back what it sent.
    """

    patient: str
    signal: str
    time: int
    by: str = ""
    source: str = ""
    reason: str = ""
    received: int = 0


Command = Admit | Move | Discharge | Acknowledge | SetLimits | SetProfile | SetAlarmOff | SetWard | Retract
Record = (
    Frame
    | Fact
    | Tick
    | Admit
    | Move
    | Discharge
    | Acknowledge
    | SetLimits
    | SetProfile
    | SetAlarmOff
    | SetWard
    | Retract
)


class Estimates(msgspec.Struct, tag="estimates", kw_only=True):
    """The twins' belief, one row per (patient, signal) that changed; at most once a second and patient.

    ``value`` is the newest plausible reading as observed and ``time`` its effective time, ``mean``/``sd`` the posterior,
    ``trend`` per second, ``quality`` 0–1 (0 while the newest reading is implausible), ``status`` the channel's state (0 ok,
    1 searching, 2 fault, 3 silent), ``belief`` float32 of shape (rows, …): what the forecasts follow from, see
    ``twins.fan``. ``rejected`` and ``rejected_time`` are the newest reading where it is implausible, NaN and 0 elsewhere;
    both are empty where no row has one.
    """

    version: int = 1
    emitted: int
    patients: list[str]
    patient: bytes
    signal: bytes
    time: bytes
    value: bytes
    mean: bytes
    sd: bytes
    trend: bytes
    quality: bytes
    status: bytes
    belief: bytes
    rejected: bytes = b""
    rejected_time: bytes = b""

    @property
    def rows(self) -> dict[str, npt.NDArray[Any]]:
        """The columns as read-only numpy views, by name."""
        views: dict[str, npt.NDArray[Any]] = {
            "patient": np.frombuffer(self.patient, "<u4"),
            "signal": np.frombuffer(self.signal, "<u2"),
            "time": np.frombuffer(self.time, "<i8"),
            "status": np.frombuffer(self.status, "u1"),
            "quality": np.frombuffer(self.quality, "<f4"),
        }
        for name in ("value", "mean", "sd", "trend"):
            views[name] = np.frombuffer(getattr(self, name), "<f8")
        count = len(views["patient"])
        views["belief"] = np.frombuffer(self.belief, "<f4").reshape(count, -1)
        views["rejected"] = np.frombuffer(self.rejected, "<f8") if self.rejected else np.full(count, np.nan)
        views["rejected_time"] = (
            np.frombuffer(self.rejected_time, "<i8") if self.rejected_time else np.zeros(count, np.int64)
        )
        return views


class Score(msgspec.Struct, kw_only=True):
    """A patient's NEWS2 as known at ``time``: parts by parameter, and what is missing or stale (never counted as 0).

    ``measured`` is the time of the newest vital sign that counts, 0 where none does. The score is ``old`` when all those
    are stale and ``void`` when none counts any more: then the total says nothing.
    """

    patient: str
    time: int
    total: int
    risk: str
    partial: bool
    parts: dict[str, int]
    missing: list[str]
    stale: list[str]
    ages_s: dict[str, float]
    state: Literal["current", "old", "void"] = "current"
    measured: int = 0


class AlarmOff(msgspec.Struct, frozen=True):
    """Whose act it is that a signal's limit alarms are off, why, since when and until when (µs)."""

    until: int
    since: int
    by: str
    reason: str


class MeasuredFact(msgspec.Struct, frozen=True):
    """What a device tells of oxygen or consciousness, since ``time`` (µs)."""

    value: float
    time: int


class Profile(msgspec.Struct, kw_only=True):
    """Who is monitored and where, with the charted facts and limits in force: all of the newest stay of this id.

    ``admitted`` (µs) tells the stay from others of the id. What is dated from ``begin`` on belongs to it; −1 where an
    earlier version wrote the profile. ``admission`` is the place in the log of the record that began it, ``discharged``
    when it ended, 0 while it goes on.

    ``oxygen`` and ``consciousness`` are as charted, ``measured`` what devices tell of them by signal.
    ``age`` follows from ``birth_date`` or from ``age_years``, which was told at ``age_told``. ``news2`` is what was said of
    this patient (``None``: nothing), ``news2_off`` why there is no score: see ``twins.eligibility``. ``adult_limits`` says that
    a child is judged by limits for adults.
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
    alarms_off: dict[str, AlarmOff] = {}


class Stay(msgspec.Struct, tag="stay", kw_only=True):
    """One stay of one patient id, from ``admitted`` to ``discharged`` (0: it goes on), where it ended or now is.

    What is dated from ``begin`` up to the next stay's belongs to it.
    """

    patient: str
    admitted: int
    begin: int
    discharged: int = 0
    ward: str = ""
    bed: str = ""
    label: str = ""


class Revision(msgspec.Struct, tag="revision", kw_only=True):
    """What was done to a reading after it had been sent: ``corrected`` to ``value``, ``retracted``, or ``not_taken``.

    The last where another source's reading stands at ``time`` (µs), and ``by``, who did it at ``received``, may not
    correct that. What stood there before is in the history.
    """

    patient: str
    signal: str
    time: int
    what: Literal["corrected", "retracted", "not_taken"]
    value: float | None = None
    by: str = ""
    received: int = 0


class Transition(msgspec.Struct, tag="transition", kw_only=True):
    """One change of one alarm condition. ``alarm`` names the episode, ``id`` this change; both follow from the log.

    ``number`` counts the changes of the episode from 1 and orders them; their times never go back. ``standing`` says
    whether the condition itself is true, ``ended`` when it last ceased to be (0: never). ``value`` is the newest when the
    change was made, ``onset_value`` the one the episode began with, ``extreme`` the worst of it so far. ``past`` marks an
    episode that was over when its readings came: nobody was or is alarmed by it.
    """

    id: str
    alarm: str
    patient: str
    ward: str = ""
    condition: str
    signal: str = ""
    kind: str = "physiological"
    priority: str = "low"
    presence: str
    onset: int
    time: int
    emitted: int = 0
    number: int = 0
    past: bool = False
    standing: bool = True
    ended: int = 0
    value: float | None = None
    onset_value: float | None = None
    extreme: float | None = None
    limit: float | None = None
    by: str = ""
    note: str = ""
    explanation: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """What was kept before changes had a number of their own has it in its id, and stood unless latched or off."""
        if not self.number:
            tail = self.id.rpartition("-")[2]
            self.number = int(tail) if tail.isdecimal() and tail.isascii() else 0
            self.standing = self.standing and self.presence in {"on", "acknowledged"}


class Outcome(msgspec.Struct, tag="outcome", kw_only=True):
    """What one record did: estimates, scores, profiles, alarm transitions, limits of wards, and the fate of each reading.

    ``stays`` holds stays that began or ended, ``revisions`` what was done to readings, both for the history. ``status``
    holds one ``Status`` per reading of the frame, or that of a retraction. ``complete`` marks the whole state of a
    partition, sent once when it starts to be served.
    """

    partition: int = 0
    offset: int = -1
    time: int = 0
    complete: bool = False
    estimates: Estimates | None = None
    scores: list[Score] = []
    profiles: list[Profile] = []
    transitions: list[Transition] = []
    ward_limits: list[SetLimits] = []
    stays: list[Stay] = []
    wards: list[SetWard] = []
    revisions: list[Revision] = []
    status: bytes = b""

    @property
    def empty(self) -> bool:
        """Whether nobody outside has to hear of it."""
        return not (
            self.estimates
            or self.scores
            or self.profiles
            or self.transitions
            or self.ward_limits
            or self.wards
            or any(one.what != "retracted" for one in self.revisions)
            or self.complete
        )
