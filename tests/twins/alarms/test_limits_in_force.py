"""Limits by age and by time of day: which are in force, where each comes from, and when they change."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rules.zones import UnknownZone, zone_named
from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_step import T0, S, Ward
from twins.alarms.age_limits import BY_AGE, age_limits
from twins.alarms.rules import in_hours, local_minute
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, foundation_of, restore, restore_foundation
from twins.records import Admit, Discharge, Hours, LimitPeriod, SetLimits, SetProfile, SetRules, SetZone, Tick, Zone
from twins.signals import BY_NAME

NIGHT = {"night": LimitPeriod(begin="22:00", end="06:00", low=40.0, high=100.0)}

# Parshuram et al., Crit Care 2009;13:R135, table 1: the values that score 4 and 2 points, low and high, as printed.
PRINTED = {
    ("heart_rate", 0): (70, 80, 170, 180), ("heart_rate", 2): (60, 70, 150, 170), ("heart_rate", 7): (50, 60, 130, 150),
    ("heart_rate", 14): (40, 50, 120, 140), ("systolic_bp", 0): (60, 70, 120, 150), ("systolic_bp", 3): (65, 75, 125, 160),
    ("systolic_bp", 11): (70, 80, 140, 170), ("systolic_bp", 13): (75, 85, 150, 190), ("respiratory_rate", 0): (15, 19, 71, 81),
    ("respiratory_rate", 1): (12, 15, 61, 71), ("respiratory_rate", 4): (10, 14, 41, 51),
    ("respiratory_rate", 15): (9, 10, 23, 30),
}  # fmt: skip


def bounds(ward, signal="heart_rate"):
    row = ward.bank.open_channel(0, BY_NAME[signal].code)
    return ward.bank.limit[row, : layout.HIGH + 2].tolist()


@pytest.mark.parametrize(("of", "printed"), PRINTED.items(), ids=str)
def test_limits_of_children_are_the_published_ones(of, printed):
    assert msgspec.structs.astuple(age_limits(*of).limits) == printed


@pytest.mark.parametrize("signal", BY_AGE)
def test_rows_by_age_rise_and_stay_where_limits_may_be_set(signal):
    for row in BY_AGE[signal]:
        given_here = [bound for bound in msgspec.structs.astuple(row.limits) if not math.isnan(bound)]
        assert given_here == sorted(given_here)
        assert all(BY_NAME[signal].plausible[0] <= bound <= BY_NAME[signal].plausible[1] for bound in given_here)
        assert row.source


def test_a_patient_has_the_limits_of_the_age_and_others_after_a_birthday():
    ward = Ward()
    ward.steady(1, 3)
    assert bounds(ward) == [40.0, 50.0, 120.0, 140.0]
    # T0 is 2023-11-14: one year old on the 20th.
    ward.take(SetProfile(patient="p", birth_date="2022-11-20", received=T0 + 3 * S))
    assert bounds(ward) == [70.0, 80.0, 170.0, 180.0]
    assert ward.bank.profile(0).age == 0
    ward.take(Tick(T0 + 4 * S))
    ward.take(Tick(T0 + 6 * 86_400 * S))
    assert bounds(ward) == [60.0, 70.0, 150.0, 170.0]
    (layer,) = ward.bank.limit_layers(0, 0)
    assert (layer.level, layer.band) == ("default", "child")
    assert "Bedside PEWS" in layer.source


def test_a_night_limit_begins_and_ends_on_ticks_in_the_wards_time_zone_and_says_so():
    # T0 is 22:13:20 UTC.
    ward = Ward()
    ward.steady(1, 3)
    ward.take(SetLimits(ward="A", signal="heart_rate", high=130.0, periods=NIGHT, by="ada", received=T0 + 3 * S))
    assert bounds(ward) == [40.0, 40.0, 100.0, 140.0]
    ward.take(SetZone(ward="A", zone=Zone("west", [(0, -7200)]), received=T0 + 4 * S))
    ward.take(Tick(T0 + 5 * S))
    assert bounds(ward) == [40.0, 50.0, 130.0, 140.0]
    ward.take(Tick(T0 + 6_399 * S))
    assert bounds(ward)[2] == 130.0
    ward.take(Tick(T0 + 6_400 * S))
    assert bounds(ward)[2] == 100.0
    ward.steady(6_401, 6_440, value=105.0)
    (began,) = changes(ward, "limit.high")
    assert began.explanation["limit"] == {
        "bound": 100.0, "side": "high", "hysteresis": 2.0, "delay_s": 10.0, "clear_s": 60.0,
        "origin": "ward", "period": "night", "set_by": "ada",
        "set_at": (T0 + 3 * S) // 1000,
    }  # fmt: skip
    ward.take(Tick(T0 + (6_400 + 8 * 3600) * S))
    assert bounds(ward)[2] == 130.0


def test_each_bound_has_its_own_origin_and_the_patient_comes_before_the_wards_night():
    ward = Ward()
    ward.take(SetLimits(ward="A", signal="heart_rate", periods=NIGHT, received=T0))
    ward.take(SetLimits(patient="p", signal="heart_rate", high=110.0, by="ben", received=T0))
    force, _ = ward.bank.limits_in_force(0, 0)
    assert (force["low"], force["high"], force["critical_high"]) == (40.0, 110.0, 140.0)
    ward.take(SetLimits(patient="p", signal="heart_rate", keep=["high"], periods=NIGHT, received=T0))
    assert ward.bank.limits_in_force(0, 0)[0]["high"] == 100.0
    ward.take(SetLimits(patient="p", signal="heart_rate", received=T0))
    assert ward.bank.profile(0).periods == {}
    assert ward.bank.profile(0).limits_set == {}


def test_limits_by_the_time_of_day_survive_a_restart():
    ward = Ward()
    ward.steady(1, 3)
    ward.take(SetLimits(ward="A", signal="heart_rate", high=130.0, periods=NIGHT, received=T0 + 3 * S))
    noon = {"noon": LimitPeriod(begin="12:00", end="13:00", high=90.0)}
    ward.take(SetLimits(patient="p", signal="heart_rate", low=55.0, periods=noon, received=T0))
    ward.take(Tick(T0 + 5 * S))
    offset = len(ward.log) - 1
    again = Ward()
    again.bank = Bank()
    kept = (foundation_of(ward.bank, offset), block_of(ward.bank, 0, offset))
    foundation, block = (msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=type(one)) for one in kept)
    restore_foundation(again.bank, foundation, offset)
    restore(again.bank, block)
    for one in (ward, again):
        one.log = list(ward.log)
        assert bounds(one) == [40.0, 55.0, 100.0, 140.0]
        one.take(Tick(T0 + 9 * 3600 * S))  # 07:13
        assert bounds(one) == [40.0, 55.0, 130.0, 140.0]
        one.take(Tick(T0 + 14 * 3600 * S))  # 12:13
        assert bounds(one) == [40.0, 55.0, 90.0, 140.0]


def test_the_rules_time_zone_is_for_wards_without_one():
    ward = Ward()
    ward.steady(1, 3)
    ward.take(SetLimits(ward="A", signal="heart_rate", periods=NIGHT, received=T0))
    ward.take(SetRules(rules=[], zone=Zone("west", [(0, -7200)]), received=T0))
    ward.take(Tick(T0 + 3 * S))
    assert bounds(ward)[2] == 120.0


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2023, 1, 1), datetime(2032, 12, 31)),  # noqa: DTZ001 - the zone is added
    st.integers(0, 1439), st.integers(0, 1439),
)  # fmt: skip
def test_local_time_agrees_with_the_standard_library(name, naive, begin, end):
    moment = naive.replace(tzinfo=UTC, second=0, microsecond=0)
    zone = zone_named(name, T0)
    there = moment.astimezone(ZoneInfo(name))
    expected = there.weekday() * 1440 + there.hour * 60 + there.minute
    assert local_minute(zone, round(moment.timestamp()) * S) == expected
    hours = Hours(f"{begin // 60:02}:{begin % 60:02}", f"{end // 60:02}:{end % 60:02}")
    now = there.hour * 60 + there.minute
    inside = begin <= now < end if end > begin else (now >= begin or now < end)
    assert in_hours(hours, (), expected) is inside


def test_a_change_of_the_clocks_is_where_it_is():
    zone = zone_named("Europe/Berlin", T0)
    change = datetime(2024, 3, 31, 1, 0, tzinfo=UTC)  # 02:00 becomes 03:00
    before, after = (round((change + timedelta(minutes=by)).timestamp()) * S for by in (-1, 0))
    assert [local_minute(zone, at) % 1440 for at in (before, after)] == [119, 180]
    with pytest.raises(UnknownZone, match="did you mean 'Europe/Berlin'"):
        zone_named("Europe/Berlim", T0)


def test_an_admission_again_begins_without_the_limits_of_the_stay_before():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", periods=NIGHT, received=T0))
    ward.take(Discharge(patient="p", received=T0 + S))
    ward.take(Admit(patient="p", ward="A", received=T0 + 2 * S))
    assert ward.bank.profile(0).periods == {}
