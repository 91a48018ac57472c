"""Charted facts and commands of people and devices, carried out."""

import msgspec
import numpy as np

from twins.alarms import lifecycle, limits
from twins.alarms import off as alarms_off
from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.limit_settings import limits_given, set_by
from twins.bank import layout
from twins.models.deterioration import eligibility, facts
from twins.models.deterioration import model as deterioration
from twins.records import (
    Acknowledge,
    Admit,
    Command,
    Discharge,
    Fact,
    Move,
    Retract,
    SetAlarmOff,
    SetLimits,
    SetProfile,
    SetWard,
    Status,
)  # fmt: skip
from twins.signals import BY_NAME, SIGNALS
from twins.step import arrival, past, retraction
from twins.step.correction import judge_anew
from twins.step.effects import Effects
from twins.step.emission import emit, score
from twins.step.estimates import profile_of
from twins.step.ownership import may_retract, revision_of
from twins.step.restate import restate, settle_eligibility, write_limits
from twins.step.stays import began, begin_stay, charted_before, end_stay, stay_of

__all__ = ["carry_out", "chart", "take_back"]


def chart(effects: Effects, fact: Fact) -> None:
    """Chart a fact; oxygen and consciousness count for NEWS2 from then on."""
    bank = effects.bank
    fact = arrival.fact_in_time(fact, effects.now)
    bank.filed = fact
    number = _taking(effects, bank.index.get(fact.patient, -1))
    if number < 0:
        return
    if charted_before(bank, number, fact):
        bank.filed = None
        effects.outcome.status = bytes([Status.DUPLICATE])
        return
    bank.touch(number)
    if fact.time < bank.begin[number]:
        return
    if not facts.chart(bank, number, fact):
        return
    restate(effects, number)
    emit(effects, np.array([number]))


def take_back(effects: Effects, command: Retract) -> None:
    """Take a reading back, as far as the twin's memory of readings reaches."""
    number = _taking(effects, effects.bank.index.get(command.patient, -1))
    command = arrival.retraction_in_time(effects.bank, command)
    effects.bank.filed = command
    verdict = Status.UNKNOWN_PATIENT
    if number >= 0 and not may_retract(effects.bank, number, command):
        verdict, effects.bank.filed = Status.FOREIGN, None
    elif number >= 0 and command.time < effects.bank.begin[number]:
        verdict = Status.BEFORE_STAY
    elif number >= 0:
        verdict = retraction.retract(effects.bank, number, command)
    if number >= 0:
        effects.outcome.revisions.append(revision_of(command, verdict))
    effects.outcome.status = bytes([verdict])
    if number >= 0 and command.signal in BY_NAME:
        past.forget(effects.bank, number, BY_NAME[command.signal].code, command.time)
        if facts.forget(effects.bank, number, BY_NAME[command.signal].code, command.time):
            restate(effects, number)
            emit(effects, np.array([number]))
    if verdict == Status.RETRACTED:
        judge_anew(effects, int(effects.bank.slot[number, BY_NAME[command.signal].code]), "taken_back")
        effects.bank.touch(number)
        emit(effects, np.array([number]))


def carry_out(effects: Effects, command: Command) -> None:  # noqa: C901 - one branch a kind of command
    """Carry out a command of a person."""
    bank = effects.bank
    if isinstance(command, Admit):
        _admit(effects, command)
        return
    if isinstance(command, SetLimits):
        _set_limits(effects, command)
        return
    if isinstance(command, SetWard):
        _set_ward(effects, command)
        return
    number = _meant(effects, command.patient, 0 if isinstance(command, Acknowledge | Retract) else command.stay)
    if number < 0:
        return
    if isinstance(command, Acknowledge):
        _acknowledge(effects, number, command)
        return
    if isinstance(command, SetAlarmOff):
        _set_alarm_off(effects, number, command)
        return
    profile = bank.profile(number)
    if isinstance(command, Move):
        profile.ward = profile.ward if command.ward is None else command.ward
        profile.bed = profile.bed if command.bed is None else command.bed
        profile.label = profile.label if command.label is None else command.label
    elif isinstance(command, SetProfile):
        eligibility.take(bank, number, command)
    elif isinstance(command, Discharge):
        _discharge(effects, number)
    write_limits(effects, [number])
    settle_eligibility(effects, number)
    restate(effects, number)
    if profile.active:
        score(effects, np.array([number]))


