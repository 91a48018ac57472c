"""A patient of another ward and an unknown patient get exactly the same answer at every door."""

import json

import pytest

ELSEWHERE, NOBODY = "oracle-in-b", "oracle-none"

ASKED = [
    *(("GET", f"/v1/patients/{{id}}{tail}", None) for tail in (
        "", "/state", "/forecast", "/models", "/limits", "/stays", "/history?signal=heart_rate", "/history?kind=facts",
        "/smoothed?signal=heart_rate",
    )),
    ("GET", "/v1/alarms?patient={id}", None),
    ("GET", "/v1/alarms?patient={id}&state=all", None),
    ("PATCH", "/v1/patients/{id}", {"bed": "7"}),
    ("DELETE", "/v1/patients/{id}", None),
    ("PUT", "/v1/patients/{id}/limits", {"heart_rate": {"high": 130}}),
    ("PATCH", "/v1/patients/{id}/limits", {"heart_rate": {"high": 130}}),
    ("POST", "/v1/facts", {"patient": "{id}", "kind": "note", "note": "seen"}),
    ("POST", "/v1/observations", {"patient": "{id}", "signal": "heart_rate", "value": 70, "time": "{now}"}),
    (
        "POST", "/v1/observations",
        {"patient": "{id}", "signal": "heart_rate", "time": "{now}", "status": "entered-in-error"},
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def askers(running, admin):
    admin.post("/v1/patients", json={"id": ELSEWHERE, "ward": "B"})
    admin.put(f"/v1/patients/{ELSEWHERE}/limits", json={"heart_rate": {"high": 140}})
    scopes = ["observations:write", "facts:write", "patients:read"]
    return {
        "clinician": running.person("oracle-nurse", "clinician", ("A",)),
        "device": running.device(wards=["A"], scopes=scopes, may_admit=False),
    }


def answer(client, running, method, path, body, patient):
    told = None
    if body is not None:
        told = json.loads(json.dumps(body).replace("{id}", patient).replace("{now}", running.now()))
    found = client.request(method, path.replace("{id}", patient), json=told)
    said = found.text.replace(patient, "{id}")
    return found.status_code, said, sorted(found.headers.keys())


@pytest.mark.parametrize("who", ["clinician", "device"])
@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_the_answers_are_the_same(running, askers, who, method, path, body):
    client = askers[who]
    elsewhere, nobody = (answer(client, running, method, path, body, patient) for patient in (ELSEWHERE, NOBODY))
    assert elsewhere == nobody
    assert elsewhere[0] in {200, 403, 404, 405, 422}


@pytest.mark.parametrize("path", ["/v1/limits?ward={id}", "/v1/patients?ward={id}", "/v1/alarms?ward={id}"])
def test_a_ward_elsewhere_and_no_ward_are_the_same(running, askers, path):
    for client in askers.values():
        assert answer(client, running, "GET", path, None, "B") == answer(client, running, "GET", path, None, "Q")


def test_accounts_and_keys_are_told_to_administrators_only(running, admin, askers):
    admin.post("/v1/accounts", json={"name": "oracle-there", "role": "viewer"})
    nurse = askers["clinician"]
    for method, path, body in (
        ("PATCH", "/v1/accounts/{id}", {"disabled": True}),
        ("POST", "/v1/accounts/{id}/link", None),
        ("DELETE", "/v1/devices/{id}", None),
    ):
        there = answer(nurse, running, method, path, body, "oracle-there")
        assert there == answer(nurse, running, method, path, body, "oracle-gone")
        assert there[0] == 403
    made = nurse.post("/v1/accounts", json={"name": "oracle-there", "role": "viewer"})
    assert made.status_code == 403
