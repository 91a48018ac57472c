"""A device that sends no unit: its key has the unit."""

import json

import pytest

from tests.api.conftest import eventually


def made(running, admin, **wanted):
    answer = admin.post("/v1/devices", json={"name": "CGM", "wards": ["*"], "may_admit": True} | wanted)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    return running.client(Authorization=f"Bearer {told['key']}"), told["device"]


def glucose(running, value, **changes):
    return running.reading(patient="g", signal="glucose", value=value) | changes


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_its_readings_are_taken_in_the_unit_of_its_key(running, admin, kind):
    device, told = made(running, admin, units={"glucose": "mmol/L"})
    assert told["units"] == {"glucose": "mmol/L"}
    entry = json.dumps(glucose(running, 5.0))
    answer = device.post("/v1/observations", content=entry, headers={"Content-Type": kind})
    assert answer.json()["taken"] == 1, answer.text

    def shown():
        signals = admin.get("/v1/patients/g/state").json()["signals"]
        return "glucose" in signals and signals["glucose"]["value"] == pytest.approx(90.08, abs=0.01)

    eventually(shown)


def test_what_an_entry_names_counts_and_a_key_that_says_nothing_is_asked(running, admin):
    device, _ = made(running, admin, units={"glucose": "mmol/L"})
    assert device.post("/v1/observations", json=glucose(running, 95.0, unit="mg/dL")).json()["taken"] == 1
    eventually(lambda: admin.get("/v1/patients/g/state").json()["signals"]["glucose"]["value"] == 95.0)
    plain, told = made(running, admin)
    assert told["units"] == {}
    refused = plain.post("/v1/observations", json=glucose(running, 95.0))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["reason"] == "unit_missing"


@pytest.mark.parametrize("units", [{"mood": "1"}, {"glucose": "kPa"}, {"glucose": ""}, {"glucose": 5}, "mmol/L"])
def test_units_that_mean_nothing_are_refused(admin, units):
    answer = admin.post("/v1/devices", json={"name": "x", "wards": ["*"], "units": units})
    assert answer.status_code == 422


def test_a_key_keeps_its_units_over_a_restart(running, admin):
    _, told = made(running, admin, units={"body_temperature": "[degF]"})
    running.call(running.accounts._devices.refresh())
    assert running.accounts._devices.current(told["id"]).units == {"body_temperature": "[degF]"}
