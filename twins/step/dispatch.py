"""The one function that moves the twins: ``step(bank, record, offset) -> Outcome``.

It reads no clock and does no I/O, so the same records always give the same state, estimates and alarms, bit for bit.
Log time is the record's ``received``; within a partition it goes back only at a tick that says so.
"""

from collections.abc import Iterable
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from twins.alarms import explain, lifecycle, limits, past
from twins.alarms import off as alarms_off
from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS, Condition, priority_of
from twins.alarms.limit_settings import limits_given, set_by
from twins.arrays import I8
from twins.bank import layout
from twins.bank.bank import BLOCK, Bank
from twins.bank.set_back import set_back
from twins.models.channel import agreement
from twins.models.deterioration import eligibility, facts
from twins.models.deterioration import model as deterioration
from twins.models.deterioration import scoring as kernel
from twins.records import (
    Acknowledge,
    Admit,
    Columns,
    Command,
    Discharge,
    Fact,
    Frame,
    Move,
    Outcome,
    Record,
    Retract,
    SetAlarmOff,
    SetLimits,
    SetProfile,
    SetWard,
    Status,
    Tick,
    Transition,
)  # fmt: skip
from twins.signals import BY_NAME, FILTERED, SIGNALS
from twins.step import arrival, emission, retraction, walk
from twins.step.estimates import complete, estimates_of, profile_of
from twins.step.ownership import foreign, may_retract, revision, revision_of, sources_of
from twins.step.stays import began, begin_stay, charted_before, end_stay, of_this_stay, stay_of

__all__ = ["step"]


_FILTERED = FILTERED.astype(np.uint8)
_NONE: I8 = np.empty(0, np.int64)

_LATE_TICK_US = 5_000_000


class _Look(NamedTuple):
    """A frame's readings as they are filed and as far as they are of the stay (nobody's: not), and what else was seen."""

    columns: Columns
    of_stay: Columns
    early: npt.NDArray[np.bool_] | None
    """Which are from before the stay, if any may be."""
    others: I8
    """The places of readings at moments that are another source's."""
    unusual: bool


