"""A service without a history says so, and the readings that a ward page draws are one entry in the audit trail."""

import pytest

from streams.history.nothing import NoHistory
from tests.api.live.test_sockets import hear, opened, say


@pytest.fixture(scope="module")
def somebody(running, device, admin):
    assert admin.post("/v1/patients", json={"id": "drawn", "ward": "D"}).status_code == 201
    assert device.post("/v1/observations", json=running.reading(patient="drawn")).json()["taken"] == 1
    return running.person("doc", "clinician", ("D",))


def asked(person, **more):
    return person.get("/v1/patients/drawn/history", params={"signal": "heart_rate"} | more)


def entries(admin):
    found = admin.get("/v1/audit", params={"patient": "drawn", "limit": 500}).json()["items"]
    return [one["detail"] for one in found if one["detail"].startswith("history")]


@pytest.mark.parametrize(
    "address", ["history", "history?kind=estimates", "history?points=180", "history?kind=facts", "history/smoothed"]
)
def test_no_history_is_no_trouble_that_passes(running, somebody, monkeypatch, address):
    monkeypatch.setattr(running.service, "history", NoHistory())
    answer = somebody.get(f"/v1/patients/drawn/{address}", params={"signal": "heart_rate"})
    assert answer.status_code == 501
    assert answer.json()["type"] == "/problems/history-not-kept"
    assert "retry-after" not in answer.headers
    assert somebody.get("/v1/patients/drawn/state").json()["history"] is False


def test_a_state_says_that_a_history_is_kept(somebody):
    assert somebody.get("/v1/patients/drawn/state").json()["history"] is True


def test_what_a_followed_wards_page_draws_leaves_no_entry_of_its_own(running, somebody, admin):
    before = len(entries(admin))
    assert asked(somebody, points=180).status_code == 200
    assert len(entries(admin)) == before + 1, "nobody follows the ward"
    with opened(running, somebody) as line:
        say(line, type="subscribe", id=2, channel="ward/D", max_hz=1)
        hear(line, "snapshot")
        for _ in range(5):
            assert asked(somebody, points=180).status_code == 200
        assert len(entries(admin)) == before + 1
        # A closer look adds an entry, and so does another session.
        assert asked(somebody).status_code == 200
        assert asked(somebody, points=180, start=running.now(-40 * 3600)).status_code == 200
        assert asked(somebody, points=2000).status_code == 200
        assert asked(admin, points=180).status_code == 200
        assert len(entries(admin)) == before + 5
    said = [one["detail"] for one in admin.get("/v1/audit", params={"limit": 500}).json()["items"]]
    assert said.count("follow ward/D") == 1
