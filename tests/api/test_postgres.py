"""Doors with accounts in a real PostgreSQL: they share accounts, and they survive an outage of the server."""

import json
import time

import pytest
from websockets.sync.client import connect

from tests.api.conftest import PASSWORD

pytestmark = pytest.mark.fault


def settled(answer, status):
    """Repeats the request until it has this status."""
    deadline = time.monotonic() + 20
    while (given := answer()).status_code != status:
        assert time.monotonic() < deadline, given.text
        time.sleep(0.1)
    return given


def test_a_list_and_a_socket_begun_at_one_door_go_on_at_another(start, postgres):
    url = postgres.empty()
    one, other = (start(accounts_database=url) for _ in range(2))
    admin = one.person("grace", "admin")
    there = other.client(Origin=other.url, Cookie=f"vitaltwin_session={admin.cookies['vitaltwin_session']}")
    assert there.get("/v1/session").json()["name"] == "grace"

    first = admin.get("/v1/audit", params={"limit": 1})
    following = first.headers["link"].partition(">")[0].removeprefix("<")
    second = there.get(following)
    assert second.status_code == 200
    assert second.json()["items"] != first.json()["items"]

    ticket = admin.post("/v1/tickets").json()["ticket"]
    with connect(other.url.replace("http", "ws") + "/ws") as line:
        line.send(json.dumps({"type": "auth", "ticket": ticket, "id": 1}))
        assert json.loads(line.recv(timeout=15))["type"] == "result"

    key = admin.post("/v1/devices", json={"name": "monitor", "wards": ["*"], "may_admit": True}).json()["key"]
    monitor = other.client(Authorization=f"Bearer {key}")
    assert monitor.post("/v1/observations", json=other.reading()).json()["taken"] == 1


def test_while_the_server_is_away_people_wait_and_readings_do_not(start, own_postgres, monkeypatch):
    monkeypatch.setattr("api.accounts.sessions.REMEMBERED_S", 2.0)
    door = start(accounts_database=own_postgres.url)
    admin, monitor = door.person("grace", "admin"), door.device()
    admin.get("/v1/audit")

    own_postgres.stop()
    asked = time.monotonic()
    assert monitor.post("/v1/observations", json=door.reading()).json()["taken"] == 1
    away = settled(lambda: admin.get("/v1/session"), 503)  # cached sessions go on as long as they are cached
    assert time.monotonic() - asked < 10
    assert away.json()["type"] == "/problems/store-unavailable"
    assert "try again" in away.json()["detail"]
    assert "127.0.0.1" not in away.text
    assert away.headers["retry-after"] == "5"
    name_and_password = {"name": "grace", "password": PASSWORD}
    assert door.client(Origin=door.url).post("/v1/session", json=name_and_password).status_code == 503
    unknown = door.client(Authorization=f"Bearer vt_abcdefgh_{'x' * 43}")
    assert unknown.post("/v1/observations", json=door.reading()).status_code == 503  # it may be a new session
    assert monitor.post("/v1/observations", json=door.reading(value=73.0)).json()["taken"] == 1
    assert door.client().get("/health/ready").status_code == 200

    own_postgres.start()
    assert settled(lambda: admin.get("/v1/session"), 200).json()["name"] == "grace"
    outcomes = [entry["outcome"] for entry in admin.get("/v1/audit").json()["items"]]
    assert "store-unavailable" in outcomes


def test_a_server_that_starts_anew_between_two_requests_goes_unnoticed(start, own_postgres):
    door = start(accounts_database=own_postgres.url)
    admin = door.person("grace", "admin")
    while door.accounts.counters()["audit_pending"]:
        time.sleep(0.01)  # otherwise the audit trail would notice the restart first
    own_postgres.stop()
    own_postgres.start()
    assert admin.get("/v1/accounts").status_code == 200
    assert admin.post("/v1/accounts", json={"name": "ada", "role": "viewer", "wards": ["A"]}).status_code == 201