class _Step:
    """What one record has brought about so far."""

    def __init__(self, bank: Bank, now: int, offset: int) -> None:
        self.bank = bank
        self.now = now
        self.outcome = Outcome(partition=bank.partition, offset=offset, time=now)
        self.events = bank.events
        self.counts = np.zeros(1, np.int64)
        self.urgent: set[int] = set()
        self.noted = False
        self.wrong: dict[tuple[int, int], str] = {}
        """Patient and signal of readings that turned out to be wrong, and what became of them."""

    # -- alarms -------------------------------------------------------------------------------------------------

    def raised(self) -> None:
        """Carry the events a kernel has just written into the alarms."""
        bank = self.bank
        if not self.counts[0]:
            return
        self.noted = True
        for event in self.events[: int(self.counts[0])]:
            row = int(event[layout.E_ROW])
            number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
            which = int(event[layout.E_CONDITION])
            condition = CHANNEL_CONDITIONS[which]
            time = int(event[layout.E_TIME])
            value = float(event[layout.E_VALUE])
            limit = float(event[layout.E_LIMIT]) if condition.side else None
            if event[layout.E_BEGIN] == layout.ENDS:
                self.end(number, condition.name, code, time, value)
            elif event[layout.E_BEGIN] == layout.WORSENS:
                self.worsen(number, condition, code, time, value, limit, explain.of_event(bank, event))
            else:
                self.begin(
                    number,
                    condition,
                    code,
                    time,
                    priority_of(which, code, value),
                    value,
                    limit,
                    explain.of_event(bank, event),
                )

    def begin(  # noqa: PLR0917 - everything an alarm is
        self, number: int, condition: Condition, code: int, time: int, priority: str, value: float | None,
        limit: float | None, explanation: dict[str, Any],
    ) -> None:  # fmt: skip
        """A condition became true; one that is latched comes back on within its episode."""
        profile = self.bank.profile(number)
        signal = SIGNALS[code].name if code >= 0 else ""
        key = (number, condition.name, code)
        alarm = self.bank.alarms.get(key)
        if alarm is None:
            alarm = lifecycle.Alarm(
                id=lifecycle.episode(profile.patient, condition.name, signal, time),
                patient=profile.patient, condition=condition.name, signal=signal, kind=condition.kind, priority=priority,
                presence="on", onset=time, time=time, latches=condition.latches,
            )  # fmt: skip
            self.bank.alarms[key] = alarm
        lifecycle.meet(alarm, value if value is None or np.isfinite(value) else None, falling=condition.side == "low")
        alarm.limit = limit
        alarm.explanation = explanation
        self.tell(number, lifecycle.begin(alarm, profile.ward, time))

    def worsen(  # noqa: PLR0917 - what is new of an alarm
        self, number: int, condition: Condition, code: int, time: int, value: float, limit: float | None,
        explanation: dict[str, Any],
    ) -> None:  # fmt: skip
        """A condition that is true has become clearly worse: its alarm says so, and is heard again if it was acknowledged."""
        alarm = self.bank.alarms.get((number, condition.name, code))
        if alarm is None or not alarm.standing:
            return
        lifecycle.meet(alarm, value, falling=condition.side == "low")
        alarm.limit = limit
        alarm.explanation = explanation
        self.tell(number, lifecycle.worsen(alarm, self.bank.profile(number).ward, time))

    def end(self, number: int, condition: str, code: int, time: int, value: float | None = None) -> None:
        """A condition is no longer true."""
        key = (number, condition, code)
        alarm = self.bank.alarms.get(key)
        if alarm is None:
            return
        reason = self.wrong.get((number, code))
        if reason and not (alarm.latches and retraction.stands(self.bank, self.row(key), alarm)):
            self.withdraw(key, reason)
            return
        self.tell(number, lifecycle.end(alarm, self.bank.profile(number).ward, time, value))
        if alarm.presence == "off":
            del self.bank.alarms[key]

    def row(self, key: tuple[int, str, int]) -> int:
        """The channel of an alarm."""
        return int(self.bank.slot[key[0], key[2]])

    def withdraw(self, key: tuple[int, str, int], reason: str) -> None:
        """What an alarm rested on was wrong."""
        alarm = self.bank.alarms.pop(key)
        self.tell(key[0], lifecycle.withdraw(alarm, self.bank.profile(key[0]).ward, self.now, reason))
        which = next((at for at, held in enumerate(CHANNEL_CONDITIONS) if held.name == key[1]), -1)
        if 0 <= which < layout.CONDITIONS:
            self.bank.phase[self.row(key), which] = layout.IDLE

    def mend(self, row: int, reason: str) -> None:
        """Readings of a channel were corrected or taken back: it is judged as if they had never been."""
        bank = self.bank
        number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
        self.wrong[number, code] = reason
        bank.watch[row, layout.PREDICTED] = 0.0
        bank.watch[row, layout.DIRTY] = 1.0
        self.urgent.add(number)
        if retraction.empty(bank, row):
            column = deterioration.column_of(code)
            if column >= 0:
                bank.known_parts[number, column] = -1
        else:
            self.counts[0] = limits.anew(
                row, float(self.now), layout.PARAMETERS[code], bank.state[row], bank.watch[row], bank.ring[row],
                bank.limit[row], bank.judged, bank.mark[row], bank.phase[row], bank.since[row], self.events, 0,
            )  # fmt: skip
            self.raised()
        for key in retraction.unsupported(bank, row):
            self.withdraw(key, reason)

    def rescored(self) -> None:
        """Let alarms of scores go that rested on readings that turned out to be wrong."""
        for (number, code), reason in self.wrong.items():
            for over in retraction.scores_over(self.bank, number, code):
                if over.never:
                    self.withdraw(over.key, reason)
                else:
                    self.end(*over.key, self.now)

    def tell(self, number: int, transition: Transition | None) -> None:
        """Add a transition to the outcome; its patient's estimates go out with it."""
        if transition is not None:
            transition.emitted = self.now
            self.outcome.transitions.append(transition)
            self.urgent.add(number)

    # -- emission -----------------------------------------------------------------------------------------------

    def emit(self, numbers: I8) -> None:
        """Predictions, scores and estimates of the patients that are due."""
        bank = self.bank
        if not len(numbers):
            return
        rows = walk.due_rows(numbers, bank.slot, bank.watch)
        self.noted = False
        at = 0
        while at < len(rows):
            at = walk.predictions(
                at, rows, self.now, bank.signal_of_row, bank.state, bank.judged, bank.stretch, bank.watch, bank.ring,
                bank.limit, bank.phase, bank.since, layout.PARAMETERS, bank.scratch, self.events, self.counts,
            )  # fmt: skip
            self.raised()
        self.compare(numbers)
        self.score(numbers)
        if self.wrong:
            self.rescored()
        if self.noted:
            # Events mark their rows dirty again; they go out here, so they are clean.
            bank.watch[rows, layout.DIRTY] = 0.0
        bank.emitted[numbers] = self.now
        bank.pending[numbers] = 0
        if len(rows):
            self.outcome.estimates = estimates_of(bank, rows, self.now)

    def compare(self, numbers: I8) -> None:
        """Where two sources of one quantity stand against each other."""
        bank = self.bank
        at = 0
        while at < len(numbers):
            at = agreement.compare(
                at, numbers, self.now, bank.slot, bank.state, bank.watch, bank.ring, bank.phase, layout.PARAMETERS,
                bank.agreement, self.events, self.counts,
            )  # fmt: skip
            self.raised()

    def score(self, numbers: I8) -> None:
        """NEWS2 of ``numbers`` and what it alarms; those not to be scored are left out."""
        off = self.bank.unscored[numbers]
        if np.count_nonzero(off):
            numbers = numbers[off == 0]
        scores, events = deterioration.evaluate(self.bank, numbers, self.now)
        self.outcome.scores.extend(scores)
        for number, which, turn, score in events:
            condition, total = SCORE_CONDITIONS[which], float(score.total)
            if turn == kernel.ENDS:
                self.end(number, condition.name, -1, self.now, total)
                continue
            limit, why = (7.0, 5.0, None)[which], explain.of_score(score)
            if turn == kernel.WORSENS:
                self.worsen(number, condition, -1, self.now, total, limit, why)
            else:
                self.begin(number, condition, -1, self.now, condition.priority, total, limit, why)

    # -- records ------------------------------------------------------------------------------------------------

    def frame(self, frame: Frame) -> None:
        """Walk a frame's readings in arrival order."""
        bank = self.bank
        columns = frame.columns
        find = bank.index.get
        numbers = np.fromiter(map(find, columns.patients or [""], repeat(-1)), np.int64)
        bank.filed = columns
        look = _Look(columns, columns, None, _NONE, False)
        if not walk.usual(
            columns.patient, columns.signal, columns.time, *arrival.usual(frame.received), numbers, bank.active, bank.live,
            bank.begin, bank.slot, _FILTERED, *sources_of(frame), bank.writer,
        ) or bank.others:  # fmt: skip
            look = self.look(frame, numbers)
            columns = bank.filed = look.columns
        patient, others = look.of_stay.patient, look.others
        if len(others):
            patient = patient.copy()
            patient[others] = len(numbers)
            patient.flags.writeable = False
        status = np.zeros(len(columns), np.uint8)
        touched = np.zeros(len(bank.active), np.uint8)
        at = 0
        while at < len(columns):
            at = walk.frame(
                at, patient, columns.signal, columns.time, columns.value, frame.received, numbers, bank.slot,
                bank.state, bank.watch, bank.ring, bank.kept, bank.limit, bank.judged, bank.mark, bank.shown, bank.phase,
                bank.since, bank.due,
                bank.foretold, bank.stretch, bank.tried, layout.PARAMETERS, status, touched, self.events, self.counts,
            )  # fmt: skip
            self.raised()
        if look.early is not None:
            status[look.early] = Status.BEFORE_STAY
        if len(others):
            status[others] = Status.FOREIGN
            self.heed(columns, numbers, others, frame.received)
        # Which statuses there are at all is asked of the bytes: that takes no time where there are none.
        told = self.outcome.status = status.tobytes()
        self.site_models(columns, numbers, status)
        if Status.CORRECTED in told or Status.FOREIGN in told:
            self.revise(frame, columns, numbers, status)
        if look.unusual:
            self.clocks(arrival.noticed(bank, frame, numbers, look.of_stay))
            past.gather(bank, columns, numbers, status, frame.received)
        if Status.UNFILTERED in told:
            self.measured(look.of_stay, numbers, touched)
        (moved,) = touched.view(np.bool_).nonzero()
        bank.dirty.update((moved // BLOCK).tolist())
        self.emit(emission.due(bank, moved, self.urgent, self.now))

    def look(self, frame: Frame, numbers: I8) -> "_Look":
        """What a frame's times, stays and sources make of it; opens the channels that are missing."""
        bank = self.bank
        columns = frame.columns
        unusual = arrival.unusual(columns, frame.received)
        if unusual:
            columns = arrival.frame_in_time(bank, frame, columns)
        patient, early = of_this_stay(bank, columns, numbers)
        for place in walk.missing(patient, columns.signal, numbers, bank.slot, _FILTERED).tolist():
            bank.open_channel(int(numbers[columns.patient[place]]), int(columns.signal[place]))
        of_stay = Columns(columns.patients, patient, columns.signal, columns.time, columns.value)
        return _Look(columns, of_stay, early, foreign(bank, frame, of_stay, numbers), unusual)

    def revise(self, frame: Frame, columns: Columns, numbers: I8, status: npt.NDArray[np.uint8]) -> None:
        """Judge channels anew whose readings were corrected, and tell what was or would have been."""
        bank = self.bank
        for place in (status == Status.CORRECTED).nonzero()[0].tolist():
            row = int(bank.slot[numbers[columns.patient[place]], columns.signal[place]])
            retraction.note(bank, row, int(columns.time[place]), within=True)
            self.wrong[int(bank.patient_of_row[row]), int(bank.signal_of_row[row])] = "corrected"
        for place in np.isin(status, (Status.CORRECTED, Status.FOREIGN)).nonzero()[0].tolist():
            self.outcome.revisions.append(revision(frame, columns, place, int(status[place])))
        for number, code in list(self.wrong):
            self.mend(int(bank.slot[number, code]), "corrected")

    def measured(self, columns: Columns, numbers: I8, touched: npt.NDArray[np.uint8]) -> None:
        """Take what devices tell of oxygen and consciousness; whose profile changes is touched."""
        for number in facts.take(self.bank, columns, columns.patient, numbers):
            self.changed(number)
            touched[number] = 1

    def heed(self, columns: Columns, numbers: I8, others: I8, received: int) -> None:
        """Let the limits see readings of now that are not taken, as another source's stand at their moments."""
        bank = self.bank
        rows = arrival.rows_of(bank, columns, numbers)[others]
        fresh = (rows >= 0) & (received - columns.time[others] - bank.judged[rows, layout.LAG] <= layout.FRESH_US)
        for row, place in zip(rows[fresh].tolist(), others[fresh].tolist(), strict=True):
            self.counts[0] = limits.after_late(
                row, float(columns.time[place]), float(received), float(columns.value[place]),
                layout.PARAMETERS[columns.signal[place]], bank.state[row], bank.watch[row], bank.ring[row], bank.limit[row],
                bank.judged, bank.mark[row], bank.phase[row], bank.since[row], self.events, 0,
            )  # fmt: skip
            self.raised()

    def record(self, episodes: Iterable[tuple[int, Transition]]) -> None:
        """Add what was over before anybody could hear of it."""
        for number, transition in episodes:
            if self.bank.live[number]:
                transition.emitted = self.now
                self.outcome.transitions.append(transition)

    def clocks(self, turned: Iterable[arrival.Turned]) -> None:
        """Carry what has been noticed of senders' clocks into the alarms."""
        condition = CHANNEL_CONDITIONS[layout.CLOCK]
        for clock in turned:
            if clock.apart:
                explanation = explain.of_clock(clock.apart)
                self.begin(
                    clock.number, condition, clock.code, self.now, condition.priority, None, None, explanation
                )  # fmt: skip
            else:
                self.end(clock.number, condition.name, clock.code, self.now)

    def site_models(self, columns: Columns, numbers: I8, status: npt.NDArray[np.uint8]) -> None:
        """Hand what the channel twin took to the site's own models."""
        bank = self.bank
        if not bank.models:
            return
        taken = np.flatnonzero((status == Status.ACCEPTED) | (status == Status.REACQUIRED))
        signal = columns.signal[taken]
        rows = bank.slot[numbers[columns.patient[taken]], signal].astype(np.int64)
        for model in bank.models:
            model.update(bank.model_state[model.name], rows, signal, columns.time[taken], columns.value[taken])

    def _taking(self, number: int) -> int:
        bank = self.bank
        return number if number >= 0 and bank.active[number] and bank.live[number] else -1

    def tick(self, tick: Tick) -> None:
        """Silence, delays, scores growing old, and what waited for its second."""
        bank = self.bank
        if tick.received < self.now - _LATE_TICK_US:
            return  # held up on its way to the log, as readings may be: one that tells the time comes soon
        if tick.unheard > 0:
            self.excuse(tick.unheard)
        for number in alarms_off.over(bank, self.now):
            self.relimit([number])
            self.changed(number)
        live = bank.live * bank.active
        at = 0
        while at < bank.rows:
            at = walk.tick(
                at, bank.rows, self.now, bank.patient_of_row, bank.signal_of_row, live, layout.PARAMETERS, bank.state,
                bank.watch, bank.ring, bank.limit, bank.judged, bank.mark, bank.phase, bank.since, self.events, self.counts,
            )  # fmt: skip
            self.raised()
        self.clocks(arrival.settled(bank, self.now))
        if bank.unsettled:
            self.record(past.settled(bank, self.now))
        if self.now // eligibility.DAY_US != bank.day:
            self.birthdays()
        numbers = emission.due_by_time(bank, live, self.urgent, self.now)
        bank.dirty.update((numbers // BLOCK).tolist())
        self.emit(numbers)

    def excuse(self, unheard: int) -> None:
        """Nothing could be heard for ``unheard`` µs: it is as if every channel had been heard so much later."""
        bank = self.bank
        rows = np.flatnonzero(bank.watch[: bank.rows, layout.RECEIVED] > 0.0)
        rows = rows[bank.live[bank.patient_of_row[rows]] > 0]
        bank.watch[rows, layout.RECEIVED] = np.minimum(bank.watch[rows, layout.RECEIVED] + unheard, self.now)
        bank.dirty.update((bank.patient_of_row[rows] // BLOCK).tolist())

    def fact(self, fact: Fact) -> None:
        """Chart a fact; oxygen and consciousness count for NEWS2 from then on."""
        bank = self.bank
        fact = arrival.fact_in_time(fact, self.now)
        bank.filed = fact
        number = self._taking(bank.index.get(fact.patient, -1))
        if number < 0:
            return
        if charted_before(bank, number, fact):
            bank.filed = None
            self.outcome.status = bytes([Status.DUPLICATE])
            return
        bank.touch(number)
        if fact.time < bank.begin[number]:
            return
        if not facts.chart(bank, number, fact):
            return
        self.changed(number)
        self.emit(np.array([number]))

    def retract(self, command: Retract) -> None:
        """Take a reading back, as far as the twin's memory of readings reaches."""
        number = self._taking(self.bank.index.get(command.patient, -1))
        command = arrival.retraction_in_time(self.bank, command)
        self.bank.filed = command
        verdict = Status.UNKNOWN_PATIENT
        if number >= 0 and not may_retract(self.bank, number, command):
            verdict, self.bank.filed = Status.FOREIGN, None
        elif number >= 0 and command.time < self.bank.begin[number]:
            verdict = Status.BEFORE_STAY
        elif number >= 0:
            verdict = retraction.retract(self.bank, number, command)
        if number >= 0:
            self.outcome.revisions.append(revision_of(command, verdict))
        self.outcome.status = bytes([verdict])
        if number >= 0 and command.signal in BY_NAME:
            past.forget(self.bank, number, BY_NAME[command.signal].code, command.time)
            if facts.forget(self.bank, number, BY_NAME[command.signal].code, command.time):
                self.changed(number)
                self.emit(np.array([number]))
        if verdict == Status.RETRACTED:
            self.mend(int(self.bank.slot[number, BY_NAME[command.signal].code]), "taken_back")
            self.bank.touch(number)
            self.emit(np.array([number]))

    def command(self, command: Command) -> None:  # noqa: C901 - one branch a kind of command
        """Carry out a command of a person."""
        bank = self.bank
        if isinstance(command, Admit):
            self.admit(command)
            return
        if isinstance(command, SetLimits):
            self.set_limits(command)
            return
        if isinstance(command, SetWard):
            self.set_ward(command)
            return
        number = self._meant(command.patient, 0 if isinstance(command, Acknowledge | Retract) else command.stay)
        if number < 0:
            return
        if isinstance(command, Acknowledge):
            self.acknowledge(number, command)
            return
        if isinstance(command, SetAlarmOff):
            self.set_alarm_off(number, command)
            return
        profile = bank.profile(number)
        if isinstance(command, Move):
            profile.ward = profile.ward if command.ward is None else command.ward
            profile.bed = profile.bed if command.bed is None else command.bed
            profile.label = profile.label if command.label is None else command.label
        elif isinstance(command, SetProfile):
            eligibility.take(bank, number, command)
        elif isinstance(command, Discharge):
            self.discharge(number)
        self.relimit([number])
        self.eligible(number)
        self.changed(number)
        if profile.active:
            self.score(np.array([number]))

    def _meant(self, patient: str, stay: int) -> int:
        """The number of a patient who is here, in the stay that is meant if one is named; −1 otherwise."""
        number = self._taking(self.bank.index.get(patient, -1))
        return number if number >= 0 and stay in (0, self.bank.profile(number).admitted) else -1

    def admit(self, command: Admit) -> None:
        """Begin a stay; who is here already stays as they are, and is stated for whoever asked."""
        bank = self.bank
        number = bank.index.get(command.patient, -1)
        former = bank.profile(number) if number >= 0 else None
        if number < 0:
            number = bank.number(command.patient)
        elif bank.live[number] and (bank.active[number] or command.stranger):
            self.outcome.profiles.append(profile_of(bank, number))
            return
        if not bank.live[number]:
            return
        begin_stay(bank, number, began(command, former, self.now, self.outcome.offset))
        self.eligible(number)
        self.outcome.stays.append(stay_of(bank.profile(number)))
        self.changed(number)
        self.score(np.array([number]))

    def acknowledge(self, number: int, command: Acknowledge) -> None:
        """Acknowledge one alarm of one patient."""
        bank = self.bank
        for key, alarm in list(bank.alarms.items()):
            if key[0] == number and alarm.id == command.alarm:
                ward = bank.profile(number).ward
                if alarm.standing and alarm.presence == "on":
                    self.seen(number, alarm)
                self.tell(number, lifecycle.acknowledge(alarm, ward, self.now, command.by, command.note))
                if alarm.presence == "off":
                    del bank.alarms[key]
        bank.touch(number)

    def seen(self, number: int, alarm: lifecycle.Alarm) -> None:
        """Whoever acknowledges has seen the patient as now: what is worse than this is to be heard again."""
        bank = self.bank
        which = next((at for at, held in enumerate(CHANNEL_CONDITIONS) if held.name == alarm.condition), -1)
        if alarm.condition in {held.name for held in SCORE_CONDITIONS}:
            deterioration.note_told(bank, number)
            lifecycle.meet(alarm, float(bank.score_told[number, 0]), falling=False)
        elif 0 <= which < layout.LIMIT_CONDITIONS:
            code = BY_NAME[alarm.signal].code
            row = int(bank.slot[number, code])
            if row < 0:
                return
            reading = float(bank.state[row, layout.VALUE])
            low, high = SIGNALS[code].plausible
            if low <= reading <= high:
                lifecycle.meet(alarm, reading, falling=CHANNEL_CONDITIONS[which].side == "low")
            critical = which in {layout.CRITICAL_LOW, layout.CRITICAL_HIGH}
            x = alarm.value if critical and alarm.value is not None else float(bank.state[row, layout.M0])
            limits.mark_from(bank.mark[row], which, x, layout.PARAMETERS[code])

    def discharge(self, number: int) -> None:
        """End a stay and what belonged to it: every alarm goes off, channels, limits and charted facts are forgotten."""
        bank = self.bank
        for key in sorted(key for key in bank.alarms if key[0] == number):
            alarm = bank.alarms.pop(key)
            alarm.latches = False
            self.tell(number, lifecycle.end(alarm, bank.profile(number).ward, self.now))
        self.record(past.settled(bank, self.now, number))
        profile = bank.profile(number)
        profile.active, profile.discharged = False, max(self.now, profile.admitted)
        end_stay(bank, number)
        self.outcome.stays.append(stay_of(profile))

    def set_limits(self, command: SetLimits) -> None:
        """Limits of a patient or of a ward; the conditions are judged anew with the next reading."""
        bank = self.bank
        if command.signal not in BY_NAME:
            return
        if command.patient:
            number = self._meant(command.patient, command.stay)
            if number < 0:
                return
            given = set_by(command, bank.patient_limits[number].get(command.signal, {}))
            if given:
                bank.patient_limits[number][command.signal] = given
            else:
                bank.patient_limits[number].pop(command.signal, None)
            numbers = [number]
        else:
            before = bank.ward_limits.get((command.ward, command.signal))
            given = set_by(command, limits_given(before) if before else {})
            whole = msgspec.structs.replace(command, keep=[], **given)
            bank.set_ward_limits(self.outcome.offset, whole)
            self.outcome.ward_limits.append(whole)
            numbers = [
                number for number, profile in enumerate(bank.profiles)
                if profile is not None and profile.ward == command.ward and bank.live[number]
            ]  # fmt: skip
        self.relimit(numbers)
        for number in numbers:
            self.eligible(number)
            self.changed(number)

    def set_alarm_off(self, number: int, command: SetAlarmOff) -> None:
        """Turn a signal's limit alarms off or on; what stands of them ends, and nothing of it latches."""
        bank = self.bank
        if not alarms_off.turn(bank, number, command, self.now):
            return
        profile, code = bank.profile(number), BY_NAME[command.signal].code
        off = profile.alarms_off.get(command.signal)
        if off is not None:
            row = int(bank.slot[number, code])
            if row >= 0:
                bank.phase[row, : layout.FAULT] = layout.IDLE
            for key in [key for key in bank.alarms if key[0] == number and key[2] == code]:
                alarm = bank.alarms[key]
                if alarm.kind == "physiological":
                    alarm.latches, alarm.by, alarm.note = False, off.by, off.reason
                    del bank.alarms[key]
                    self.tell(number, lifecycle.end(alarm, profile.ward, self.now))
        self.relimit([number])
        self.changed(number)

    def set_ward(self, command: SetWard) -> None:
        """Whether a ward uses NEWS2: its patients are looked at anew."""
        bank = self.bank
        bank.set_ward(self.outcome.offset, command)
        self.outcome.wards.append(command)
        for number, profile in enumerate(bank.profiles):
            if profile is not None and profile.ward == command.ward and bank.live[number] and self.eligible(number):
                self.changed(number)
                self.score(np.array([number]))

    def eligible(self, number: int) -> bool:
        """Look at whether a patient is scored; whether that has changed. What is not scored has no score's alarm."""
        bank = self.bank
        changed = eligibility.settle(bank, number, self.now)
        if changed and bank.unscored[number]:
            for condition in SCORE_CONDITIONS:
                alarm = bank.alarms.pop((number, condition.name, -1), None)
                if alarm is not None:
                    alarm.latches = False
                    self.tell(number, lifecycle.end(alarm, bank.profile(number).ward, self.now))
            deterioration.forget(bank, number)
        return changed

    def birthdays(self) -> None:
        """Once a day: who has come of age is scored from now on."""
        bank = self.bank
        bank.day = self.now // eligibility.DAY_US
        for number, profile in enumerate(bank.profiles):
            aged = profile is not None and (profile.birth_date or profile.age_years is not None)
            if aged and bank.live[number] and self.eligible(number):
                self.changed(number)

    def relimit(self, numbers: Iterable[int]) -> None:
        """Write the limits in force into the channels of ``numbers``."""
        bank = self.bank
        for number in numbers:
            for row in bank.slot[number].tolist():
                if row >= 0:
                    bank.set_row_limits(row)

    def changed(self, number: int) -> None:
        """State a patient's profile anew."""
        bank = self.bank
        bank.touch(number)
        self.outcome.profiles.append(profile_of(bank, number))


def step(bank: Bank, record: Record, offset: int) -> Outcome:
    """Move ``bank`` by one record of its partition; ``offset`` is the record's place in the log."""
    if bank.catching_up:
        bank.begin_catch_up(offset)
    if isinstance(record, Tick) and record.back > 0:
        set_back(bank, record.received, record.back, offset)
        return complete(bank, offset)
    now = bank.time = max(bank.time, record.received)
    todo = _Step(bank, now, offset)
    if isinstance(record, Frame):
        todo.frame(record)
    elif isinstance(record, Tick):
        todo.tick(record)
    elif isinstance(record, Fact):
        todo.fact(record)
    elif isinstance(record, Retract):
        todo.retract(record)
    else:
        todo.command(record)
    return todo.outcome
