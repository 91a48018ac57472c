"""Oxygen and consciousness from devices count for NEWS2 like charted ones: the newest wins, and becomes stale."""

import math

import pytest

from tests.twins.models.deterioration.test_eligibility import scores
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.records import Fact, Retract, SetProfile, Tick


def tell(ward, at, earlier=0, **values):
    ward.take(frame(at, *[("p", name, value, earlier) for name, value in values.items()]))
    ward.take(Tick(T0 + (at + 1) * S))
    return scores(ward)[-1]


def chart(ward, at, kind, value, earlier=0):
    ward.take(Fact(patient="p", kind=kind, value=value, time=T0 + (at - earlier) * S, received=T0 + at * S))
    return scores(ward)[-1]


@pytest.mark.parametrize(
    ("told", "points"),
    [
        ({"oxygen_flow": 6}, 2), ({"oxygen_flow": 0}, 0), ({"oxygen_flow": 0.5}, 2), ({"inspired_oxygen_fraction": 40}, 2),
        ({"inspired_oxygen_fraction": 21}, 0), ({"inspired_oxygen_fraction": 21.4}, 0), ({"inspired_oxygen_fraction": 22}, 2),
        ({"oxygen_flow": 0, "inspired_oxygen_fraction": 40}, 2), ({"oxygen_flow": 6, "inspired_oxygen_fraction": 21}, 2),
        ({"oxygen_flow": 0, "inspired_oxygen_fraction": 21}, 0), ({"oxygen_flow": 200}, None), ({"oxygen_flow": -1}, None),
        ({"inspired_oxygen_fraction": 0.4}, None),
    ],
)  # fmt: skip
def test_oxygen_by_device_counts(told, points):
    ward = Ward()
    score = tell(ward, 5, heart_rate=80, **told)
    assert score.parts.get("oxygen") == points
    assert ("oxygen" in score.missing) is (points is None)


@pytest.mark.parametrize(("scale", "points"), [(15, 0), (14, 3), (13, 3), (8, 3), (3, 3), (2, None), (16, None)])
def test_a_coma_scale_counts_as_consciousness(scale, points):
    assert tell(Ward(), 5, heart_rate=80, glasgow_coma_scale=scale).parts.get("consciousness") == points


def test_the_newest_of_charted_and_device_facts_wins():
    ward = Ward()
    assert tell(ward, 10, heart_rate=80, oxygen_flow=6).parts["oxygen"] == 2
    assert chart(ward, 20, "oxygen", 0.0).parts["oxygen"] == 0
    assert tell(ward, 30, earlier=15, oxygen_flow=4).parts["oxygen"] == 0  # measured before it was charted
    assert tell(ward, 40, oxygen_flow=2).parts["oxygen"] == 2
    assert chart(ward, 50, "oxygen", 0.0, earlier=30).parts["oxygen"] == 2  # charted for a time before
    assert tell(ward, 60, glasgow_coma_scale=9).parts["consciousness"] == 3
    assert chart(ward, 70, "consciousness", "A").parts["consciousness"] == 0
    assert (ward.bank.profile(0).consciousness, ward.bank.profile(0).measured["glasgow_coma_scale"].value) == ("A", 9)


def test_a_device_that_went_off_long_ago_gives_no_oxygen_beside_one_that_says_air():
    ward = Ward()
    assert tell(ward, 10, heart_rate=80, inspired_oxygen_fraction=40).parts["oxygen"] == 2
    assert tell(ward, 20, heart_rate=80, oxygen_flow=0).parts["oxygen"] == 2
    assert tell(ward, 900, heart_rate=80, oxygen_flow=0).parts["oxygen"] == 0


def test_device_facts_become_stale_and_missing_like_charted_ones():
    ward = Ward()
    tell(ward, 5, heart_rate=80, oxygen_flow=6, glasgow_coma_scale=15)
    for hour in range(1, 26):
        tell(ward, hour * 3600, heart_rate=80)
    stale = {tuple(score.stale) for score in scores(ward)}
    assert ("oxygen", "consciousness") in stale
    assert {"oxygen", "consciousness"} <= set(scores(ward)[-1].missing)


def test_a_device_fact_can_be_retracted_and_one_dated_ahead_is_filed_at_arrival():
    ward = Ward()
    tell(ward, 5, heart_rate=80, glasgow_coma_scale=3)
    ward.take(Retract(patient="p", signal="glasgow_coma_scale", time=T0 + 5 * S, received=T0 + 6 * S))
    ward.take(frame(30, ("p", "heart_rate", 80)))
    assert "consciousness" in scores(ward)[-1].missing
    tell(ward, 40, earlier=-59, oxygen_flow=6)
    assert chart(ward, 50, "oxygen", 0.0).parts["oxygen"] == 0


def test_scale_two_uses_the_oxygen_of_a_device():
    ward = Ward()
    ward.take(SetProfile(patient="p", spo2_scale=2, received=T0))
    assert tell(ward, 5, heart_rate=80, oxygen_saturation=97).parts.get("oxygen_saturation") is None
    assert tell(ward, 60, oxygen_saturation=97, oxygen_flow=2).parts["oxygen_saturation"] == 3


def test_the_profile_is_sent_again_only_when_it_has_changed():
    ward = Ward()
    tell(ward, 5, heart_rate=80, oxygen_flow=6)
    before = len(ward.outcomes)
    for at in range(6, 60):
        tell(ward, at, heart_rate=80, oxygen_flow=6 + at % 3 / 10)
    assert [one for outcome in ward.outcomes[before:] for one in outcome.profiles] == []
    tell(ward, 61, heart_rate=80, oxygen_flow=9)
    assert ward.outcomes[-2].profiles[0].measured["oxygen_flow"].value == 9


def test_it_survives_a_restart():
    ward = Ward()
    tell(ward, 5, heart_rate=80, oxygen_flow=6)
    fresh = Bank()
    restore(fresh, block_of(ward.bank, 0, len(ward.log) - 1))
    fresh.finish_catch_up()
    assert block_of(fresh, 0, 9).arrays == block_of(ward.bank, 0, 9).arrays
    assert fresh.profile(0).measured["oxygen_flow"].value == 6
    assert math.isnan(fresh.device[0, 2, 0])
