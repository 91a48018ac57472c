"""Limits: they are converted from any unit, and no limit turns an alarm off."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.conftest import eventually
from twins.alarms.limit_settings import BOUNDS, flaw, in_own_unit
from twins.signals import BY_NAME, SIGNALS
from twins.units import accepted, factor

LIMITED = [signal for signal in SIGNALS if signal.filtered]


@pytest.fixture(scope="module")
def patient(admin):
    assert admin.post("/v1/patients", json={"id": "u", "ward": "north"}).status_code == 201
    return "u"


@pytest.fixture(params=["/v1/patients/u/limits", "/v1/limits?ward=north"])
def place(request, patient):
    return request.param


@pytest.mark.parametrize(
    ("signal", "given", "asks"),
    [
        ("glucose", {"critical_low": 3.0, "low": 3.9}, 'did you mean 3 mmol/L? Then say "unit": "mmol/L"'),
        ("oxygen_saturation", {"critical_low": 0.85, "low": 0.9}, 'did you mean 0.85 1? Then say "unit": "1"'),
        ("body_temperature", {"high": 100.4, "critical_high": 104}, 'Then say "unit": "[degF]"'),
        ("systolic_bp", {"low": 12.0}, 'did you mean 12 kPa? Then say "unit": "kPa"'),
        ("heart_rate", {"low": 0.8}, 'did you mean 0.8 /s? Then say "unit": "/s"'),
    ],
)
def test_a_bound_in_another_unit_is_refused_with_the_question(admin, place, signal, given, asks):
    before = admin.get(place).json()
    answer = admin.put(place, json={signal: given})
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert fault["reason"] == "out_of_range"
    assert fault["field"] == f"{signal}.{next(iter(given))}"
    assert asks in fault["detail"]
    assert admin.get(place).json() == before


@pytest.mark.parametrize(
    ("signal", "given", "in_force"),
    [
        ("glucose", {"unit": "mmol/L", "critical_low": 3.0, "low": 3.9}, {"critical_low": 54.0468, "low": 70.26084}),
        ("oxygen_saturation", {"unit": "1", "critical_low": 0.8, "low": 0.9}, {"critical_low": 80.0, "low": 90.0}),
        (
            "body_temperature",
            {"unit": "°F", "high": 100.4, "critical_high": 104},
            {"high": 38.0, "critical_high": 40.0},
        ),
        ("systolic_bp", {"unit": "mmHg", "low": 95, "delay_s": 60}, {"low": 95.0, "delay_s": 60.0}),
    ],
)
def test_a_unit_is_taken(admin, place, signal, given, in_force):
    answer = admin.put(place, json={signal: given})
    assert answer.status_code == 200, answer.text
    shown = answer.json()[signal]
    assert {name: shown[name] for name in in_force} == pytest.approx(in_force)


def test_a_foreign_unit_is_refused_with_those_that_would_work(admin, place):
    fault = admin.put(place, json={"glucose": {"low": 4.0, "unit": "kPa"}}).json()["errors"][0]
    assert fault["reason"] == "unknown_unit"
    assert "mg/dL, mmol/L" in fault["detail"]


@pytest.mark.parametrize(
    ("signal", "given"),
    [
        ("heart_rate", {"critical_low": -10_000, "low": -9_999}),
        ("heart_rate", {"high": 299, "critical_high": 300}),
        ("oxygen_saturation", {"critical_low": 30, "low": 31}),
        ("glucose", {"critical_low": 20}),
        ("heart_rate", {"delay_s": 3600}),
        ("oxygen_saturation", {"delay_s": 121}),
        ("second_oxygen_saturation", {"critical_low": 31}),
    ],
)
def test_no_limit_and_no_delay_silences_an_alarm(admin, place, signal, given):
    answer = admin.put(place, json={signal: given})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["reason"] == "out_of_range"


def test_an_alarm_sounds_at_limits_given_in_another_unit(running, admin, device, patient):
    admin.put("/v1/patients/u/limits", json={"glucose": {"unit": "mmol/L", "critical_low": 3.5, "low": 4.5}})
    reading = running.reading(patient="u", signal="glucose", value=3.3, unit="mmol/L")
    assert device.post("/v1/observations", json=reading).json()["taken"] == 1
    found = []

    def alarms():
        found[:] = admin.get("/v1/alarms", params={"patient": "u"}).json()["items"]
        return found

    eventually(alarms)
    assert "limit.critical_low" in {one["condition"] for one in found}


@given(
    signal=st.sampled_from(LIMITED),
    bound=st.sampled_from(BOUNDS),
    value=st.floats(-1e6, 1e6),
    choose=st.randoms(use_true_random=False),
)
def test_what_is_accepted_can_be_reached_and_is_not_beyond_the_farthest(signal, bound, value, choose):
    unit = choose.choice(accepted(signal))
    wrong, _ = flaw(signal, {bound: value}, unit)
    scale, offset = factor(signal, unit)
    own = in_own_unit(signal, {bound: value}, unit)[bound]
    assert own == pytest.approx(value * scale + offset, abs=1e-6)
    reachable = signal.plausible[0] <= own <= signal.plausible[1]
    farthest = getattr(signal.farthest, bound)
    beyond = not math.isnan(farthest) and (own < farthest if bound.endswith("low") else own > farthest)
    assert (wrong == "") == (reachable and not beyond)


def test_the_farthest_limits_lie_outside_the_defaults_and_within_what_is_plausible():
    for signal in LIMITED:
        for bound in BOUNDS:
            default, farthest = getattr(signal.limits, bound), getattr(signal.farthest, bound)
            assert math.isnan(default) or not math.isnan(farthest), (signal.name, bound)
            if not math.isnan(farthest):
                assert signal.plausible[0] <= farthest <= signal.plausible[1]
            assert not (farthest > default if bound.endswith("low") else farthest < default)
        assert signal.delay_s <= signal.longest_delay_s
    assert BY_NAME["heart_rate"].farthest.critical_high == 250.0


NIGHT = {"from_time": "22:00", "to_time": "06:00", "low": 40}


def test_limits_for_parts_of_the_day_are_set_kept_and_removed(admin, place, patient):
    night = {"night": NIGHT, "noon": {"from_time": "12:00", "to_time": "13:00", "high": 110}}
    shown = admin.put(place, json={"heart_rate": {"high": 125, "periods": night}}).json()["heart_rate"]
    assert shown["periods"]["night"]["low"] == 40
    assert shown["periods"]["noon"] == {
        "from_time": "12:00", "to_time": "13:00", "critical_low": None, "low": None, "high": 110, "critical_high": None,
        "delay_s": None,
    }  # fmt: skip
    assert shown["origins"]["critical_high"]["level"] == "default"
    own = "patient" if "patients" in place else "ward"
    assert shown["origins"]["high"]["level"] == own
    assert (shown["origins"]["high"]["set_by"], bool(shown["origins"]["high"]["set_at"])) == ("root", True)
    shown = admin.patch(place, json={"heart_rate": {"high": 126}}).json()["heart_rate"]
    assert set(shown["periods"]) == {"night", "noon"}
    shown = admin.patch(place, json={"heart_rate": {"periods": None, "falling_per_min": 10}}).json()["heart_rate"]
    assert (shown["periods"], shown["own"]) == ({}, {"high": 126, "falling_per_min": 10})
    assert admin.put(place, json={"heart_rate": None}).json()["heart_rate"]["origin"] == "default" or own == "patient"


@pytest.mark.parametrize(
    ("periods", "field", "said"),
    [
        ({"night": NIGHT, "early": {"from_time": "05:00", "to_time": "07:00", "low": 45}}, "", "overlap at 05:00"),
        ({"night": NIGHT | {"low": 130}}, ".night", "rising order"),
        ({"night": NIGHT | {"to_time": "22:00"}}, ".night", "different times"),
        ({"night": {"from_time": "22:00", "to_time": "06:00"}}, ".night", "sets no limit"),
        ({"night": NIGHT | {"low": 4}}, ".night.low", "lies outside"),
    ],
)
def test_a_part_of_the_day_that_cannot_be_meant_is_refused_with_its_place(admin, place, periods, field, said):
    answer = admin.patch(place, json={"heart_rate": {"periods": periods}})
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert fault["field"] == f"heart_rate.periods{field}"
    assert said in fault["detail"]


def test_a_ward_has_a_time_zone(admin, patient):
    assert admin.patch("/v1/wards/north", json={"time_zone": "Europe/Berlin"}).json()["time_zone"] == "Europe/Berlin"
    assert [one["time_zone"] for one in admin.get("/v1/wards").json()["items"] if one["name"] == "north"] == [
        "Europe/Berlin"
    ]
    assert admin.patch("/v1/wards/north", json={"time_zone": "Mars"}).status_code == 422
    assert admin.patch("/v1/wards/north", json={"time_zone": "site"}).status_code == 200
    eventually(lambda: admin.get("/v1/wards").json()["items"][0]["time_zone"] == "UTC")


def test_the_limits_of_a_child_are_those_of_its_age(admin):
    admin.post("/v1/patients", json={"id": "small", "ward": "south", "age_years": 2})
    shown = admin.get("/v1/patients/small/limits").json()["heart_rate"]
    assert (shown["low"], shown["high"], shown["origin"]) == (70, 150, "default")
    assert (shown["origins"]["high"]["band"], "PEWS" in shown["origins"]["high"]["source"]) == ("child", True)
