"""Execute charted facts, and commands of people and devices."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from twins.alarms import lifecycle, limits
from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.limit_settings import limits_given, set_by
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import eligibility, facts
from twins.models.deterioration import model as deterioration
from twins.models.deterioration.twin import DETERIORATION
from twins.records import (
    Acknowledge,
    Admit,
    Command,
    Discharge,
    Fact,
    Move,
    PauseAlarms,
    Retract,
    SetAlarmOff,
    SetAlarmPolicy,
    SetAt,
    SetEscalation,
    SetLimits,
    SetProfile,
    SetRules,
    SetSchedule,
    Setting,
    SetWard,
    SetZone,
    Status,
    TakeAlarm,
    for_everybody,
)  # fmt: skip
from twins.signals import BY_NAME, SIGNALS
from twins.step import arrival, past, retraction, rules, silencing, site_models
from twins.step.correction import judge_anew
from twins.step.effects import Effects
from twins.step.emission import emit, score
from twins.step.estimates import profile_of
from twins.step.ownership import may_retract, revision_of
from twins.step.restate import restate, update_eligibility, write_limits
from twins.step.stays import began, begin_stay, charted_before, end_stay, stay_of

__all__ = ["chart", "execute", "retract"]

_NO_SIGNAL = np.empty(0, np.uint16)


def chart(effects: Effects, fact: Fact) -> None:
    """Chart a fact; from then on, oxygen and consciousness count for NEWS2. The site's own models get every fact."""
    bank = effects.bank
    fact = arrival.fact_in_time(fact, effects.now)
    bank.filed = fact
    number = _if_admitted(effects, bank.index.get(fact.patient, -1))
    if number < 0:
        return
    if charted_before(bank, number, fact):
        bank.filed = None
        effects.outcome.status = bytes([Status.DUPLICATE])
        return
    bank.touch(number)
    if fact.time < bank.begin[number]:
        return
    counts = DETERIORATION.facts(bank, np.array([number]), _NO_SIGNAL, fact)
    if counts:
        restate(effects, number)
    if not (bank.models and site_models.chart(bank, number, fact)) and not counts:
        return
    emit(effects, np.array([number]))


def retract(effects: Effects, command: Retract) -> None:
    """Retract a reading, if the twin still stores it."""
    number = _if_admitted(effects, effects.bank.index.get(command.patient, -1))
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


def execute(effects: Effects, command: Command) -> None:
    """Execute a person's command."""
    if isinstance(command, Admit | SetLimits) or for_everybody(command):
        _WITHOUT_NUMBER[type(command)](effects, command)
        return
    number = _number_in_stay(effects, command.patient, getattr(command, "stay", 0))
    if number < 0:
        return
    about_alarms = _ABOUT_ALARMS.get(type(command))
    if about_alarms is not None:
        about_alarms(effects, number, command)
        return
    bank = effects.bank
    profile = bank.profile(number)
    if isinstance(command, Move):
        if command.ward not in {None, profile.ward}:
            silencing.leave_ward(effects, number)
        profile.ward = profile.ward if command.ward is None else command.ward
        profile.bed = profile.bed if command.bed is None else command.bed
        profile.label = profile.label if command.label is None else command.label
    elif isinstance(command, SetProfile):
        eligibility.take(bank, number, command)
    elif isinstance(command, Discharge):
        _discharge(effects, number)
    write_limits(effects, [number])
    update_eligibility(effects, number)
    restate(effects, number)
    if profile.active:
        score(effects, np.array([number]))


def _if_admitted(effects: Effects, number: int) -> int:
    bank = effects.bank
    return number if number >= 0 and bank.active[number] and bank.live[number] else -1


def _number_in_stay(effects: Effects, patient: str, stay: int) -> int:
    """The number of an admitted patient, if ``stay`` is not given or is the present stay; −1 otherwise."""
    number = _if_admitted(effects, effects.bank.index.get(patient, -1))
    return number if number >= 0 and stay in (0, effects.bank.profile(number).admitted) else -1


def _admit(effects: Effects, command: Admit) -> None:
    """Begin a stay. For a patient who is already admitted nothing changes, and the profile is sent again."""
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
    update_eligibility(effects, number)
    effects.outcome.stays.append(stay_of(bank.profile(number)))
    restate(effects, number)
    score(effects, np.array([number]))


def _acknowledge(effects: Effects, number: int, command: Acknowledge) -> None:
    """Acknowledge one alarm of one patient."""
    bank = effects.bank
    for key, alarm in bank.alarms.of(number):
        if alarm.id == command.alarm:
            if alarm.standing and alarm.presence == "on":
                _reset_worsening(effects, number, alarm)
            effects.acknowledge(number, alarm, command.by, command.note, effects.now)
            if alarm.presence == "off":
                effects.remove(key, effects.now)
    bank.touch(number)


