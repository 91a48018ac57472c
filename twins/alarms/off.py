"""Alarms turned off for a limited time: of one signal, of NEWS2, or of one site rule; by whom and why, visible to everybody.

A limit so far out that it never alarms is refused; turning the alarm off is the right way. It ends by itself, with the
stay, or when somebody turns the alarms on again. Alarms about the sensor itself (faulty, silent) are still raised. A
condition that becomes true meanwhile is withheld: if it is still true when the alarms are turned on, its alarm begins then.
"""

from twins.alarms.alarm import Alarm, Level
from twins.alarms.conditions import BY_NAME as CONDITIONS
from twins.alarms.conditions import Condition
from twins.alarms.policy import LONGEST_OFF_US
from twins.bank.bank import Bank
from twins.bank.memory import Withheld
from twins.records import AlarmOff, Profile, SetAlarmOff
from twins.signals import BY_NAME, SIGNALS

__all__ = ["NEWS2", "RULE", "covers", "level_withheld", "may_be_off", "off_of", "over", "turn"]

NEWS2 = "news2"
RULE = "rule."
"""What can be turned off besides a signal: all alarms of NEWS2, and a site's rule by its condition ``rule.<id>``."""


def may_be_off(what: str) -> bool:
    """Whether this can be turned off: a signal with limits, ``news2``, or ``rule.<id>``.

    >>> may_be_off("heart_rate"), may_be_off("news2"), may_be_off("sensor.silent")
    (True, True, False)
    """
    signal = BY_NAME.get(what)
    return (signal is not None and signal.filtered) or what == NEWS2 or (what.startswith(RULE) and what != RULE)


def covers(what: str, family: str, kind: str, code: int) -> bool:
    """Whether turning ``what`` off silences an alarm of this family, kind and signal code."""
    if what in BY_NAME:
        return kind == "physiological" and code >= 0 and SIGNALS[code].name == what
    return family == what


def turn(bank: Bank, number: int, command: SetAlarmOff, now: int) -> bool:
    """Turn alarms off until ``command.until`` (µs), at most as long as the policy allows from ``now``, or on."""
    if not may_be_off(command.signal):
        return False
    profile = bank.profile(number)
    others = {name: off for name, off in profile.alarms_off.items() if name != command.signal}
    longest = int(bank.policies.of(profile.ward).longest_alarm_off_s * 1e6)
    until = min(command.until, now + longest)
    if until > now:
        others[command.signal] = AlarmOff(until=until, since=now, by=command.by, reason=command.reason)
    profile.alarms_off = others
    bank.note_alarms_off(number)
    return True


def over(bank: Bank, now: int) -> list[int]:
    """Turn on alarms whose time is over at ``now`` (µs); returns the numbers of their patients.

    An end that is further ahead than any policy allows counts as over: a wrong clock has set it.
    """
    numbers = []
    for number in sorted(bank.with_alarms_off):
        profile = bank.profile(number)
        kept = {name: off for name, off in profile.alarms_off.items() if now < off.until <= now + LONGEST_OFF_US}
        if len(kept) < len(profile.alarms_off):
            profile.alarms_off = kept
            numbers.append(number)
        bank.note_alarms_off(number)
    return numbers


def off_of(profile: Profile, condition: Condition, code: int) -> AlarmOff | None:
    """Why an alarm of this condition is off; ``None`` if it is not."""
    found = (off for what, off in profile.alarms_off.items() if covers(what, condition.family, condition.kind, code))
    return next(found, None)


def level_withheld(alarm: Alarm, name: str, level: Level) -> Withheld:
    """A level of an alarm that was turned off while it was true."""
    condition = CONDITIONS.get(name) or Condition(
        name, alarm.kind, level.priority, level.latches,  # type: ignore[arg-type] # the record's words are these
        group="" if alarm.family == name else alarm.family, level=level.level,
    )  # fmt: skip
    return Withheld(
        condition=condition, priority=level.priority, value=alarm.value, limit=level.limit,
        explanation=level.explanation, text=alarm.text,
    )  # fmt: skip
