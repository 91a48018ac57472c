"""Whether a patient is scored: not under the age of 16, and not if a clinician or the ward has turned NEWS2 off.

Ages are whole years at a moment of the log's time, by the calendar in UTC.
"""

import numpy as np

from twins.alarms.age_limits import BY_AGE, age_limits
from twins.bank.bank import Bank
from twins.records import Profile, SetProfile
from twins.signals import BY_NAME

__all__ = ["ADULT", "DAY_US", "adult_limits", "age_of", "settle", "take", "unscored"]

ADULT = 16
"""The chart applies from this age in years (Royal College of Physicians 2017)."""
DAY_US = 86_400_000_000


def _day(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[D]"))


def _years(begin: str, end: str) -> int:
    """Whole years between two days, each written YYYY-MM-DD."""
    return max(0, int(end[:4]) - int(begin[:4]) - (end[5:] < begin[5:]))


def age_of(profile: Profile, now: int) -> int | None:
    """Age in whole years at ``now`` (µs): from the date of birth, else the least that a given age can have become."""
    if profile.birth_date:
        return _years(profile.birth_date, _day(now))
    if profile.age_years is None:
        return None
    return profile.age_years + _years(_day(profile.age_told), _day(now))


def unscored(profile: Profile, *, ward_scores: bool, now: int) -> str:
    """Why a patient has no NEWS2: ``child``, ``patient``, ``ward`` (turned off there), "" if the patient is scored.

    A patient without an age counts as an adult; a device admits everybody without an age.
    """
    age = age_of(profile, now)
    if age is not None and age < ADULT:
        return "child"
    if profile.news2 is None:
        return "" if ward_scores else "ward"
    return "" if profile.news2 else "patient"


def adult_limits(bank: Bank, number: int, now: int) -> bool:
    """Whether limits for adults are applied to a child: no default for that age, and nobody has set other limits."""
    age = age_of(bank.profile(number), now)
    if age is None or age >= ADULT:
        return False
    return any(
        age_limits(name, age) is None and bank.limits_in_force(number, BY_NAME[name].code)[1] == "default"
        for name in BY_AGE
    )


def settle(bank: Bank, number: int, now: int) -> bool:
    """Write to the profile and the bank whether a patient is scored at ``now``; returns whether that changed."""
    profile = bank.profile(number)
    reason = unscored(profile, ward_scores=bank.ward_scores.get(profile.ward, True), now=now)
    adults = adult_limits(bank, number, now)
    age = age_of(profile, now)
    if (reason, adults, age) == (profile.news2_off, profile.adult_limits, profile.age):
        return False
    profile.news2_off, profile.adult_limits, profile.age = reason, adults, age
    bank.unscored[number] = reason != ""
    return True


def take(bank: Bank, number: int, said: SetProfile) -> None:
    """Store what a clinician sets about a patient."""
    profile = bank.profile(number)
    if said.spo2_scale is not None:
        profile.spo2_scale = said.spo2_scale
        bank.scale2[number] = said.spo2_scale == 2
    if said.birth_date is not None:
        profile.birth_date, profile.age_years = said.birth_date, None
    if said.age_years is not None:
        profile.birth_date, profile.age_years = "", said.age_years if said.age_years >= 0 else None
        profile.age_told = said.received
    if said.news2 is not None:
        profile.news2 = None if said.news2 == "by_ward" else said.news2
