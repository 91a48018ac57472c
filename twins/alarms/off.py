"""Limit alarms of one signal turned off for a limited time: until when, by whom and why, visible to everybody.

A limit so far out that it never alarms is refused; turning the alarm off is the right way. It ends by itself, with the
stay, or when somebody turns the alarms on again. Alarms about the sensor itself (faulty, silent) are still raised.
"""

from twins.bank.bank import Bank
from twins.records import AlarmOff, SetAlarmOff
from twins.signals import BY_NAME

__all__ = ["LONGEST_US", "over", "turn"]

LONGEST_US = 12 * 3_600_000_000
"""One shift: the next shift decides again."""


def turn(bank: Bank, number: int, command: SetAlarmOff, now: int) -> bool:
    """Turn the limit alarms of one signal off until ``command.until`` (µs), at most ``LONGEST_US`` from ``now``, or on."""
    signal = BY_NAME.get(command.signal)
    if signal is None or not signal.filtered:
        return False
    profile = bank.profile(number)
    others = {name: off for name, off in profile.alarms_off.items() if name != command.signal}
    until = min(command.until, now + LONGEST_US)
    if until > now:
        others[command.signal] = AlarmOff(until=until, since=now, by=command.by, reason=command.reason)
    profile.alarms_off = others
    bank.note_alarms_off(number)
    return True


def over(bank: Bank, now: int) -> list[int]:
    """Turn on alarms whose time is over at ``now`` (µs); returns the numbers of their patients.

    An end that is further ahead than allowed counts as over: a wrong clock has set it.
    """
    numbers = []
    for number in sorted(bank.with_alarms_off):
        profile = bank.profile(number)
        kept = {name: off for name, off in profile.alarms_off.items() if now < off.until <= now + LONGEST_US}
        if len(kept) < len(profile.alarms_off):
            profile.alarms_off = kept
            numbers.append(number)
        bank.note_alarms_off(number)
    return numbers
