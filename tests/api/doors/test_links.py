"""One-time links over HTTP: reading one changes nothing, and a signed-in person is not replaced without consent."""

import re

import pytest

from tests.api.conftest import PASSWORD


def slug(answer):
    return answer.json()["type"].removeprefix("/problems/")


@pytest.fixture(autouse=True, scope="module")
def _root(admin):
    """An administrator."""


def link(running, name="root"):
    return running.call(running.accounts.sign_in_link(running.accounts.system_actor(), name))


def test_reading_a_link_changes_nothing_however_often(running):
    token = link(running)
    pages = [running.client(**headers).get("/sign-in", params={"token": token}) for headers in (
        {}, {"Purpose": "prefetch", "Sec-Purpose": "prefetch"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
    )]  # fmt: skip
    for page in pages:
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "set-cookie" not in page.headers
        assert token not in page.text
        assert "no-store" in page.headers["cache-control"]
    assert running.client(Origin=running.url).post("/sign-in", params={"token": token}).status_code == 200


def test_the_page_finds_what_it_loads_beside_itself(running):
    client = running.client()
    text = client.get("/sign-in", params={"token": "x"}).text
    for kind, address in re.findall(r'(src|href)="([^"#:]+)"', text):
        assert not address.startswith("/"), (kind, address)
        assert client.get(f"/{address.removeprefix('./')}").status_code == 200, (kind, address)


def test_sign_in_by_link_once(running):
    token = link(running)
    client = running.client(Origin=running.url)
    first = client.post("/sign-in", params={"token": token})
    assert (first.status_code, first.json()["name"], first.json()["by_link"]) == (200, "root", True)
    for cookie in first.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "secure" not in cookie.lower()
    assert first.headers["referrer-policy"] == "no-referrer"
    told = client.get("/v1/session").json()
    assert (told["name"], told["role"], told["wards"], told["demo"]) == ("root", "admin", ["*"], False)
    again = running.client(Origin=running.url).post("/sign-in", params={"token": token})
    assert (again.status_code, slug(again)) == (401, "link-refused")
    assert "set-cookie" not in again.headers
    assert client.delete("/v1/session").status_code == 204
    assert slug(client.get("/v1/session")) == "unauthenticated"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_cannot_use_a_link(running, headers):
    token = link(running)
    refused = running.client(**headers).post("/sign-in", params={"token": token})
    assert (refused.status_code, slug(refused)) == (403, "foreign-origin")
    assert running.client(Origin=running.url).post("/sign-in", params={"token": token}).status_code == 200


def test_a_foreign_link_swaps_no_session_unasked(running):
    nurse = running.person("linked-nurse", "clinician", ("A",))
    token = link(running)
    asked = nurse.post("/sign-in", params={"token": token})
    assert (asked.status_code, slug(asked), asked.json()["name"]) == (409, "signed-in-already", "linked-nurse")
    assert nurse.post("/sign-in", params={"token": token, "instead_of": "somebody"}).status_code == 409
    assert nurse.get("/v1/session").json()["name"] == "linked-nurse"
    before = nurse.cookies["vitaltwin_session"]
    assert nurse.post("/sign-in", params={"token": token, "instead_of": "linked-nurse"}).json()["name"] == "root"
    assert nurse.get("/v1/session").json()["name"] == "root"
    old = running.client(Cookie=f"vitaltwin_session={before}")
    assert old.get("/v1/session").status_code == 401


def test_a_link_that_is_refused_leaves_who_is_signed_in(running):
    nurse = running.person("staying-nurse", "clinician", ("A",))
    assert nurse.post("/sign-in", params={"token": "x" * 43, "instead_of": "staying-nurse"}).status_code == 401
    assert nurse.get("/v1/session").json()["name"] == "staying-nurse"


def test_after_a_link_a_password_is_set_without_one_and_only_then(running):
    nurse = running.person("lost-nurse", "clinician", ("A",))
    nurse.delete("/v1/session")
    assert nurse.post("/sign-in", params={"token": link(running, "lost-nurse")}).status_code == 200
    assert nurse.put("/v1/session/password", json={"new": "short"}).status_code == 422
    assert nurse.put("/v1/session/password", json={"new": "a brand new secret"}).status_code == 204
    assert nurse.get("/v1/session").json()["by_link"] is False
    assert slug(nurse.put("/v1/session/password", json={"new": "yet another secret"})) == "invalid-credentials"
    fresh = running.client(Origin=running.url)
    answer = fresh.post("/v1/session", json={"name": "lost-nurse", "password": "a brand new secret"})
    assert answer.json()["by_link"] is False
    assert fresh.post("/v1/session", json={"name": "lost-nurse", "password": PASSWORD}).status_code == 401


def test_changes_of_an_account_are_all_or_nothing(running, admin):
    nurse = running.person("changed-nurse", "clinician", ("A",))
    refused = admin.patch("/v1/accounts/changed-nurse", json={"password": "a brand new secret", "role": "admin"})
    assert (refused.status_code, slug(refused)) == (422, "invalid")
    assert nurse.get("/v1/session").json()["role"] == "clinician"
    again = running.client(Origin=running.url)
    assert again.post("/v1/session", json={"name": "changed-nurse", "password": PASSWORD}).status_code == 200
    taken = admin.patch(
        "/v1/accounts/changed-nurse", json={"password": "a brand new secret", "role": "admin", "wards": ["*"]}
    )
    assert taken.json()["role"] == "admin"
    assert nurse.get("/v1/session").status_code == 401
    known = again.post("/v1/session", json={"name": "changed-nurse", "password": "a brand new secret"})
    assert known.json()["role"] == "admin"
