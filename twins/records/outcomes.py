"""What a step over a record gives back: estimates, scores, alarm transitions, and what became of each reading.

Times and columns are as in ``twins.records.inputs``.
"""

from enum import IntEnum
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from twins.records.inputs import SetLimits, SetWard
from twins.records.profile import Profile, Stay

__all__ = ["HORIZONS_MIN", "QUANTILES", "Estimates", "Outcome", "Revision", "Score", "Status", "Transition"]

HORIZONS_MIN: tuple[int, ...] = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""Forecast horizons, minutes after the effective time of the newest measurement."""

QUANTILES: tuple[float, ...] = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Forecast quantiles, in the order of the last axis of ``twins.models.channel.fan.fan``."""


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


class Estimates(msgspec.Struct, tag="estimates", kw_only=True):
    """The twins' belief, one row per (patient, signal) that changed; at most once a second and patient.

    ``value`` is the newest plausible reading as observed and ``time`` its effective time, ``mean``/``sd`` the posterior,
    ``trend`` per second, ``quality`` 0–1 (0 while the newest reading is implausible), ``status`` the channel's state (0 ok,
    1 searching, 2 fault, 3 silent), ``belief`` float32 of shape (rows, …): what the forecasts follow from, see
    ``twins.models.channel.fan``. ``rejected`` and ``rejected_time`` are the newest reading where it is implausible, NaN and
    0 elsewhere; both are empty where no row has one.
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
