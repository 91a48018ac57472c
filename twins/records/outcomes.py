"""What a step over a record returns: estimates, scores, alarm transitions, and the status of each reading.

Times and columns are as in ``twins.records.inputs``.
"""

from enum import IntEnum
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from twins.records.escalation import Notice
from twins.records.inputs import SetLimits, Setting, SetWard
from twins.records.profile import Profile, Stay
from twins.records.rules import SetRules, SetZone

__all__ = [
    "HORIZONS_MIN",
    "QUANTILES",
    "Estimates",
    "JudgedChances",
    "ModelOutputs",
    "Outcome",
    "Revision",
    "Score",
    "Status",
    "Transition",
]

HORIZONS_MIN: tuple[int, ...] = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""Forecast horizons, minutes after the effective time of the newest measurement."""

QUANTILES: tuple[float, ...] = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Forecast quantiles, in the order of the last axis of ``twins.models.channel.fan.fan``."""


class Status(IntEnum):
    """What happened to one reading in the twin. A late reading is inserted in its place unless it is too old."""

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


class Estimates(msgspec.Struct, tag="estimates", kw_only=True):
    """The estimates of the twins, one row per (patient, signal) that changed; at most once a second for each patient.

    ``value`` is the newest plausible reading as observed, and ``time`` is its effective time. ``mean`` and ``sd`` are
    the posterior, ``trend`` is per second. ``quality`` is 0–1 (0 while the newest reading is implausible). ``status``
    is the state of the channel (0 ok, 1 searching, 2 fault, 3 silent). ``belief`` is float32 of shape (rows, …): the
    numbers that forecasts are computed from, see ``twins.models.channel.fan``; so is ``recent`` (rows, 2),
    which is empty in the outcomes of earlier versions. ``rejected`` and ``rejected_time`` are
    the newest reading if it is implausible, else NaN and 0. Both are empty if no row has such a reading.
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
    recent: bytes = b""

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
        # An earlier version did not know these: errors are as usual, and changes last as they do in others.
        recent = np.frombuffer(self.recent or np.array([[1.0, 0.0]] * count, "<f4").tobytes(), "<f4").reshape(count, 2)
        views["belief"] = np.hstack([np.frombuffer(self.belief, "<f4").reshape(count, -1), recent])
        views["rejected"] = np.frombuffer(self.rejected, "<f8") if self.rejected else np.full(count, np.nan)
        views["rejected_time"] = (
            np.frombuffer(self.rejected_time, "<i8") if self.rejected_time else np.zeros(count, np.int64)
        )
        return views

    def followed_by(self, other: "Estimates") -> "Estimates":
        """The rows of both; where both have a row of a channel, the ``other`` one."""
        own, new = self.rows, other.rows
        fresh = {
            (other.patients[who], code) for who, code in zip(*(new[name].tolist() for name in _CHANNEL), strict=True)
        }
        channels = zip(*(own[name].tolist() for name in _CHANNEL), strict=True)
        keep = [place for place, (who, code) in enumerate(channels) if (self.patients[who], code) not in fresh]
        new["patient"] = new["patient"] + np.uint32(len(self.patients))
        for rows in (own, new):  # the last two columns of the view are columns of their own in the record
            rows["belief"], rows["recent"] = np.hsplit(rows["belief"], [-2])
        if not (self.rejected or other.rejected):
            del own["rejected"], own["rejected_time"]
        columns: dict[str, Any] = {name: np.concatenate([own[name][keep], new[name]]).tobytes() for name in own}
        return Estimates(emitted=other.emitted, patients=self.patients + other.patients, **columns)


_CHANNEL = ("patient", "signal")


class ModelOutputs(msgspec.Struct, kw_only=True):
    """What one of a site's models reports about ``patients`` at log time ``emitted``; replaces its earlier report.

    One row per patient, or per channel, that has a report: ``patient`` is the index in ``patients``, ``signal`` the channel's
    code (empty at patient level), ``time`` the effective time of the newest input behind the row. ``mean`` and ``sd`` have
    the shape (rows, quantities); NaN as in ``twins.models.registry.Outputs``. ``quantities`` are (name, unit).
    """

    model: str
    version: int
    level: Literal["channel", "patient"]
    emitted: int
    quantities: list[tuple[str, str]]
    patients: list[str]
    patient: bytes
    signal: bytes = b""
    time: bytes
    mean: bytes
    sd: bytes

    @property
    def rows(self) -> dict[str, npt.NDArray[Any]]:
        """The columns as read-only numpy views, by name."""
        shape = (-1, len(self.quantities))
        return {
            "patient": np.frombuffer(self.patient, "<u4"),
            "signal": np.frombuffer(self.signal, "<u2"),
            "time": np.frombuffer(self.time, "<i8"),
            "mean": np.frombuffer(self.mean, "<f8").reshape(shape),
            "sd": np.frombuffer(self.sd, "<f8").reshape(shape),
        }


class JudgedChances(msgspec.Struct, kw_only=True):
    """Statements of a chance that were judged: how likely a reading beyond a limit was called, and whether it came.

    One row per statement. ``patient`` is the index in ``patients``, whose wards are ``wards``. ``signal`` is the code,
    ``side`` 0 for a low limit and 1 for a high one. ``kind`` is 0 for "a reading beyond the limit within 30 min", 1 for
    "the next reading is beyond the limit". ``made`` and ``judged`` are effective times (µs), ``stated`` is the chance
    0–1, and ``came`` is 1 if it came true, else 0.
    """

    patients: list[str]
    wards: list[str]
    patient: bytes
    signal: bytes
    side: bytes
    kind: bytes
    made: bytes
    judged: bytes
    stated: bytes
    came: bytes

    @property
    def rows(self) -> dict[str, npt.NDArray[Any]]:
        """The columns as read-only numpy views, by name."""
        return {name: np.frombuffer(getattr(self, name), dtype) for name, dtype in _JUDGED.items()}

    def followed_by(self, other: "JudgedChances") -> "JudgedChances":
        """The rows of both, first these."""
        columns = {name: getattr(self, name) + getattr(other, name) for name in _JUDGED}
        columns["patient"] = self.patient + (other.rows["patient"] + np.uint32(len(self.patients))).tobytes()
        return JudgedChances(patients=self.patients + other.patients, wards=self.wards + other.wards, **columns)


_JUDGED = {
    "patient": "<u4", "signal": "<u2", "side": "u1", "kind": "u1", "made": "<i8", "judged": "<i8", "stated": "<f4",
    "came": "u1",
}  # fmt: skip


class Score(msgspec.Struct, kw_only=True):
    """A patient's NEWS2 as known at ``time``: points by parameter, and missing or stale inputs (never counted as 0).

    ``measured`` is the time of the newest vital sign that counts, 0 if there is none. The score is ``old`` when all
    vital signs that count are stale, and ``void`` when none counts any more. A ``void`` total has no meaning. ``rise``
    is by how much the total is above the lowest one of the last two hours, of the same inputs; ``None``: there was none.
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
    rise: int | None = None


