"""Who is scored: by age, by the settings of patient and ward; from the log alone, across restarts."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twins.alarms.test_worsening import changes, sick
from tests.twins.step.test_step import T0, S, Ward
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, foundation_of, restore, restore_foundation
from twins.models.deterioration import eligibility
from twins.models.deterioration.eligibility import DAY_US, age_of, unscored
from twins.records import Admit, Discharge, Move, Profile, SetLimits, SetProfile, SetWard, Tick
from twins.step.estimates import complete

CHILD = {
    "heart_rate": 140,
    "respiratory_rate": 34,
    "systolic_bp": 88,
    "oxygen_saturation": 97,
    "body_temperature": 37.2,
}


def scores(ward, begin=0):
    return [score for outcome in ward.outcomes[begin:] for score in outcome.scores]


def profile(ward):
    return ward.bank.profile(0)


@pytest.mark.parametrize(
    "said",
    [{"age_years": 1}, {"birth_date": "2022-12-01"}, {"news2": False}, {"age_years": 15, "news2": True}],
    ids=["age", "birth date", "not for this one", "a child all the same"],
)
def test_a_patient_who_is_not_scored_has_no_score_and_no_alarm_of_it(said):
    ward = Ward()
    ward.take(SetProfile(patient="p", received=T0, **said))
    sick(ward, 1, 60, **CHILD)
    assert scores(ward) == []
    assert [one for outcome in ward.outcomes for one in outcome.transitions if one.condition.startswith("news2")] == []
    assert profile(ward).news2_off == ("patient" if said == {"news2": False} else "child")
    assert complete(ward.bank, 0).scores == []
    # Limits apply to a child of known age: those for that age, of which this patient passes none.
    limits = [one for outcome in ward.outcomes for one in outcome.transitions if one.family in {"low", "high"}]
    assert (limits == []) is (said in ({"age_years": 1}, {"birth_date": "2022-12-01"}))
    assert profile(ward).adult_limits is False


def test_a_score_that_is_switched_off_ends_its_alarm_and_comes_back_when_it_is_wanted_again():
    ward = Ward()
    sick(ward, 1, 90, **CHILD)
    assert changes(ward, "news2.high")[-1].presence == "on"
    ward.take(SetWard(ward="B", news2=False, received=T0 + 90 * S))
    assert changes(ward, "news2.high")[-1].presence == "on"
    ward.take(SetWard(ward="A", news2=False, received=T0 + 90 * S))
    assert changes(ward, "news2.high")[-1].presence == "off"
    assert profile(ward).news2_off == "ward"
    before = len(ward.outcomes)
    sick(ward, 91, 120, **CHILD)
    assert scores(ward, before) == []
    ward.take(SetProfile(patient="p", news2=True, received=T0 + 120 * S))  # an adult among children
    sick(ward, 120, 190, **CHILD)
    assert changes(ward, "news2.high")[-1].presence == "on"
    ward.take(SetProfile(patient="p", news2="by_ward", received=T0 + 190 * S))
    assert (changes(ward, "news2.high")[-1].presence, profile(ward).news2_off) == ("off", "ward")
    ward.take(Move(patient="p", ward="C", received=T0 + 191 * S))
    assert profile(ward).news2_off == ""


def test_a_patient_without_an_age_counts_as_an_adult():
    ward = Ward()
    sick(ward, 1, 60, **CHILD)
    assert scores(ward)[-1].total >= 5
    assert profile(ward).age is None


def test_a_birthday_is_noticed_by_a_tick():
    ward = Ward()
    ward.take(SetProfile(patient="p", birth_date="2007-11-15", received=T0))  # T0 is on 2023-11-14
    assert (profile(ward).age, profile(ward).news2_off) == (15, "child")
    ward.take(Tick(T0 + 10 * S))
    ward.take(Tick(T0 + DAY_US // S * S))
    assert (profile(ward).age, profile(ward).news2_off) == (16, "")


def test_the_next_stay_does_not_have_the_age_of_the_last():
    ward = Ward()
    ward.take(SetProfile(patient="p", age_years=1, news2=False, received=T0))
    ward.take(Discharge(patient="p", received=T0 + S))
    ward.take(Admit(patient="p", ward="A", received=T0 + 2 * S))
    assert (profile(ward).age, profile(ward).news2, profile(ward).news2_off) == (None, None, "")
    sick(ward, 3, 30, **CHILD)
    assert scores(ward)


def test_adult_limits_are_only_applied_to_a_child_where_there_is_no_row_for_its_age(monkeypatch):
    ward = Ward()
    ward.take(SetProfile(patient="p", age_years=1, received=T0))
    assert not profile(ward).adult_limits
    monkeypatch.setitem(eligibility.BY_AGE, "systolic_bp", ())
    ward.take(SetProfile(patient="p", age_years=2, received=T0))
    assert profile(ward).adult_limits
    ward.take(SetLimits(patient="p", signal="systolic_bp", low=70.0, received=T0))
    assert not profile(ward).adult_limits


def test_settings_survive_a_restart():
    ward = Ward()
    ward.take(SetProfile(patient="p", age_years=1, received=T0))
    ward.take(SetWard(ward="A", news2=False, received=T0))
    offset = len(ward.log) - 1
    fresh = Bank()
    restore_foundation(fresh, foundation_of(ward.bank, offset, offset), offset)
    restore(fresh, block_of(ward.bank, 0, offset))
    fresh.finish_catch_up()
    assert fresh.ward_scores == {"A": False}
    ward.bank = fresh
    before = len(ward.outcomes)
    sick(ward, 1, 60, **CHILD)
    assert scores(ward, before) == []
    assert [(one.ward, one.news2) for one in complete(fresh, 0).wards] == [("A", False)]


@given(st.dates(date(1900, 1, 1), date(2020, 1, 1)), st.integers(0, 40_000))
def test_an_age_is_that_of_the_calendar(born, days):
    today = date.fromordinal(min(born.toordinal() + days, date(2035, 1, 1).toordinal()))
    now = (today.toordinal() - date(1970, 1, 1).toordinal()) * DAY_US + DAY_US // 2
    birthdays = sum(
        1 for year in range(born.year + 1, today.year + 1) if (year, born.month, born.day) <= today.timetuple()[:3]
    )
    assert age_of(Profile(patient="p", birth_date=born.isoformat()), now) == birthdays
    told = Profile(patient="p", age_years=3, age_told=now - 400 * DAY_US)
    assert age_of(told, now) == 4
    assert unscored(told, ward_scores=True, now=now) == "child"


def test_a_silent_patients_score_becomes_old_and_then_void():
    ward = Ward()
    sick(ward, 1, 60, heart_rate=80, oxygen_saturation=97)
    assert scores(ward)[-1].state == "current"
    for at in range(60, 5 * 3600, 20):
        ward.take(Tick(T0 + at * S))
    states = [score.state for score in scores(ward)]
    assert sorted(set(states), key=states.index) == ["current", "old", "void"]
    assert scores(ward)[-1].risk == "unknown"
    (first,) = [score for score in scores(ward) if score.state == "old"][:1]
    assert 3600 * S <= first.time - first.measured <= 3700 * S
