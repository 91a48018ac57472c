"""Who is on call: calendars made by hand, with both changes of the clocks; gaps, overlaps and quiet hours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.alarms.schedules import QuietHours, gaps, may_send, on_call, overlapping
from twins.records import Override, Rotation, SetSchedule

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def utc(text):
    return us(datetime.fromisoformat(text).replace(tzinfo=UTC))


def berlin(text, fold=0):
    return us(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold))


def schedule(*rotations, overrides=()):
    return SetSchedule(name="s", rotations=list(rotations), overrides=list(overrides))


WEEKLY = Rotation(people=["ada", "bob", "cem"], start="2026-03-16", handover="08:00", zone="Europe/Berlin")
"""Monday 16 March 2026 at 8:00 is the first hand-over. The clocks change on 29 March (to summer) and 25 October."""
DAILY = Rotation(people=["ada", "bob"], start="2026-03-27", handover="02:30", every="day", zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2026-03-16T06:59:59", []),  # 07:59:59 in Berlin, in winter
        ("2026-03-16T07:00:00", ["ada"]),
        ("2026-03-23T06:59:59", ["ada"]),
        ("2026-03-23T07:00:00", ["bob"]),
        ("2026-03-30T05:59:59", ["bob"]),  # 07:59:59 in summer: this week has 167 hours
        ("2026-03-30T06:00:00", ["cem"]),
        ("2026-04-06T06:00:00", ["ada"]),
        ("2026-10-26T06:59:59", ["bob"]),  # winter again, 32 hand-overs after the first: this week has 169 hours
        ("2026-10-26T07:00:00", ["cem"]),
    ],
)
def test_a_weekly_rotation_hands_over_by_the_clocks_on_the_wall(moment, who):
    assert on_call(schedule(WEEKLY), utc(moment)) == who


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2026-03-28T01:29:59", ["ada"]),
        ("2026-03-28T01:30:00", ["bob"]),
        # On 29 March there is no 02:30 in Berlin: by the clock before the change it is 01:30 UTC.
        ("2026-03-29T01:29:59", ["bob"]),
        ("2026-03-29T01:30:00", ["ada"]),
        ("2026-03-30T00:29:59", ["ada"]),
        ("2026-03-30T00:30:00", ["bob"]),
        # On 25 October there are two: the first counts, and nobody's turn comes back. It is the 212th hand-over.
        ("2026-10-25T00:29:59", ["bob"]),
        ("2026-10-25T00:30:00", ["ada"]),
        ("2026-10-25T01:15:00", ["ada"]),
        ("2026-10-25T01:30:00", ["ada"]),
        ("2026-10-26T01:30:00", ["bob"]),
    ],
)
def test_a_hand_over_in_the_hour_of_a_change_happens_once(moment, who):
    assert on_call(schedule(DAILY), utc(moment)) == who


def test_a_calendar_of_a_fortnight_by_hand():
    """Nights 20:00 to 08:00 by two people in turn, days by one, the weekend by a third in an override."""
    nights = Rotation(
        people=["nora", "nils"], start="2026-11-02", handover="20:00", every="day", zone="Europe/Berlin",
        hours=("20:00", "08:00"),
    )  # fmt: skip
    days = Rotation(
        people=["dora"],
        start="2026-11-02",
        handover="08:00",
        every="day",
        zone="Europe/Berlin",
        hours=("08:00", "20:00"),
    )
    weekend = Override(start=berlin("2026-11-07T08:00"), end=berlin("2026-11-09T08:00"), person="wim")
    ill = Override(start=berlin("2026-11-04T12:00"), end=berlin("2026-11-05T12:00"), person="eva", instead_of="dora")
    plan = schedule(nights, days, overrides=[weekend, ill])
    calendar = {
        "2026-11-02T09:00": ["dora"], "2026-11-02T20:00": ["nora"], "2026-11-03T07:59": ["nora"], "2026-11-03T08:00": ["dora"],
        "2026-11-03T23:00": ["nils"], "2026-11-04T02:00": ["nils"], "2026-11-04T11:59": ["dora"], "2026-11-04T12:00": ["eva"],
        "2026-11-04T21:00": ["nora"], "2026-11-05T11:00": ["eva"], "2026-11-05T12:00": ["dora"], "2026-11-06T23:59": ["nora"],
        "2026-11-07T07:59": ["nora"], "2026-11-07T08:00": ["wim"], "2026-11-08T03:00": ["wim"], "2026-11-09T08:00": ["dora"],
    }  # fmt: skip
    assert {moment: on_call(plan, berlin(moment)) for moment in calendar} == calendar
    assert gaps(plan, berlin("2026-11-02T08:00"), berlin("2026-11-16T08:00")) == []
    # Before its first hand-over the rotation of nights has nobody.
    assert gaps(plan, berlin("2026-11-01T08:00"), berlin("2026-11-02T09:00")) == [
        (berlin("2026-11-01T08:00"), berlin("2026-11-02T08:00"))
    ]


def test_gaps_are_the_hours_without_anybody_also_over_a_change_of_the_clocks():
    days = Rotation(
        people=["dora"],
        start="2026-01-01",
        handover="08:00",
        every="day",
        zone="Europe/Berlin",
        hours=("08:00", "20:00"),
    )
    found = gaps(schedule(days), berlin("2026-03-28T12:00"), berlin("2026-03-29T12:00"))
    assert found == [(utc("2026-03-28T19:00"), utc("2026-03-29T06:00"))]  # eleven hours instead of twelve


def test_overrides_overlap_if_they_are_for_the_same_person_at_the_same_time():
    def override(start, end, instead_of="", person="x"):
        return Override(start=start, end=end, person=person, instead_of=instead_of)

    first, second, third = override(0, 10), override(10, 20), override(5, 15, "ada")
    assert overlapping([first, second]) == []
    assert overlapping([first, third, second]) == [(first, third), (third, second)]
    assert overlapping([override(0, 10, "bob"), override(5, 15, "ada")]) == []
    both = schedule(WEEKLY, overrides=[override(0, 1 << 60, person="one"), override(0, 1 << 60, person="two")])
    assert on_call(both, utc("2026-04-01T00:00")) == ["two"]


@pytest.mark.parametrize(
    "wrong",
    [{"zone": "Europe/Atlantis"}, {"handover": "8"}, {"start": "tomorrow"}, {"people": []}, {"hours": ("1", "2")}],
)
def test_a_rotation_that_makes_no_sense_has_nobody(wrong):
    rotation = Rotation(**{"people": ["ada"], "start": "2020-01-01"} | wrong)
    assert on_call(schedule(rotation), utc("2026-01-01T12:00")) == []


moments = st.integers(utc("2026-01-01T00:00"), utc("2027-12-31T00:00"))


@given(
    moments,
    st.integers(1, 4),
    st.sampled_from(["day", "week"]),
    st.integers(0, 6),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 23),
)
def test_a_turn_is_the_number_of_hand_overs_that_were_counted_one_by_one(moment, length, every, weekday, zone, hour):
    """The oracle lists every hand-over since the start by the calendar of the standard library."""
    people = ["a", "b", "c"]
    rotation = Rotation(
        people=people,
        start="2026-01-01",
        handover=f"{hour:02}:00",
        every=every,
        weekday=weekday,
        length=length,
        zone=zone,
    )
    place = ZoneInfo(zone)
    day = datetime(2026, 1, 1, hour, tzinfo=place)
    while every == "week" and day.weekday() != weekday:
        day += timedelta(days=1)
    turns = -1
    step = timedelta(days=length * (7 if every == "week" else 1))  # by the wall's clocks: the zone stays
    while us(day) <= moment:
        turns += 1
        day += step
    assert on_call(schedule(rotation), moment) == ([people[turns % 3]] if turns >= 0 else [])


@given(moments, st.sampled_from(["high", "medium", "low"]), st.integers(0, 23), st.integers(0, 23))
def test_quiet_hours_hold_back_all_but_high_alarms(moment, priority, start, end):
    quiet = [QuietHours(f"{start:02}:00", f"{end:02}:00", "Europe/Berlin")]
    hour = datetime.fromtimestamp(moment / 1e6, BERLIN).hour
    within = start <= hour < end if start < end else hour >= start or hour < end
    changes = (
        datetime.fromtimestamp(moment / 1e6, BERLIN).utcoffset()
        != datetime.fromtimestamp(moment / 1e6 - 86_400, BERLIN).utcoffset()
    )
    if not changes:
        assert may_send(quiet, priority, moment) == (priority == "high" or not within)
    assert may_send(quiet, "high", moment)
    assert may_send([], priority, moment)
    assert may_send([QuietHours("00:00", "00:00", "Nowhere/Land")], priority, moment)
