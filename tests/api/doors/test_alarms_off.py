"""Turning alarms off: who may do it, what is required, and where it is shown."""

import pytest

from tests.api.conftest import eventually


@pytest.fixture(scope="module")
def patient(admin):
    assert admin.post("/v1/patients", json={"id": "o", "ward": "A"}).status_code == 201
    return "/v1/patients/o"


def test_it_has_a_name_a_reason_and_an_end_and_everybody_sees_it(running, admin, patient):
    nurse = running.person("night.nurse", "clinician", ("A",))
    answer = nurse.put(f"{patient}/alarms-off/heart_rate", json={"minutes": 30, "reason": "theatre, monitored there"})
    assert answer.status_code == 200, answer.text
    told = answer.json()["heart_rate"]
    assert (told["by"], told["reason"]) == ("night.nurse", "theatre, monitored there")
    assert told["until"] > running.now()
    assert admin.get(f"{patient}/alarms-off").json() == {"heart_rate": told}
    assert admin.get(patient).json()["alarms_off"] == {"heart_rate": told}
    (listed,) = [one for one in admin.get("/v1/patients").json()["items"] if one["id"] == "o"]
    assert listed["alarms_off"] == {"heart_rate": told}
    trail = eventually(lambda: [e for e in admin.get("/v1/audit").json()["items"] if "alarms off" in e["detail"]])
    assert (trail[0]["patient"], "theatre" in trail[0]["detail"]) == ("o", True)
    assert nurse.delete(f"{patient}/alarms-off/heart_rate").json() == {}
    assert admin.get(patient).json()["alarms_off"] == {}


@pytest.mark.parametrize(
    "body",
    [{}, {"minutes": 30}, {"reason": "because"}, {"minutes": 0, "reason": "because"}, {"minutes": 721, "reason": "because"},
     {"minutes": 30, "reason": ""}, {"minutes": 1.5, "reason": "because"}],
)  # fmt: skip
def test_without_a_reason_or_an_end_nothing_is_turned_off(admin, patient, body):
    assert admin.put(f"{patient}/alarms-off/heart_rate", json=body).status_code == 422
    assert admin.get(f"{patient}/alarms-off").json() == {}


def test_who_may_not_set_limits_turns_nothing_off(running, patient):
    body = {"minutes": 30, "reason": "because"}
    assert (
        running.person("looker", "viewer", ("A",)).put(f"{patient}/alarms-off/heart_rate", json=body).status_code == 403
    )
    assert (
        running.person("other", "clinician", ("B",)).put(f"{patient}/alarms-off/heart_rate", json=body).status_code
        == 404
    )


@pytest.mark.parametrize("signal", ["oxygen_flow", "mood"])
def test_a_signal_without_limits_is_refused(admin, patient, signal):
    body = {"minutes": 30, "reason": "because"}
    assert admin.put(f"{patient}/alarms-off/{signal}", json=body).status_code == 422
