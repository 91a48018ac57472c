"""Guessing from many addresses: people who know their password are not locked out, and the disk does not fill."""

import pytest

from tests.api.conftest import PASSWORD

NAMED = {"trusted_proxies": ["127.0.0.1"]}


def tries(running, count, name="nurse", addresses=20):
    return [
        running.client(Origin=running.url, **{"X-Forwarded-For": f"198.51.100.{number % addresses}"})
        .post("/v1/session", json={"name": name, "password": "wrong"})
        .status_code
        for number in range(count)
    ]


def entries(admin, **filters):
    return admin.get("/v1/audit", params={"limit": 1000, **filters}).json()["items"]


def test_the_usual_browser_gets_in_whatever_strangers_try(start):
    running = start(**NAMED)
    admin, nurse = running.person("root", "admin"), running.person("nurse", "clinician", ("A",))
    nurse.delete("/v1/session")
    assert set(tries(running, 120)) <= {401, 429}
    nurse.headers["X-Forwarded-For"] = "203.0.113.9"  # the usual browser at an unusual address
    answer = nurse.post("/v1/session", json={"name": "nurse", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    stranger = running.client(Origin=running.url, **{"X-Forwarded-For": "203.0.113.10"})
    assert stranger.post("/v1/session", json={"name": "nurse", "password": PASSWORD}).status_code == 429
    refused = [entry for entry in entries(admin) if entry["outcome"] != "ok"]
    assert sum(entry["count"] for entry in refused) == 121
    assert len(refused) <= 2 * 21


def test_sixty_good_sign_ins_from_one_address_get_in(running):
    running.person("busy", "viewer", ("A",))
    for _ in range(70):
        client = running.client(Origin=running.url)
        assert client.post("/v1/session", json={"name": "busy", "password": PASSWORD}).status_code == 200


def test_many_people_behind_one_router_at_once(running):
    """At the start of a shift, each person first mistypes once."""
    for number in range(20):
        running.person(f"shift-{number}", "viewer", ("A",)).delete("/v1/session")
    for number in range(20):
        client = running.client(Origin=running.url)
        wrong = client.post("/v1/session", json={"name": f"shift-{number}", "password": "mistyped it"})
        right = client.post("/v1/session", json={"name": f"shift-{number}", "password": PASSWORD})
        assert (wrong.status_code, right.status_code) == (401, 200)


def test_a_flood_of_links_writes_next_to_nothing(start):
    running = start()
    admin = running.person("root", "admin")
    client = running.client(Origin=running.url)
    before = len(entries(admin))
    assert {client.get("/sign-in", params={"token": "x" * 43}).status_code for _ in range(300)} == {200}
    statuses = [client.post("/sign-in", params={"token": f"{number:043}"}).status_code for number in range(300)]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) == 60
    found = entries(admin)
    assert len(found) <= before + 3
    counts = {entry["outcome"]: entry["count"] for entry in found if entry["outcome"] != "ok"}
    assert counts == {"link-refused": 60, "too-many-attempts": 240}


def test_many_made_up_names_are_not_many_entries(start):
    running = start(**NAMED)
    admin = running.person("root", "admin")
    for number in range(60):
        tries(running, 1, name=f"made-up-{number}", addresses=1)
    refused = [entry for entry in entries(admin) if entry["outcome"] == "invalid-credentials"]
    assert len(refused) == 21
    assert sum(entry["count"] for entry in refused) == 60
    assert "(several)" in {entry["actor"] for entry in refused}


def test_forwarded_addresses_are_believed_from_nobody_unless_named(start):
    plain = start()
    plain.person("nurse", "viewer", ("A",))
    statuses = tries(plain, 100)
    assert statuses.count(401) == 5  # loopback is not a proxy by default: all of them are one address
    secure = plain.client(Origin=plain.url, **{"X-Forwarded-Proto": "https"})
    answer = secure.post("/v1/session", json={"name": "nurse", "password": PASSWORD})
    assert answer.status_code == 429


@pytest.mark.parametrize(
    ("settings", "secure"), [({}, False), (NAMED, True), ({"trusted_proxies": ["10.0.0.0/8"]}, False)]
)
def test_cookies_are_for_https_where_a_named_proxy_says_so(start, settings, secure):
    running = start(**settings)
    running.person("nurse", "viewer", ("A",))
    client = running.client(Origin=running.url, **{"X-Forwarded-Proto": "https"})
    answer = client.post("/v1/session", json={"name": "nurse", "password": PASSWORD})
    assert ("Secure" in answer.headers["set-cookie"]) is secure


def test_a_proxy_that_is_no_address_is_refused_at_the_start(start):
    with pytest.raises(ValueError, match="trusted_proxies"):
        start(trusted_proxies=["proxy.example"])