def _reset_worsening(effects: Effects, number: int, alarm: lifecycle.Alarm) -> None:
    """Whoever acknowledges has seen the patient's present state, so anything worse than this sounds again."""
    bank = effects.bank
    if alarm.condition in {held.name for held in SCORE_CONDITIONS}:
        deterioration.mark_seen(bank, number)
        lifecycle.note_value(alarm, float(bank.score_told[number, 0]), falling=False)
    for which, condition in enumerate(CHANNEL_CONDITIONS[: layout.LIMIT_CONDITIONS]):
        if condition.name not in alarm.levels:
            continue
        code = BY_NAME[alarm.signal].code
        row = int(bank.slot[number, code])
        if row < 0:
            return
        reading = float(bank.state[row, layout.VALUE])
        low, high = SIGNALS[code].plausible
        if low <= reading <= high:
            lifecycle.note_value(alarm, reading, falling=condition.side == "low")
        critical = which in {layout.CRITICAL_LOW, layout.CRITICAL_HIGH}
        x = alarm.value if critical and alarm.value is not None else float(bank.state[row, layout.M0])
        limits.mark_from(bank.mark[row], which, x, layout.PARAMETERS[code])


def _discharge(effects: Effects, number: int) -> None:
    """End a stay: every alarm goes off; channels, limits and charted facts are deleted."""
    bank = effects.bank
    for key, alarm in bank.alarms.of(number):
        del bank.alarms[key]
        effects.add_transition(number, lifecycle.close(alarm, "discharged", bank.profile(number).ward, effects.now))
    effects.add_past_episodes(past.settled(bank, effects.now, number))
    profile = bank.profile(number)
    profile.active, profile.discharged = False, max(effects.now, profile.admitted)
    end_stay(bank, number)
    effects.outcome.stays.append(stay_of(profile))


def _set_limits(effects: Effects, command: SetLimits) -> None:
    """Set limits of a patient or a ward; the conditions are judged by them from the next reading on."""
    bank = effects.bank
    if command.signal not in BY_NAME:
        return
    if command.patient:
        number = _number_in_stay(effects, command.patient, command.stay)
        if number < 0:
            return
        _set_own_limits(bank, number, command)
        numbers = [number]
    else:
        before = bank.ward_limits.get((command.ward, command.signal))
        given = set_by(command, limits_given(before) if before else {})
        periods = before.periods if before and "periods" in command.keep else command.periods
        whole = msgspec.structs.replace(command, keep=[], periods=periods, **given)
        bank.set_ward_limits(effects.outcome.offset, whole)
        effects.outcome.ward_limits.append(whole)
        numbers = [
            number for number, profile in enumerate(bank.profiles)
            if profile is not None and profile.ward == command.ward and bank.live[number]
        ]  # fmt: skip
    write_limits(effects, numbers)
    for number in numbers:
        update_eligibility(effects, number)
        restate(effects, number)


def _set_own_limits(bank: Bank, number: int, command: SetLimits) -> None:
    """Set limits of one patient, with who set them; what is empty afterwards follows the ward."""
    profile, signal = bank.profile(number), command.signal
    given = set_by(command, bank.patient_limits[number].get(signal, {}))
    periods = profile.periods.get(signal, {}) if "periods" in command.keep else command.periods
    others = {name: one for name, one in profile.periods.items() if name != signal}
    who = {name: one for name, one in profile.limits_set.items() if name != signal}
    bank.patient_limits[number].pop(signal, None)
    if given:
        bank.patient_limits[number][signal] = given
    profile.periods = others | ({signal: periods} if periods else {})
    profile.limits_set = who | ({signal: SetAt(command.by, command.received)} if given or periods else {})


def _set_ward(effects: Effects, command: SetWard) -> None:
    """Set whether a ward uses NEWS2; its patients are checked again."""
    bank = effects.bank
    bank.set_ward(effects.outcome.offset, command)
    effects.outcome.wards.append(command)
    for number, profile in enumerate(bank.profiles):
        if (
            profile is not None
            and profile.ward == command.ward
            and bank.live[number]
            and update_eligibility(effects, number)
        ):
            restate(effects, number)
            score(effects, np.array([number]))


def _set_setting(effects: Effects, command: Setting) -> None:
    """Set what belongs to no patient. It is for what happens from now on: a pause in force keeps its end."""
    bank = effects.bank
    bank.settings.set(effects.outcome.offset, command)
    effects.outcome.settings.append(command)
    if isinstance(command, SetAlarmPolicy):
        bank.forget_row_limits()
        write_limits(effects, np.flatnonzero(bank.live[: bank.patients]).tolist())


_WITHOUT_NUMBER: dict[type, Callable[[Effects, Any], None]] = {
    Admit: _admit,
    SetLimits: _set_limits,
    SetWard: _set_ward,
    SetRules: rules.set_rules,
    SetZone: rules.set_zone,
    **dict.fromkeys((SetEscalation, SetSchedule, SetAlarmPolicy), _set_setting),
    PauseAlarms: silencing.pause,
}
"""Commands that belong to no patient, or find their patient themselves."""
_ABOUT_ALARMS: dict[type, Callable[[Effects, int, Any], None]] = {
    Acknowledge: _acknowledge,
    TakeAlarm: silencing.take,
    PauseAlarms: silencing.pause_of_patient,
    SetAlarmOff: silencing.set_alarm_off,
}
"""Commands about alarms of an admitted patient, who has a number."""
