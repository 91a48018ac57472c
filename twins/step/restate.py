"""Write and send profiles and limits again after their causes have changed."""

from collections.abc import Iterable

from twins.alarms import lifecycle
from twins.alarms.conditions import SCORE_CONDITIONS
from twins.alarms.limits_in_force import period_of
from twins.alarms.rules import local_minute
from twins.bank.bank import Bank
from twins.models.deterioration import eligibility
from twins.models.deterioration import model as deterioration
from twins.records import Profile
from twins.step.effects import Effects
from twins.step.estimates import profile_of

__all__ = ["check_ages", "check_periods", "restate", "update_eligibility", "write_limits"]

_MINUTE_US = 60_000_000


def update_eligibility(effects: Effects, number: int) -> bool:
    """Check whether a patient is scored; returns whether that changed. Without a score, alarms of the score end."""
    bank = effects.bank
    age = bank.profile(number).age
    changed = eligibility.settle(bank, number, effects.now)
    if bank.profile(number).age != age:
        write_limits(effects, [number])
    if changed and bank.unscored[number]:
        for condition in SCORE_CONDITIONS:
            bank.withheld.pop((number, condition.name, -1), None)
            alarm = bank.alarms.take(effects.key(number, condition.name, -1))
            if alarm is not None:
                ward = bank.profile(number).ward
                effects.add_transition(number, lifecycle.close(alarm, "turned_off", ward, effects.now))
        deterioration.forget(bank, number)
    return changed


def check_ages(effects: Effects) -> None:
    """Once a day: patients who have reached the age are scored from now on."""
    bank = effects.bank
    bank.day = effects.now // eligibility.DAY_US
    for number, profile in enumerate(bank.profiles):
        aged = profile is not None and (profile.birth_date or profile.age_years is not None)
        if aged and bank.live[number] and update_eligibility(effects, number):
            restate(effects, number)


def write_limits(effects: Effects, numbers: Iterable[int]) -> None:
    """Write the limits in force into the channels of ``numbers``."""
    bank = effects.bank
    for number in numbers:
        for row in bank.slot[number].tolist():
            if row >= 0:
                bank.set_row_limits(row)


def check_periods(effects: Effects) -> None:
    """Once a minute: write the limits of patients for whom another part of the day has begun."""
    bank, minute = effects.bank, effects.now // _MINUTE_US
    if minute == bank.minute:
        return
    before, bank.minute = bank.minute, minute
    wards = {ward for (ward, _), one in bank.ward_limits.items() if one.periods}
    changed = [
        number for number, profile in enumerate(bank.profiles)
        if profile is not None and bank.live[number] and (profile.periods or profile.ward in wards)
        and (before < 0 or _another_period(bank, profile, before))
    ]  # fmt: skip
    write_limits(effects, changed)
    for number in changed:
        bank.touch(number)


def _another_period(bank: Bank, profile: Profile, before: int) -> bool:
    """Whether a period of a patient, or of the ward, began or ended since minute ``before``."""
    zone = bank.rules.zone_of(profile.ward)
    then, now = (local_minute(zone, minute * _MINUTE_US) for minute in (before, bank.minute))
    settings = [one.periods for one in bank.ward_settings(profile.ward).values()] + list(profile.periods.values())
    return any(period_of(periods, then) != period_of(periods, now) for periods in settings)


def restate(effects: Effects, number: int) -> None:
    """Send a patient's profile again."""
    bank = effects.bank
    bank.touch(number)
    bank.rules.known[number] = 0
    effects.outcome.profiles.append(profile_of(bank, number))