class Revision(msgspec.Struct, tag="revision", kw_only=True):
    """What happened to a reading after it was sent: ``corrected`` to ``value``, ``retracted``, or ``not_taken``.

    ``not_taken``: a reading of another source stands at ``time`` (µs), and ``by``, who sent the revision at
    ``received``, may not correct it. The earlier value is in the history.
    """

    patient: str
    signal: str
    time: int
    what: Literal["corrected", "retracted", "not_taken"]
    value: float | None = None
    by: str = ""
    received: int = 0


class Transition(msgspec.Struct, tag="transition", kw_only=True):
    """One change of one alarm condition: ``alarm`` is the id of the episode, ``id`` that of this change.

    ``number`` counts the changes of the episode from 1 and orders them; their times never go back. ``standing`` says
    whether the condition itself is true. ``ended`` is when it last became false (0: never). ``value`` is the newest
    value at the time of the change, ``onset_value`` the value at the start of the episode, and ``extreme`` the worst
    value so far. ``past`` marks an episode that was already over when its readings arrived: it alarmed nobody.

    ``event`` is what caused the change (see ``twins.alarms.table``); empty in what earlier versions wrote. ``family`` is
    what the conditions of this alarm have in common; ``condition`` is the highest that is true. ``known`` is false while
    nothing measures the condition. ``count`` is how often it became true in the episode. ``under`` is the id of the alarm
    of the same cause under which this one is shown; it does not sound. ``signals`` has the state of the signals
    ``visible``, ``audible`` and ``remote``. ``responder`` said: I take it. ``step`` is how far the alarm was escalated,
    ``escalates_at`` when the next step is due, which calls ``escalates_to``; ``called`` were called at ``called_at``.
    ``reminds_at`` is when an acknowledged alarm sounds again if it is still
    true. ``text`` is the text of a site's rule by language. Times are µs, 0 means none.
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
    event: str = ""
    family: str = ""
    known: bool = True
    count: int = 1
    under: str = ""
    signals: dict[str, str] = {}
    audio_paused_until: int = 0
    paused_until: int = 0
    reminds_at: int = 0
    responder: str = ""
    step: int = 0
    escalates_at: int = 0
    escalates_to: list[str] = []
    called: list[str] = []
    called_at: int = 0
    text: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Fill in what older versions did not write: ``number`` from ``id``, ``standing`` from ``presence``."""
        if not self.number:
            tail = self.id.rpartition("-")[2]
            self.number = int(tail) if tail.isdecimal() and tail.isascii() else 0
            self.standing = self.standing and self.presence in {"on", "acknowledged"}


