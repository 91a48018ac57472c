"""Commands that silence alarms for a time, "I take it"; and what of it time alone brings about."""

from twins.alarms import off, silencing
from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import Pause, PauseAlarms, PauseKind, Profile, SetAlarmOff, TakeAlarm
from twins.signals import BY_NAME
from twins.step.effects import Effects
from twins.step.restate import restate, write_limits

__all__ = ["leave_ward", "pass_time", "pause", "pause_of_patient", "set_alarm_off", "take"]

_KINDS: tuple[PauseKind, ...] = ("audio", "alarm")


def pause(effects: Effects, command: PauseAlarms) -> None:
    """Pause, or end the pause of, the alarms of everybody who is in a ward now."""
    bank = effects.bank
    for number, profile in enumerate(bank.profiles):
        if profile is not None and profile.active and profile.ward == command.ward and bank.live[number]:
            _pause_patient(effects, number, command)


def pause_of_patient(effects: Effects, number: int, command: PauseAlarms) -> None:
    """Pause, or end the pause of, one alarm or all alarms of a patient."""
    if command.alarm:
        _pause_alarm(effects, number, command)
    else:
        _pause_patient(effects, number, command)


def _until(effects: Effects, profile: Profile, command: PauseAlarms) -> int:
    longest = effects.bank.policies.of(profile.ward).longest_pause_us(command.kind)
    return min(command.until, effects.now + longest)


def _pause_alarm(effects: Effects, number: int, command: PauseAlarms) -> None:
    bank = effects.bank
    profile = bank.profile(number)
    until, now = _until(effects, profile, command), effects.now
    for _, alarm in bank.alarms.of(number):
        if alarm.id != command.alarm:
            continue
        if until > now:
            effects.add_transition(number, silencing.pause(alarm, command.kind, until, profile.ward, now))
        else:
            effects.add_transition(number, silencing.resume(alarm, profile.ward, now, command.kind))
    bank.touch(number)


def _pause_patient(effects: Effects, number: int, command: PauseAlarms) -> None:
    bank, now = effects.bank, effects.now
    profile = bank.profile(number)
    until = _until(effects, profile, command)
    if until <= now:
        _resume_patient(effects, number, command.kind, early=True)
        return
    _set(bank, number, command.kind, Pause(
        until=until, since=now, by=command.by, reason=command.reason, scope="patient" if command.patient else "ward"
    ))  # fmt: skip
    for _, alarm in bank.alarms.of(number):
        effects.add_transition(number, silencing.pause_patient(alarm, command.kind, until, profile.ward, now))
    restate(effects, number)


def _resume_patient(effects: Effects, number: int, kind: PauseKind, *, early: bool) -> None:
    bank = effects.bank
    _set(bank, number, kind, None)
    ward = bank.profile(number).ward
    for _, alarm in bank.alarms.of(number):
        effects.add_transition(number, silencing.resume_patient(alarm, kind, ward, effects.now, early=early))
    restate(effects, number)


def _set(bank: Bank, number: int, kind: PauseKind, pause: Pause | None) -> None:
    profile = bank.profile(number)
    if kind == "audio":
        profile.audio_pause = pause
    else:
        profile.alarm_pause = pause
    bank.note_alarms_off(number)


def _of(profile: Profile, kind: PauseKind) -> Pause | None:
    return profile.audio_pause if kind == "audio" else profile.alarm_pause


def leave_ward(effects: Effects, number: int) -> None:
    """A patient has left a ward: a pause of that ward is not for the next one."""
    for kind in _KINDS:
        pause = _of(effects.bank.profile(number), kind)
        if pause is not None and pause.scope == "ward":
            _resume_patient(effects, number, kind, early=True)


def take(effects: Effects, number: int, command: TakeAlarm) -> None:
    """Somebody takes an alarm."""
    ward = effects.bank.profile(number).ward
    for _, alarm in effects.bank.alarms.of(number):
        if alarm.id == command.alarm:
            effects.add_transition(number, silencing.take(alarm, ward, effects.now, command.by))
    effects.bank.touch(number)


def set_alarm_off(effects: Effects, number: int, command: SetAlarmOff) -> None:
    """Turn alarms off or on. Active ones end and do not latch; what is still true is withheld until they are on again."""
    bank = effects.bank
    what = command.signal
    if not off.turn(bank, number, command, effects.now):
        return
    profile = bank.profile(number)
    given = profile.alarms_off.get(what)
    if given is None:
        _turned_on(effects, number)
    else:
        row = int(bank.slot[number, BY_NAME[what].code]) if what in BY_NAME else -1
        if row >= 0:
            bank.phase[row, : layout.FAULT] = layout.IDLE
        for key, alarm in bank.alarms.of(number):
            if not off.covers(what, alarm.family, alarm.kind, key[2]):
                continue
            for name, level in alarm.levels.items():
                if what not in BY_NAME or not name.startswith(("limit.", "predicted.")):
                    effects.withhold(number, key[2], off.level_withheld(alarm, name, level))
            alarm.by, alarm.note = given.by, given.reason
            effects.close(key, "turned_off")
    write_limits(effects, [number])
    restate(effects, number)


def _turned_on(effects: Effects, number: int) -> None:
    """Begin the alarms of what was withheld and no longer is; the lower levels of a family first."""
    bank = effects.bank
    profile = bank.profile(number)
    waiting = sorted(
        (one.condition.level, name, code) for (whose, name, code), one in bank.withheld.items()
        if whose == number and not off.off_of(profile, one.condition, code)
    )  # fmt: skip
    for _, name, code in waiting:
        one = bank.withheld.pop((number, name, code))
        effects.begin(
            number, one.condition, code, effects.now, one.priority, one.value, one.limit, one.explanation, one.text or None
        )  # fmt: skip


def pass_time(effects: Effects) -> None:
    """End pauses whose time is over, turn alarms on again, and remind of what was acknowledged and persists."""
    bank, now = effects.bank, effects.now
    for number in off.over(bank, now):
        write_limits(effects, [number])
        _turned_on(effects, number)
        restate(effects, number)
    for number in bank.paused:
        for kind in _KINDS:
            pause = _of(bank.profile(number), kind)
            if pause is not None and pause.until <= now:
                _resume_patient(effects, number, kind, early=False)
    for key in bank.alarms.due(now):
        if not bank.live[key[0]]:
            continue
        alarm, ward = bank.alarms[key], bank.profile(key[0]).ward
        effects.add_transition(key[0], silencing.resume(alarm, ward, now))
        effects.add_transition(key[0], silencing.remind(alarm, ward, now))
        bank.touch(key[0])
