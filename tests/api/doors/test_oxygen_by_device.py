"""A device's oxygen and coma scale count for NEWS2, from the HTTP door to the patient's state."""

import pytest

from tests.api.conftest import eventually

VITAL = {
    "respiratory_rate": 18, "oxygen_saturation": 97, "systolic_bp": 120, "heart_rate": 80, "body_temperature": 37.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("patient", "sent", "oxygen", "consciousness", "total"),
    [
        ("awake", {"oxygen_flow": 0, "glasgow_coma_scale": 15}, 0, 0, 0),
        ("flow", {"oxygen_flow": 6, "glasgow_coma_scale": 15}, 2, 0, 2),
        ("fraction", {"inspired_oxygen_fraction": 40, "glasgow_coma_scale": 14}, 2, 3, 5),
        ("drowsy", {"inspired_oxygen_fraction": 21, "glasgow_coma_scale": 9}, 0, 3, 3),
    ],
)
def test_what_a_device_reports_is_in_the_score(running, device, patient, sent, oxygen, consciousness, total):
    readings = [running.reading(patient=patient, signal=name, value=value) for name, value in (VITAL | sent).items()]
    assert device.post("/v1/observations", json=readings).json()["taken"] == len(readings)
    ward = running.person(f"nurse-{patient}", "clinician")

    def score():
        found = ward.get(f"/v1/patients/{patient}/state").json().get("news2") or {}
        return found if not found.get("missing", ["all"]) else None

    found = eventually(score)
    assert (found["parts"]["oxygen"], found["parts"]["consciousness"], found["score"]) == (oxygen, consciousness, total)


def test_what_is_charted_later_counts_instead(running, device):
    ward = running.person("charting", "clinician")
    readings = [
        running.reading(patient="charted", signal=name, value=value)
        for name, value in (VITAL | {"oxygen_flow": 6, "glasgow_coma_scale": 8}).items()
    ]
    assert device.post("/v1/observations", json=readings).json()["taken"] == len(readings)
    state = eventually(lambda: ward.get("/v1/patients/charted/state").json().get("news2"))
    assert state["score"] == 5
    for kind, value in (("oxygen", 0), ("consciousness", "A")):
        answer = ward.post("/v1/facts", json={"patient": "charted", "kind": kind, "value": value})
        assert answer.status_code in {200, 202}, answer.text
    eventually(lambda: ward.get("/v1/patients/charted/state").json()["news2"]["score"] == 0)
