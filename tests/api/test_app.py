"""The application around the doors: sign-in, headers, hosts, problems, pages, metrics."""

import re

import pytest

from api.accounts import errors
from api.http.problems import PROBLEMS
from tests.api.conftest import PASSWORD


def slug(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("/problems/")


@pytest.fixture(autouse=True, scope="module")
def _root(admin):
    """An account to sign in with."""


def test_wrong_password(running):
    answer = running.client().post("/v1/session", json={"name": "root", "password": "wrong"})
    assert (answer.status_code, slug(answer)) == (401, "invalid-credentials")


def test_a_cookie_needs_our_own_origin(running):
    client = running.client()
    assert client.post("/v1/session", json={"name": "root", "password": PASSWORD}).status_code == 200
    assert client.get("/v1/patients").status_code == 200
    for origin in (None, "null", "http://evil.example", running.url + "1", "https://evil.example/" + running.url):
        headers = {} if origin is None else {"Origin": origin}
        assert slug(client.post("/v1/tickets", headers=headers)) == "foreign-origin"
        assert slug(client.post("/v1/patients", json={"id": "x"}, headers=headers)) == "foreign-origin"
    assert client.post("/v1/tickets", headers={"Origin": running.url}).json()["expires_in"] == 30
    foreign = running.client(Origin="http://evil.example")
    assert slug(foreign.post("/v1/session", json={"name": "root", "password": PASSWORD})) == "foreign-origin"


def test_other_host_names_are_not_answered(running):
    client = running.client()
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost.evil:8000"):
        answer = client.get("/health/live", headers={"Host": host})
        assert (answer.status_code, slug(answer)) == (421, "misdirected")
    for host in ("localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"):
        assert client.get("/health/live", headers={"Host": host}).status_code == 200


def test_allowed_hosts_are_answered(start):
    open_one = start(allowed_hosts=["ward.example"])
    assert open_one.client().get("/health/live", headers={"Host": "ward.example:8000"}).status_code == 200
    assert open_one.client().get("/health/live", headers={"Host": "other.example"}).status_code == 421


def test_demo_signs_the_local_browser_in(start):
    demo = start(demo=True)
    browser = demo.client(Origin=demo.url)
    told = browser.get("/v1/session").json()
    assert (told["role"], told["demo"]) == ("admin", True)
    assert browser.post("/v1/patients", json={"id": "x"}).status_code == 201
    assert (
        slug(browser.post("/v1/patients", json={"id": "y"}, headers={"Origin": "http://evil.example"}))
        == "foreign-origin"
    )
    lured = demo.client(**{"Sec-Fetch-Site": "cross-site"})
    assert slug(lured.post("/v1/patients", json={"id": "y"})) == "foreign-origin"
    program = demo.client()
    assert program.post("/v1/patients", json={"id": "z"}).status_code == 201
    assert program.get("/v1/session", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/docs/docs.js", "/v1/session", "/health/live", "/nothing", "/openapi.json"]
)
def test_every_answer_has_security_headers(running, path):
    headers = running.client().get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    if path.startswith("/v1"):
        assert headers["cache-control"] == "no-store"


def test_unknown_addresses_and_methods(running):
    client = running.client()
    assert slug(client.get("/nothing")) == "not-found"
    assert slug(client.post("/nothing")) == "not-found"
    answer = client.delete("/v1/patients")
    assert (answer.status_code, slug(answer)) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"
    assert client.get("/v1/observations").headers["allow"] == "POST"


@pytest.mark.parametrize("size", [2_000_000, None])
def test_ordinary_doors_are_bounded(running, size):
    body = b'{"name": "' + b"x" * 2_000_000 + b'"}'
    content = body if size else (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    answer = running.client().post("/v1/session", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, slug(answer)) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"\xff", 400), (b'{"a":' * 10_000, 400), (b"[]", 422), (b"", 422)]
)
def test_unreadable_bodies_of_ordinary_doors(admin, body, status):
    answer = admin.post("/v1/patients", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert slug(answer) == ("malformed-body" if status == 400 else "invalid")


def test_every_problem_is_explained(running):
    client = running.client()
    for kind in PROBLEMS.values():
        told = client.get(kind.address).json()
        assert (told["type"], told["title"], told["status"]) == (kind.address, kind.title, kind.status)
        assert told["advice"]
    assert client.get("/problems/none").status_code == 404


def every(kind):
    yield kind
    for sub in kind.__subclasses__():
        yield from every(sub)


@pytest.mark.parametrize("kind", list(every(errors.AccountsError)), ids=lambda kind: kind.__name__)
def test_errors_of_accounts_are_in_the_table(kind):
    if kind is errors.AccountsError:
        return
    assert PROBLEMS[kind.slug].status == kind.status


def test_an_unexpected_error_reveals_no_details(running, admin, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(running.view, "wards", fail)
    answer = admin.get("/v1/wards")
    assert (answer.status_code, slug(answer)) == (500, "internal")
    assert "secret" not in answer.text


def test_pages_are_kept_by_browsers_and_asked_for(running):
    client = running.client()
    page = client.get("/docs/docs.js")
    assert page.headers["content-type"] == "text/javascript; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    again = client.get("/docs/docs.js", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get("/docs/docs.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == page.text
    assert client.get("/docs/../app.py").status_code == 404
    assert client.get("/%2e%2e/app.py").status_code == 404


def test_the_reference_loads_nothing_from_elsewhere(running):
    client = running.client()
    html = client.get("/docs").text
    assert re.findall(r'(?:src|href)="([^"]+)"', html) == [
        "data:,", "docs/docs.css", "docs/docs.js", "openapi.json", "asyncapi.json", "./",
    ]  # fmt: skip
    assert client.get("/docs/").headers["location"] == "../docs"  # its relative links would be wrong
    assert "<script>" not in html
    assert "style=" not in html


def test_figures(running, device):
    device.post("/v1/observations", json=[running.reading(), running.reading(signal="mood")])
    text = running.client().get("/metrics").text
    assert "vitaltwin_ready 1.0" in text
    assert 'vitaltwin_refused_total{reason="unknown_signal"}' in text
    assert 'vitaltwin_http_request_seconds_count{method="POST",route="/v1/observations",status="200"}' in text
    assert "# HELP vitaltwin_patients " in text


def test_figures_behind_sign_in(start):
    shy = start(metrics_need_sign_in=True)
    for path in ("/metrics", "/health/ready"):
        assert shy.client().get(path).status_code == 401
        assert shy.device().get(path).status_code == 200
    assert shy.client().get("/health/live").status_code == 200


def test_the_table_of_signals_and_the_clock(admin):
    rows = admin.get("/v1/signals").json()
    assert [row["code"] for row in rows] == list(range(len(rows)))
    assert rows[3]["limits"]["high"] is None
    by_name = {row["name"]: row for row in rows}
    assert (by_name["pulse_rate"]["news2"], by_name["pulse_rate"]["news2_order"]) == ("pulse", 1)
    assert (by_name["glucose"]["news2"], by_name["glucose"]["horizons_min"][-1]) == (None, 120)
    assert (by_name["glasgow_coma_scale"]["horizons_min"], by_name["glasgow_coma_scale"]["states"]) == ([], [])
    assert admin.get("/v1/clock").json()["speed"] == 1.0


def test_accounts(running, admin):
    made = admin.post("/v1/accounts", json={"name": "ada", "role": "viewer", "wards": ["A"], "password": PASSWORD})
    assert made.status_code == 201
    assert slug(admin.post("/v1/accounts", json={"name": "ada", "role": "viewer"})) == "conflict"
    assert admin.patch("/v1/accounts/ada", json={"role": "clinician"}).json()["role"] == "clinician"
    ada = running.client(Origin=running.url)
    assert ada.post("/v1/session", json={"name": "ada", "password": PASSWORD}).json()["wards"] == ["A"]
    assert slug(ada.get("/v1/accounts")) == "forbidden"
    assert admin.patch("/v1/accounts/ada", json={"disabled": True}).json()["disabled"] is True
    assert ada.get("/v1/session").status_code == 401
    assert slug(admin.patch("/v1/accounts/root", json={"role": "viewer"})) == "last-administrator"
    link = admin.post("/v1/accounts/root/link").json()["address"]
    assert running.client(Origin=running.url).post(link).json()["name"] == "root"
    assert "ada" in {one["name"] for one in admin.get("/v1/accounts").json()["items"]}


def test_the_pages(running):
    client = running.client()
    front = client.get("/")
    assert front.headers["content-type"] == "text/html; charset=utf-8"
    assert front.content == client.get("/index.html").content
    for kind, address in re.findall(r'(src|href)="([^"#]+)"', front.text):
        if not address.startswith(("data:", "#")):
            found = client.get(f"/{address.removeprefix('./').removeprefix('/')}")
            assert found.status_code == 200, (kind, address)
    assert client.get("/__init__.py").status_code == 404


def test_every_answer_names_its_request(running, admin):
    for path in ("/health/live", "/v1/patients", "/nowhere"):
        first, second = (admin.get(path).headers["x-request-id"] for _ in range(2))
        assert first != second
        assert admin.get(path, headers={"X-Request-Id": "gateway-7.1:a"}).headers["x-request-id"] == "gateway-7.1:a"
        for junk in ("a b", "x" * 65, "{}"):
            assert admin.get(path, headers={"X-Request-Id": junk}).headers["x-request-id"] != junk


def test_a_growing_figure_is_a_counter(running):
    figures = running.client().get("/metrics").text
    kinds = dict(line.split()[2:4] for line in figures.splitlines() if line.startswith("# TYPE"))
    for name in (
        "websocket_slow_total",
        "log_failures_total",
        "log_records_total",
        "twins_rebuilt_total",
        "clock_set_back_total",
    ):
        assert kinds[f"vitaltwin_{name}"] == "counter"
    assert not [name for name, kind in kinds.items() if kind == "gauge" and name.endswith("_total")]
    for name in ("estimate_age_seconds", "worker_lag_seconds", "clock_apart_seconds", "ready"):
        assert kinds[f"vitaltwin_{name}"] == "gauge"
