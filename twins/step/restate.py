"""Write and send profiles and limits again after their causes have changed."""

from collections.abc import Iterable

from twins.alarms import lifecycle
from twins.alarms.conditions import SCORE_CONDITIONS
from twins.models.deterioration import eligibility
from twins.models.deterioration import model as deterioration
from twins.step.effects import Effects
from twins.step.estimates import profile_of

__all__ = ["check_ages", "restate", "update_eligibility", "write_limits"]


def update_eligibility(effects: Effects, number: int) -> bool:
    """Check whether a patient is scored; returns whether that changed. Without a score, alarms of the score end."""
    bank = effects.bank
    changed = eligibility.settle(bank, number, effects.now)
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


def restate(effects: Effects, number: int) -> None:
    """Send a patient's profile again."""
    bank = effects.bank
    bank.touch(number)
    bank.rules.known[number] = 0
    effects.outcome.profiles.append(profile_of(bank, number))
