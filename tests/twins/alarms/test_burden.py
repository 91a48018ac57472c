"""The burden of alarms against hand calculations, and floods against a count of every window."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.alarms.burden import FLOOD_ENDS, FLOOD_OVER, Tally, band_of, floods_of, patient_days
from twins.records import Stay, Transition

S = 1_000_000
MIN, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


def change(alarm, number, time, presence="on", **given):
    """A transition as an earlier version stored it: nothing says what caused it."""
    given = {
        "condition": "limit.low",
        "signal": "heart_rate",
        "priority": "medium",
        "patient": "p",
        "ward": "A",
    } | given
    standing = given.pop("standing", presence in {"on", "acknowledged"})
    return Transition(
        id=f"{alarm}-{number}",
        alarm=alarm,
        number=number,
        presence=presence,
        onset=0,
        time=time,
        standing=standing,
        **given,
    )


def burden_of(transitions, days=None, end=DAY):
    tally = Tally(0, end)
    for one in transitions:
        tally.add(one)
    return tally.sum_up({"A": 2.0} if days is None else days)


def test_a_day_by_hand():
    """Four alarms of two patients in one ward and one of another ward, worked out on paper."""
    burden = burden_of(
        [
            # Ends by itself after 7 s.
            change("a", 1, HOUR), change("a", 2, HOUR + 7 * S, "off", ended=HOUR + 7 * S),
            # Acknowledged after 30 s, over after 10 min.
            change("b", 1, 2 * HOUR, priority="high", condition="limit.critical_low"),
            change("b", 2, 2 * HOUR + 30 * S, "acknowledged", priority="high", condition="limit.critical_low", by="ada"),
            change("b", 3, 2 * HOUR + 600 * S, "off", priority="high", condition="limit.critical_low", by="ada"),
            # Latched after 5 s and acknowledged after 90 s: it ended within 10 s, and somebody acknowledged it.
            change("c", 1, 3 * HOUR, patient="q", explanation={"device": "monitor 7"}),
            change("c", 2, 3 * HOUR + 5 * S, "latched", patient="q", ended=3 * HOUR + 5 * S),
            change("c", 3, 3 * HOUR + 90 * S, "off", patient="q", by="ada", ended=3 * HOUR + 5 * S),
            # Goes on.
            change("d", 1, 3 * HOUR + MIN, patient="q"),
            # A past episode alarmed nobody.
            change("e", 1, 4 * HOUR, past=True), change("e", 2, 4 * HOUR, "off", past=True),
            change("f", 1, 5 * HOUR, ward="B", patient="r"), change("f", 2, 5 * HOUR + 11 * S, "off", patient="r", ward="B"),
        ],
        {"A": 2.0, "B": 0.5},
    )  # fmt: skip
    assert (burden.alarms, burden.rises, burden.patient_days) == (5, 0, 2.5)
    assert burden.per_patient_day == pytest.approx(2.0)
    assert burden.per_10_min == pytest.approx(5 / 144)
    assert {one.name: (one.alarms, one.acknowledged, one.ended_soon) for one in burden.by_priority} == {
        "medium": (4, 1, 2), "high": (1, 1, 0),
    }  # fmt: skip
    assert [(one.name, one.alarms, one.per_patient_day) for one in burden.by_ward] == [("A", 4, 2.0), ("B", 1, 2.0)]
    assert {one.name: one.alarms for one in burden.by_hour if one.alarms} == {"01": 1, "02": 1, "03": 2, "05": 1}
    assert len(burden.by_hour) == 24
    assert {one.name: one.alarms for one in burden.by_device} == {"": 4, "monitor 7": 1}
    answers = burden.answers
    assert (answers.acknowledged, answers.median_s, answers.ended_soon, answers.unanswered) == (2, 60.0, 2, 1)
    assert answers.p95_s == pytest.approx(30 + 0.95 * 60)
    assert [(one.patient, one.alarms, one.share) for one in burden.sources][:2] == [("q", 2, 0.4), ("p", 1, 0.2)]
    assert (burden.most_in_10_min, burden.most_at, burden.band) == (2, 3 * HOUR, "acceptable")
    assert burden.floods == []
    met = {one.name: (one.value, one.met) for one in burden.guidelines}
    assert met["high_share"] == (0.2, False)
    assert met["most_in_10_min"] == (2.0, True)
    assert met["top_sources_share"] == (pytest.approx(1.0), False)


def test_nothing_happened():
    burden = burden_of([], {})
    assert (burden.alarms, burden.per_patient_day, burden.per_10_min) == (0, None, 0.0)
    assert burden.answers.acknowledged_share is None
    assert [one.met for one in burden.guidelines if one.name.endswith("share") and one.name != "flooded_share"] == [
        None
    ] * 4


def test_only_the_period_counts():
    burden = burden_of([change("a", 1, DAY), change("b", 1, DAY - 1)])
    assert burden.alarms == 1
    assert Tally(0, 0).sum_up({}).band == "unknown"


def test_a_shower_is_one_flood():
    """13 alarms, 50 s apart, then one every 4 or 5 min."""
    times = [50 * n * S for n in range(13)] + [second * S for second in (900, 1140, 1380, 1620)]
    (flood,) = floods_of(times, "A")
    # The eleventh makes it a flood. At 900 s seven came within 10 min, at 1140 s four: it ended before.
    assert (flood.begin, flood.end, flood.alarms, flood.ward) == (0, 900 * S, 14, "A")
    assert floods_of(times[:10]) == []
    assert floods_of([n * MIN for n in range(30)]) == [], "10 in 10 min are not more than 10"


@given(st.lists(st.integers(0, 3600), max_size=70, unique=True))
def test_floods_are_where_a_count_of_every_window_finds_them(seconds):
    times = sorted(seconds)
    recent = {time: sum(time - 600 < other <= time for other in times) for time in times}
    floods = floods_of([time * S for time in times])
    inside = {time for flood in floods for time in times if flood.begin <= time * S <= flood.end}
    assert {time for time in times if recent[time] > FLOOD_OVER} <= inside
    for time in inside - {time for time in times if recent[time] >= FLOOD_ENDS}:
        first = next(other for other in times if other > time and recent[other] > FLOOD_OVER)
        assert first - time < 600, "few in 10 min belong to a flood only as its beginning"
    for flood in floods:
        assert flood.alarms == sum(flood.begin <= time * S <= flood.end for time in times)
    assert all(one.end < following.begin for one, following in itertools.pairwise(floods))


def test_patient_days_of_stays():
    stays = [
        Stay(patient="p", admitted=-DAY, begin=-DAY, ward="A"),
        Stay(patient="q", admitted=DAY // 2, begin=0, discharged=3 * DAY, ward="A"),
        Stay(patient="r", admitted=0, begin=0, discharged=DAY // 4, ward="B"),
        Stay(patient="s", admitted=2 * DAY, begin=0, ward="C"),
    ]
    assert patient_days(stays, 0, DAY) == {"A": 1.5, "B": 0.25}


@pytest.mark.parametrize(
    ("rate", "band"), [(0, "acceptable"), (1.01, "manageable"), (3, "demanding"), (5.1, "unacceptable")]
)
def test_bands(rate, band):
    assert band_of(rate) == band