def _taking(effects: Effects, number: int) -> int:
    bank = effects.bank
    return number if number >= 0 and bank.active[number] and bank.live[number] else -1


def _meant(effects: Effects, patient: str, stay: int) -> int:
    """The number of a patient who is here, in the stay that is meant if one is named; −1 otherwise."""
    number = _taking(effects, effects.bank.index.get(patient, -1))
    return number if number >= 0 and stay in (0, effects.bank.profile(number).admitted) else -1


def _admit(effects: Effects, command: Admit) -> None:
    """Begin a stay; who is here already stays as they are, and is stated for whoever asked."""
    bank = effects.bank
    number = bank.index.get(command.patient, -1)
    former = bank.profile(number) if number >= 0 else None
    if number < 0:
        number = bank.number(command.patient)
    elif bank.live[number] and (bank.active[number] or command.stranger):
        effects.outcome.profiles.append(profile_of(bank, number))
        return
    if not bank.live[number]:
        return
    begin_stay(bank, number, began(command, former, effects.now, effects.outcome.offset))
    settle_eligibility(effects, number)
    effects.outcome.stays.append(stay_of(bank.profile(number)))
    restate(effects, number)
    score(effects, np.array([number]))


def _acknowledge(effects: Effects, number: int, command: Acknowledge) -> None:
    """Acknowledge one alarm of one patient."""
    bank = effects.bank
    for key, alarm in list(bank.alarms.items()):
        if key[0] == number and alarm.id == command.alarm:
            ward = bank.profile(number).ward
            if alarm.standing and alarm.presence == "on":
                _seen(effects, number, alarm)
            effects.tell(number, lifecycle.acknowledge(alarm, ward, effects.now, command.by, command.note))
            if alarm.presence == "off":
                del bank.alarms[key]
    bank.touch(number)


def _seen(effects: Effects, number: int, alarm: lifecycle.Alarm) -> None:
    """Whoever acknowledges has seen the patient as now: what is worse than this is to be heard again."""
    bank = effects.bank
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


def _discharge(effects: Effects, number: int) -> None:
    """End a stay and what belonged to it: every alarm goes off, channels, limits and charted facts are forgotten."""
    bank = effects.bank
    for key in sorted(key for key in bank.alarms if key[0] == number):
        alarm = bank.alarms.pop(key)
        alarm.latches = False
        effects.tell(number, lifecycle.end(alarm, bank.profile(number).ward, effects.now))
    effects.record(past.settled(bank, effects.now, number))
    profile = bank.profile(number)
    profile.active, profile.discharged = False, max(effects.now, profile.admitted)
    end_stay(bank, number)
    effects.outcome.stays.append(stay_of(profile))


def _set_limits(effects: Effects, command: SetLimits) -> None:
    """Limits of a patient or of a ward; the conditions are judged anew with the next reading."""
    bank = effects.bank
    if command.signal not in BY_NAME:
        return
    if command.patient:
        number = _meant(effects, command.patient, command.stay)
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
        bank.set_ward_limits(effects.outcome.offset, whole)
        effects.outcome.ward_limits.append(whole)
        numbers = [
            number for number, profile in enumerate(bank.profiles)
            if profile is not None and profile.ward == command.ward and bank.live[number]
        ]  # fmt: skip
    write_limits(effects, numbers)
    for number in numbers:
        settle_eligibility(effects, number)
        restate(effects, number)


def _set_alarm_off(effects: Effects, number: int, command: SetAlarmOff) -> None:
    """Turn a signal's limit alarms off or on; what stands of them ends, and nothing of it latches."""
    bank = effects.bank
    if not alarms_off.turn(bank, number, command, effects.now):
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
                effects.tell(number, lifecycle.end(alarm, profile.ward, effects.now))
    write_limits(effects, [number])
    restate(effects, number)


def _set_ward(effects: Effects, command: SetWard) -> None:
    """Whether a ward uses NEWS2: its patients are looked at anew."""
    bank = effects.bank
    bank.set_ward(effects.outcome.offset, command)
    effects.outcome.wards.append(command)
    for number, profile in enumerate(bank.profiles):
        if (
            profile is not None
            and profile.ward == command.ward
            and bank.live[number]
            and settle_eligibility(effects, number)
        ):
            restate(effects, number)
            score(effects, np.array([number]))
