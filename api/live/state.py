"""The live state: the present state of every admitted patient, computed from outcomes.

Only ``LiveState.apply`` changes it, so the same outcomes always give the same state. It costs little without readers:
estimates stay columns until a reader asks. Every change has the number of the revision that made it. So "what changed
since revision r" is a comparison, and each subscriber needs only one number.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
from msgspec import UNSET

from api.http.answers import milliseconds
from api.live.alarm import alarm_of
from api.live.model_table import ModelReport, entries_of, reports_by_patient
from api.live.news2 import news2_of
from api.live.protocol import STATES, PatientEntry, TurnedOff, encode
from api.live.protocol import Pause as ShownPause
from api.live.state_table import StateTable
from twins.records import Estimates, ModelOutputs, Notice, Outcome, Pause, Profile, Score, Transition
from twins.signals import SIGNALS

__all__ = ["Changes", "Estimate", "LiveState", "Moved"]

_ENDED = 1024
"""How many ended alarms stay in memory; older ones are in the history."""
_TOLD = ("time", "emitted", "value", "mean", "sd", "trend", "quality", "rejected", "rejected_time")
_RANK = {"high": 0, "medium": 1, "low": 2}


class Estimate(msgspec.Struct, frozen=True):
    """The twin's estimate of one signal: times in µs, ``trend`` per second, ``quantiles`` by horizon; may hold nan.

    ``rejected_time`` is 0 unless the newest reading, ``rejected``, is implausible.
    """

    signal: str
    time: int
    emitted: int
    value: float
    mean: float
    sd: float
    trend: float
    quality: float
    rejected: float
    rejected_time: int
    status: str
    quantiles: list[list[float]]


class Moved(msgspec.Struct, frozen=True):
    """A patient who left ``ward`` for another (``to``) or for good (``to`` is None)."""

    row: int
    patient: str
    ward: str
    to: str | None


class Changes(msgspec.Struct, kw_only=True):
    """The changes of an outcome: rows with changed entries, patients who moved or left, transitions and notices in order.

    ``complete``: a whole partition was replaced, so everything may have changed.
    """

    revision: int
    complete: bool = False
    rows: set[int] = msgspec.field(default_factory=set)
    moved: list[Moved] = []
    events: list[Transition] = []
    notices: list[Notice] = []


class _Followed:
    """One admitted patient, with the revision that last changed each part of the entry."""

    __slots__ = (
        "alarms", "alarms_at", "models", "models_at", "partition", "profile", "profile_at", "score", "score_at",
    )  # fmt: skip

    def __init__(self, profile: Profile, partition: int) -> None:
        self.profile = profile
        self.partition = partition
        self.score: Score | None = None
        self.alarms: dict[str, Transition] = {}
        self.models: dict[str, list[ModelReport]] = {}
        """By the name of a site's model what it tells now."""
        self.profile_at = self.score_at = self.alarms_at = self.models_at = 0


