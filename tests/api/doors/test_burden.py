"""The burden of alarms over HTTP: real alarms of real readings, who may see what, and what cannot be asked."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.history.nothing import NoHistory
from tests.api.conftest import eventually

ADDRESS = "/v1/alarm-burden"


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("/problems/")


@pytest.fixture(scope="module")
def ward(running, admin, device):
    """Two patients of two wards. The pulse of one falls below the limit twice; a clinician acknowledges."""
    headers = {"Origin": running.url}
    for patient, name in (("ada", "A"), ("bea", "B")):
        admitted = admin.post("/v1/patients", json={"id": patient, "ward": name}, headers=headers)
        assert admitted.status_code == 201, admitted.text
        entries = [
            running.reading(patient=patient, time=running.now(-40 + second), value=72.0 if second < 20 else 31.0)
            for second in range(40)
        ]
        assert device.post("/v1/observations", json=entries).json()["taken"] == 40
    alarms = eventually(lambda: admin.get("/v1/alarms", params={"patient": "ada"}).json()["items"])
    chosen = next(one for one in alarms if one["condition"].startswith("limit."))
    assert admin.post(f"/v1/alarms/{chosen['id']}/acknowledge", headers=headers).status_code == 200
    return chosen


def test_alarms_answers_and_groups(ward, admin):
    answer = eventually(lambda: _acknowledged(admin))
    assert answer["alarms"] == sum(one["alarms"] for one in answer["by_ward"]) > 1
    assert answer["alarms"] == sum(one["alarms"] for one in answer["by_hour"])
    assert {one["name"] for one in answer["by_ward"]} == {"A", "B"}
    assert ward["condition"] in {one["name"] for one in answer["by_condition"]}
    assert 0 < answer["patient_days"] < 0.1
    assert answer["answers"]["median_s"] >= 0
    assert {source["patient"] for source in answer["sources"]} == {"ada", "bea"}
    assert answer["zone"] == "UTC"


def _acknowledged(client):
    answer = client.get(ADDRESS).json()
    # The stays may be so short that their patient-days are still rounded to 0.
    return answer if answer["answers"]["acknowledged"] == 1 and answer["patient_days"] > 0 else None


def test_the_hours_are_those_of_the_zone(ward, admin):
    def hours(zone):
        return [one["alarms"] for one in admin.get(ADDRESS, params={"zone": zone}).json()["by_hour"]]

    utc, east = hours("UTC"), hours("Etc/GMT-5")  # five hours ahead
    assert [east[(hour + 5) % 24] for hour in range(24)] == utc


def test_a_person_sees_only_the_wards_within_reach(ward, running):
    nurse = running.person("nurse-of-b", "viewer", ("B",))
    answer = nurse.get(ADDRESS).json()
    assert [one["name"] for one in answer["by_ward"]] == ["B"]
    assert {source["patient"] for source in answer["sources"]} == {"bea"}
    assert problem(nurse.get(ADDRESS, params={"ward": "A"})) == "forbidden"
    assert problem(running.device(scopes=("observations:write",)).get(ADDRESS)) == "forbidden"
    assert problem(running.client().get(ADDRESS)) == "unauthenticated"
    key = running.device(wards=("A",), scopes=("patients:read",))
    assert [one["name"] for one in key.get(ADDRESS).json()["by_ward"]] == ["A"]


def test_reading_it_leaves_an_entry_in_the_audit_trail(ward, admin):
    assert admin.get(ADDRESS, params={"ward": "B"}).status_code == 200
    newest = admin.get("/v1/audit", params={"limit": 1}).json()["items"][0]
    assert newest["action"] == "alarm_burden.read"
    assert newest["detail"].endswith(" ward B")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "ends_before_start"),
        ({"start": "0001-01-01T00:00:00Z"}, "too_long"),
        ({"start": "yesterday"}, "time_unreadable"),
        ({"zone": "Middle/Earth"}, "unknown_zone"),
        ({"zone": "../../etc/passwd"}, "unknown_zone"),
        ({"zone": ""}, "unknown_zone"),
        ({"ward": ""}, "bad_name"),
    ],
)
def test_what_cannot_be_asked(ward, admin, wrong, reason):
    answer = admin.get(ADDRESS, params=wrong)
    assert (answer.status_code, problem(answer)) == (422, "invalid")
    assert reason in {one["reason"] for one in answer.json()["errors"]}


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time(ward, admin, end):
    answer = admin.get(ADDRESS, params={"start": end, "end": end, "zone": "Pacific/Kiritimati"}).json()
    assert (answer["alarms"], answer["band"]) == (0, "unknown")


def test_a_service_without_history_says_so(ward, running, admin, monkeypatch):
    monkeypatch.setattr(running.service, "history", NoHistory())
    assert problem(admin.get(ADDRESS)) == "history-not-kept"


def test_metrics_count_what_sounded(ward, admin, running):
    answer = admin.get(ADDRESS).json()

    def samples(name):
        text = running.client().get("/metrics").text
        found = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return [(one.labels, one.value) for one in found if one.name == name]

    eventually(lambda: sum(value for _, value in samples("vitaltwin_alarms_acknowledged_total")) == 1)
    sounded = samples("vitaltwin_alarms_total")
    assert sum(value for labels, value in sounded if labels["what"] == "alarm") == answer["alarms"]
    assert {(labels["ward"], value) for labels, value in samples("vitaltwin_alarms_in_10_min")} == {
        (one["name"], one["alarms"]) for one in answer["by_ward"]
    }
    assert [value for _, value in samples("vitaltwin_alarm_flood")] == [0.0, 0.0]
    waits = [value for labels, value in samples("vitaltwin_alarm_acknowledge_seconds_bucket") if labels["le"] == "+Inf"]
    assert waits == [1.0]