class Outcome(msgspec.Struct, tag="outcome", kw_only=True):
    """What one record changed: estimates, scores, profiles, alarms, limits of wards, and a status for each reading.

    ``stays`` lists stays that began or ended, and ``revisions`` what happened to readings; both are for the history.
    ``status`` has one ``Status`` per reading of the frame, or that of a retraction. ``complete`` marks the whole state
    of a partition. It is sent once, when the partition starts to be served. ``outputs`` has the outputs of the site's
    own models; it is absent if there are none. ``chances`` has the statements that this record judged, for the history
    alone; it is absent if there are none. ``rules`` are the site's rules, if they were set, and ``zones`` time zones of wards.
    ``settings`` are what else a site has set that belongs to no patient. ``notices`` are new notices of escalated alarms, and
    cancelled ones; a complete state has all that are pending.
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
    settings: list[Setting] = []
    notices: list[Notice] = []
    status: bytes = b""
    outputs: list[ModelOutputs] | UnsetType = UNSET
    chances: JudgedChances | UnsetType = UNSET
    rules: SetRules | UnsetType = UNSET
    zones: list[SetZone] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send to listeners."""
        return not (
            self.estimates
            or self.scores
            or self.profiles
            or self.transitions
            or self.ward_limits
            or self.wards
            or self.zones
            or self.rules is not UNSET
            or self.settings
            or self.notices
            or self.outputs is not UNSET
            or any(one.what != "retracted" for one in self.revisions)
            or self.complete
        )

    def followed_by(self, other: "Outcome") -> "Outcome":
        """One outcome for two records that have the same place in the log; ``status`` is that of all their readings."""
        return Outcome(
            partition=other.partition,
            offset=other.offset,
            time=other.time,
            complete=self.complete or other.complete,
            estimates=self.estimates.followed_by(other.estimates)
            if self.estimates and other.estimates
            else other.estimates or self.estimates,
            chances=self.chances.followed_by(other.chances)
            if self.chances and other.chances
            else other.chances or self.chances,
            outputs=other.outputs or self.outputs,
            rules=other.rules or self.rules,
            status=self.status + other.status,
            **{name: getattr(self, name) + getattr(other, name) for name in _LISTS},
        )


_LISTS = (
    "scores", "profiles", "transitions", "ward_limits", "stays", "wards", "revisions", "zones", "settings", "notices",
)  # fmt: skip