class LiveState:
    """All admitted patients; a patient has a row number during the stay."""

    def __init__(self) -> None:
        self.revision = 0
        self._row: dict[str, int] = {}
        self._followed: list[_Followed | None] = []
        self._free: list[int] = []
        self._cells = StateTable()
        self._wholes: dict[tuple[int, bool], tuple[int, msgspec.Raw]] = {}
        self._alarms: dict[str, Transition] = {}
        self._notices: dict[str, tuple[int, Notice]] = {}
        """By id, the partition and the pending notice."""
        self._ended: OrderedDict[str, Transition] = OrderedDict()

    # -- changes -------------------------------------------------------------------------------------------------

    def apply(self, outcome: Outcome) -> Changes:
        """Apply one outcome; outcomes of a partition come in log order."""
        self.revision += 1
        changes = Changes(revision=self.revision, complete=outcome.complete)
        if outcome.complete:
            self._clear(outcome.partition)
        for profile in outcome.profiles:
            if profile.active:
                self._admit(profile, outcome.partition, changes)
        if outcome.estimates is not None:
            self._estimated(outcome.estimates, changes)
        if outcome.outputs is not UNSET:
            self._modelled(outcome.outputs, changes)
        for score in outcome.scores:
            self._scored(score, changes)
        for transition in outcome.transitions:
            self._alarmed(transition, changes)
        self._noticed(outcome, changes)
        for profile in outcome.profiles:
            if not profile.active:
                self._leave(profile.patient, changes)
        return changes

    def _clear(self, partition: int) -> None:
        self._notices = {name: held for name, held in self._notices.items() if held[0] != partition}
        for patient, row in list(self._row.items()):
            if self._at(row).partition == partition:
                self._forget(patient, row)

    def _admit(self, profile: Profile, partition: int, changes: Changes) -> None:
        row = self._row.get(profile.patient, -1)
        if row >= 0 and self._at(row).profile.admitted != profile.admitted:
            self._leave(profile.patient, changes)  # another stay, without a record that the one before ended
            row = -1
        if row < 0:
            row = self._free.pop() if self._free else len(self._followed)
            if row == len(self._followed):
                self._followed.append(None)
                self._cells.room(row + 1)
            self._row[profile.patient] = row
            followed = self._followed[row] = _Followed(profile, partition)
        else:
            followed = self._at(row)
            if followed.profile.ward != profile.ward:
                changes.moved.append(Moved(row, profile.patient, followed.profile.ward, profile.ward))
            followed.profile, followed.partition = profile, partition
        followed.profile_at = self.revision
        if profile.news2_off and followed.score is not None:
            followed.score, followed.score_at = None, self.revision
        changes.rows.add(row)

    def _estimated(self, estimates: Estimates, changes: Changes) -> None:
        find = self._row.get
        rows = [find(patient, -1) for patient in estimates.patients]
        self._cells.put(estimates, np.array(rows, np.int64), self.revision)
        changes.rows.update(rows)
        changes.rows.discard(-1)

    def _modelled(self, outputs: Iterable[ModelOutputs], changes: Changes) -> None:
        for columns in outputs:
            for patient, told in reports_by_patient(columns).items():
                row = self._row.get(patient, -1)
                if row >= 0 and (told or columns.model in self._at(row).models):
                    followed = self._at(row)
                    followed.models[columns.model] = told
                    followed.models_at = self.revision
                    changes.rows.add(row)

    def _scored(self, score: Score, changes: Changes) -> None:
        row = self._row.get(score.patient, -1)
        if row >= 0:
            followed = self._at(row)
            # A score without inputs (every reading was withdrawn) is no score.
            followed.score, followed.score_at = score if score.parts else None, self.revision
            changes.rows.add(row)

    def _alarmed(self, transition: Transition, changes: Changes) -> None:
        row = self._row.get(transition.patient, -1)
        if transition.presence == "off":
            self._alarms.pop(transition.alarm, None)
            self._end(transition)
        elif row >= 0:
            self._alarms[transition.alarm] = transition
        if row >= 0:
            followed = self._at(row)
            if transition.presence == "off":
                followed.alarms.pop(transition.alarm, None)
            else:
                followed.alarms[transition.alarm] = transition
            followed.alarms_at = self.revision
            changes.rows.add(row)
        if not changes.complete:
            changes.events.append(transition)

    def _noticed(self, outcome: Outcome, changes: Changes) -> None:
        for notice in outcome.notices:
            if notice.state == "pending":
                self._notices[notice.id] = (outcome.partition, notice)
            else:
                self._notices.pop(notice.id, None)
        if not outcome.complete:
            changes.notices = outcome.notices

    def _end(self, transition: Transition) -> None:
        self._ended[transition.alarm] = transition
        self._ended.move_to_end(transition.alarm)
        if len(self._ended) > _ENDED:
            self._ended.popitem(last=False)

    def _leave(self, patient: str, changes: Changes) -> None:
        row = self._row.get(patient, -1)
        if row >= 0:
            changes.moved.append(Moved(row, patient, self._at(row).profile.ward, None))
            changes.rows.discard(row)
            self._forget(patient, row)

    def _forget(self, patient: str, row: int) -> None:
        for alarm in self._at(row).alarms:
            self._alarms.pop(alarm, None)
        del self._row[patient]
        self._followed[row] = None
        self._cells.drop(row)
        for full in (False, True):
            self._wholes.pop((row, full), None)
        self._free.append(row)

    def _at(self, row: int) -> _Followed:
        followed = self._followed[row]
        if followed is None:
            raise LookupError(f"no patient in row {row}")
        return followed

    # -- reads for the doors -------------------------------------------------------------------------------------

    def patients(self, wards: Collection[str] | None = None) -> list[Profile]:
        """Admitted patients of these wards (``None``: all wards), by id."""
        return [self._at(row).profile for _, row in sorted(self._row.items()) if self._within(row, wards)]

    def wards(self) -> dict[str, int]:
        """How many patients are in each ward."""
        return Counter(self._at(row).profile.ward for row in self._row.values())

    def profile(self, patient: str) -> Profile | None:
        """The patient's profile; ``None`` if not admitted."""
        row = self._row.get(patient, -1)
        return self._at(row).profile if row >= 0 else None

    def score(self, patient: str) -> Score | None:
        """The newest NEWS2."""
        row = self._row.get(patient, -1)
        return self._at(row).score if row >= 0 else None

    def state(self, patient: str) -> list[Estimate] | None:
        """Every signal's newest estimate by signal code, if it has a reading; ``None`` if not admitted."""
        row = self._row.get(patient, -1)
        if row < 0:
            return None
        codes, cells, quantiles = self._cells.of(row)
        columns = [cells[name].tolist() for name in _TOLD]
        names = [SIGNALS[code].name for code in codes]
        states = [STATES[code] for code in cells["status"].tolist()]
        estimates = map(Estimate, names, *columns, states, quantiles.tolist())
        return [estimate for estimate in estimates if estimate.time > 0]

    def forecast(self, patient: str, signal: str = "") -> list[Estimate]:
        """The estimates with a forecast, of one signal or of all."""
        return [
            estimate
            for estimate in self.state(patient) or ()
            if (not signal or estimate.signal == signal) and np.isfinite(estimate.quantiles).all()
        ]

    def models(self, patient: str) -> list[ModelReport]:
        """What a site's models tell of the patient, by the names of models and signals."""
        row = self._row.get(patient, -1)
        models = self._at(row).models if row >= 0 else {}
        return [told for name in sorted(models) for told in models[name]]

    def alarm(self, alarm: str) -> Transition | None:
        """The newest transition of this episode: active or recently ended."""
        return self._alarms.get(alarm) or self._ended.get(alarm)

    def active_alarms(self, wards: Collection[str] | None = None, patient: str = "") -> list[Transition]:
        """Alarms that are not off, most urgent first, then newest onset."""
        if patient:
            row = self._row.get(patient, -1)
            found: Iterable[Transition] = self._at(row).alarms.values() if row >= 0 else ()
        else:
            found = self._alarms.values()
        here = [one for one in found if self._within(self._row[one.patient], wards)]
        return sorted(here, key=lambda one: (_RANK.get(one.priority, 3), -one.onset, one.alarm))

    def pending_notices(self) -> list[Notice]:
        """Notices that are due and not cancelled, the oldest first."""
        return sorted((notice for _, notice in self._notices.values()), key=lambda one: (one.due, one.id))

    def entry(self, patient: str, *, full: bool = False) -> PatientEntry | None:
        """The patient's entry on a channel; ``full`` with all forecast quantiles. ``None`` if not admitted."""
        row = self._row.get(patient, -1)
        return self.parts([row], {}, full=full)[patient] if row >= 0 else None

    # -- reads for the hub ---------------------------------------------------------------------------------------

    def of_this_stay(self, transition: Transition) -> bool:
        """Whether an alarm belongs to the present stay of its patient; false if the patient is not admitted."""
        profile = self.profile(transition.patient)
        return profile is not None and transition.onset >= profile.begin

    def row(self, patient: str) -> int:
        """The patient's row, -1 if not admitted."""
        return self._row.get(patient, -1)

    def rows(self, wards: Collection[str] | None = None) -> list[int]:
        """The rows of these wards, or all."""
        return [row for row in self._row.values() if self._within(row, wards)]

    def ward_of(self, row: int) -> str:
        """The ward of the patient in this row."""
        return self._at(row).profile.ward

    def by_ward(self, rows: Iterable[int]) -> dict[str, list[int]]:
        """These rows by ward."""
        sorted_out: dict[str, list[int]] = {}
        followed = self._followed
        for row in rows:
            one = followed[row]
            if one is not None:
                sorted_out.setdefault(one.profile.ward, []).append(row)
        return sorted_out

    def parts(self, rows: Sequence[int], since: Mapping[int, int], *, full: bool) -> dict[str, PatientEntry]:
        """Entries with what changed after each row's revision in ``since``; a row without a revision gets a complete entry."""
        floors = [since.get(row, 0) for row in rows]
        signals = self._cells.states(rows, floors, full=full)
        parts: dict[str, PatientEntry] = {}
        for row, floor, states in zip(rows, floors, signals, strict=True):
            followed = self._at(row)
            entry = parts[followed.profile.patient] = PatientEntry()
            if states or not floor:
                entry.signals = states
            if followed.profile_at > floor:
                _describe(entry, followed.profile)
            if followed.score_at > floor or not floor:
                entry.news2 = news2_of(followed.score, milliseconds) if followed.score else None
            if followed.alarms_at > floor or not floor:
                entry.alarms = [alarm_of(alarm, milliseconds) for alarm in followed.alarms.values()]
            if full and followed.models_at > floor:
                entry.models = entries_of(self.models(followed.profile.patient))
        return parts

    def wholes(self, rows: Sequence[int], *, full: bool) -> dict[str, PatientEntry]:
        """Complete entries, ready for the wire. Only changed entries are made again.

        So repeated snapshots of a large ward cost only as much as has changed in between.
        """
        held, stale = self._wholes, []
        for row, newest in zip(rows, self._cells.newest(rows), strict=True):
            one = self._at(row)
            changed = max(newest, one.profile_at, one.score_at, one.alarms_at, one.models_at)
            if held.get((row, full), (-1,))[0] < changed:
                stale.append(row)
        for row, entry in zip(stale, self.parts(stale, {}, full=full).values(), strict=True):
            held[row, full] = (self.revision, msgspec.Raw(encode(entry)))
        # The encoded bytes are used in place of the entry.
        return cast("dict[str, PatientEntry]", {self._at(row).profile.patient: held[row, full][1] for row in rows})

    def _within(self, row: int, wards: Collection[str] | None) -> bool:
        return wards is None or self._at(row).profile.ward in wards


def _describe(entry: PatientEntry, profile: Profile) -> None:
    entry.label = profile.label
    entry.ward = profile.ward
    entry.bed = profile.bed
    entry.admitted = profile.admitted // 1000
    entry.oxygen = profile.oxygen
    entry.consciousness = profile.consciousness
    entry.measured = {name: (fact.value, fact.time // 1000) for name, fact in profile.measured.items()}
    entry.spo2_scale = profile.spo2_scale
    entry.alarms_off = {
        name: TurnedOff(off.until // 1000, off.by, off.reason) for name, off in profile.alarms_off.items()
    }
    entry.audio_pause = _pause(profile.audio_pause)
    entry.alarm_pause = _pause(profile.alarm_pause)
    entry.age = profile.age
    entry.news2_off = profile.news2_off  # type: ignore[assignment] # the record's words are these
    entry.adult_limits = profile.adult_limits


def _pause(pause: Pause | None) -> ShownPause | None:
    if pause is None:
        return None
    return ShownPause(pause.since // 1000, pause.until // 1000, pause.by, pause.reason, pause.scope)
