"""A preview of limits: what other limits would have done with the readings of a running service."""

import numpy as np
import pytest

from streams.history.nothing import NoHistory
from tests.api.conftest import eventually

ADDRESS = "/v1/limits/preview"


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("/problems/")


@pytest.fixture(scope="module")
def ward(running, admin, device):
    """Ten minutes of a pulse of 72 with three dips of 30, 90 and 30 s to 47, below the limit of 50 but above 45."""
    assert admin.post("/v1/patients", json={"id": "ada", "ward": "A"}).status_code == 201
    value = np.full(600, 72.0)
    for first, length in ((120, 30), (240, 90), (420, 30)):
        value[first : first + length] = 47.0
    entries = [
        running.reading(patient="ada", time=running.now(second - 600), value=float(one))
        for second, one in enumerate(value)
    ]
    for part in range(0, 600, 100):
        assert device.post("/v1/observations", json=entries[part : part + 100]).json()["taken"] == 100
    eventually(lambda: admin.get("/v1/patients/ada/history", params={"signal": "heart_rate"}).json()["time"][599:])


def asked(admin, **body):
    answer = admin.post(ADDRESS, json={"patient": "ada", "days": 0.1, "source": "history"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _of_all(found):
    return found if found["readings"] == 600 else None


def test_lower_limit_loses_the_alarms_and_says_that_one_lasted(ward, admin):
    # The history has what the last checkpoint covers.
    found = eventually(lambda: _of_all(asked(admin, limits={"heart_rate": {"low": 45.0}})))
    low = [one for one in found["lost"] if one["family"] == "low"]
    assert (len(low), found["lost_sustained"], found["gained_count"]) == (3, 1, 0)
    assert found["present"]["alarms"] - found["changed"]["alarms"] == 3
    assert [one["source"] for one in found["parts"]] == ["history"]
    assert {"answers", "arrival"} <= set(found["missing"])
    longest = max(low, key=lambda one: len(one["readings"]))
    assert {value for _, value in longest["readings"]} == {47.0, 72.0}
    assert all(one["limit"] == 50.0 and one["end"] for one in low)
    shown = admin.get("/v1/patients/ada/limits").json()["heart_rate"]
    assert (shown["low"], shown["origin"]) == (50.0, "default"), "nothing was set"


def test_higher_limit_gains_and_a_delay_loses_the_short_ones(ward, admin):
    found = asked(admin, limits={"heart_rate": {"high": 70.0}})
    assert {one["condition"] for one in found["gained"]} >= {"limit.high"}
    delayed = asked(admin, limits={"heart_rate": {"delay_s": 60.0}})
    lost = [one for one in delayed["lost"] if one["family"] == "low"]
    assert (len(lost), delayed["lost_sustained"]) == (2, 0)


def test_the_log_has_the_moments_of_arrival(ward, admin):
    """The readings arrived together, minutes late: as in the service, that is nothing to alarm anybody about any more."""
    found = asked(admin, limits={"heart_rate": {"low": 45.0}}, source="log")
    assert [one["source"] for one in found["parts"]] == ["log"]
    assert "arrival" not in found["missing"]
    assert (found["readings"], found["lost_count"]) == (600, 0)


def test_a_whole_ward_and_rules(ward, admin):
    rule = {"id": "slow", "when": "heart_rate < 48", "for_s": 20, "priority": "medium", "text": {"en": "slow"}}
    found = admin.post(ADDRESS, json={"ward": "A", "source": "history", "rules": {"rules": [rule]}}).json()
    assert {one["condition"] for one in found["gained"]} == {"rule.slow"}
    assert (found["patients"], found["lost_count"]) == (1, 0)
    nobody = admin.post(ADDRESS, json={"ward": "Z", "limits": {"heart_rate": {"low": 45.0}}}).json()
    assert (nobody["patients"], nobody["readings"], nobody["present"]["alarms"]) == (0, 0, 0)


def test_suggestions(ward, admin, running):
    """Three alarms are too few to suggest anything; that a suggestion holds is tested where it is made."""
    found = admin.get("/v1/patients/ada/limit-suggestions", params={"hours": 1}).json()
    assert (found["patient"], found["items"]) == ("ada", [])
    assert found["readings"] == 600
    assert (
        problem(running.person("nurse-of-b", "viewer", ("B",)).get("/v1/patients/ada/limit-suggestions")) == "not-found"
    )
    assert admin.get("/v1/patients/ada/limit-suggestions", params={"hours": 99}).status_code == 422


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"limits": {"heart_rate": {"low": 45.0}}}, "one_of"),
        ({"patient": "ada", "ward": "A", "limits": {"heart_rate": {"low": 45.0}}}, "one_of"),
        ({"patient": "ada"}, "one_of"),
        ({"patient": "ada", "limits": {"heart_rate": {"low": 5.0}}}, "out_of_range"),
        ({"patient": "ada", "limits": {"mood": {"low": 5.0}}}, "unknown_signal"),
        ({"patient": "ada", "limits": {"heart_rate": {"low": 45.0}}, "days": 99}, "less_than_equal"),
        ({"patient": "ada", "rules": {"rules": [{"id": "x"}]}}, "bad_rule"),
        (
            {
                "patient": "ada", "limits": {"heart_rate": {"low": 45.0}}, "start": "2026-01-02T00:00:00Z",
                "end": "2026-01-01T00:00:00Z",
            },
            "ends_before_start",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(ward, admin, body, reason):
    answer = admin.post(ADDRESS, json=body)
    assert (answer.status_code, problem(answer)) == (422, "invalid")
    assert reason in {one["reason"] for one in answer.json()["errors"]}, answer.text


def test_who_may_ask(ward, running, admin):
    body = {"patient": "ada", "limits": {"heart_rate": {"low": 45.0}}, "days": 0.01}
    viewer = running.person("viewer-of-b", "viewer", ("B",))
    assert problem(viewer.post(ADDRESS, json=body)) == "not-found"
    assert problem(viewer.post(ADDRESS, json={"ward": "A", "limits": body["limits"]})) == "forbidden"
    assert running.person("viewer-of-a", "viewer", ("A",)).post(ADDRESS, json=body).status_code == 200
    newest = admin.get("/v1/audit", params={"limit": 1}).json()["items"][0]
    assert (newest["action"], newest["patient"]) == ("limits.preview", "ada")


def test_a_service_without_history_says_so(ward, running, admin, monkeypatch):
    monkeypatch.setattr(running.service, "history", NoHistory())
    body = {"patient": "ada", "limits": {"heart_rate": {"low": 45.0}}}
    assert problem(admin.post(ADDRESS, json=body)) == "history-not-kept"
