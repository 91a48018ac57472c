"""The service behind nginx, with TLS and under a path: every page, link, script, socket and stream works."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import ROOT, require
from tests.support.service import ServiceUnderTest, free_port

PREFIX = "/ward"


class Site(NamedTuple):
    """A service and its public address."""

    service: ServiceUnderTest
    address: str


@contextmanager
def proxied(folder: Path, service: int, *, keep_prefix: bool) -> Iterator[int]:
    """The nginx configuration of docs/proxy.md on a free port."""
    found = next((at for at in ("/usr/sbin/nginx", "/usr/local/sbin/nginx") if os.access(at, os.X_OK)), "nginx")
    nginx = require(Path(found) if "/" in found else found, "apt-get install nginx-light")
    openssl = require("openssl", "apt-get install openssl")
    certificate, key = folder / "site.pem", folder / "site.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    told = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "proxy.md").read_text(), re.DOTALL)
    assert told
    upstream = f"http://127.0.0.1:{service}" + ("" if keep_prefix else "/")
    site = told[1]
    for written, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/ward.example.pem": str(certificate),
        "/etc/ssl/ward.example.key": str(key),
        "http://127.0.0.1:8000/": upstream,
    }.items():
        assert written in site
        site = site.replace(written, ours)
    places = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder / 'nginx.pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{site}\n}}\n"
    )
    with (
        (folder / "nginx.log").open("w") as log,
        subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 30
            while not _open(port):
                assert process.poll() is None, (folder / "nginx.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["taken off", "kept"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with a path prefix, behind a proxy that removes or keeps it."""
    with ServiceUnderTest(path_prefix=PREFIX, trusted_proxies='["127.0.0.1"]') as service:
        service.start()
        with proxied(tmp_path_factory.mktemp("nginx"), service.port, keep_prefix=request.param == "kept") as port:
            yield Site(service, f"https://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def sender(site: Site) -> Iterator[httpx.Client]:
    """A device that sends through the proxy."""
    headers = {"Authorization": f"Bearer {site.service.key()}"}
    with httpx.Client(base_url=site.address, verify=_trusting(), headers=headers, timeout=60) as client:
        yield client


def _trusting() -> ssl.SSLContext:
    """A client TLS context that trusts the test's certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def visited(browser: Browser, site: Site) -> Iterator[tuple[Page, list[str]]]:
    """A page and its errors: answers of 400 and more, addresses outside the prefix, script errors."""
    wrong: list[str] = []
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} {answer.url}"))
    page.on("request", lambda asked: _beside(asked.url, site) and wrong.append(f"beside the prefix: {asked.url}"))
    page.on("websocket", lambda line: _beside(line.url, site) and wrong.append(f"beside the prefix: {line.url}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page, wrong
    context.close()


def _beside(url: str, site: Site) -> bool:
    return not url.startswith(("data:", f"{site.address}{PREFIX}/", f"{site.address.replace('http', 'ws')}{PREFIX}/"))


def observe(sender: httpx.Client, value: float) -> None:
    now = sender.get(f"{PREFIX}/v1/clock").json()["now"]
    entry = {"patient": "proxied", "signal": "heart_rate", "time": now, "value": value, "unit": "/min"}
    answer = sender.post(f"{PREFIX}/v1/observations", json=[entry])
    assert answer.json().get("taken") == 1, answer.text


def test_every_page_works_and_the_ward_lives(site: Site, sender: httpx.Client, visited: tuple[Page, list[str]]) -> None:
    page, wrong = visited
    observe(sender, 70.0)
    link = re.search(r"\S*/sign-in\?token=\S+", site.service.said())
    assert link
    page.goto(site.address + PREFIX + "/sign-in" + link[0].partition("/sign-in")[2])
    page.get_by_role("button").first.click()
    page.get_by_role("link", name="Not now").click()
    expect(page.locator("body")).to_contain_text("proxied", timeout=60_000)
    assert page.url.startswith(f"{site.address}{PREFIX}/")
    observe(sender, 83.0)
    expect(page.locator("body")).to_contain_text("83", timeout=60_000)
    cookie = next(one for one in page.context.cookies() if one["name"] == "vitaltwin_session")
    assert cookie["secure"]
    _events_come_at_once(site, f"{cookie['name']}={cookie['value']}")
    for link_of_page in _links(page):
        page.goto(link_of_page)
        page.wait_for_load_state("networkidle") if "#" not in link_of_page else page.wait_for_timeout(500)
    for place in ("#/patient/proxied", "#/alarms", "#/admin"):
        page.goto(f"{site.address}{PREFIX}/{place}")
        page.wait_for_timeout(500)
    page.goto(f"{site.address}{PREFIX}/docs")
    expect(page.locator("body")).to_contain_text("/v1/observations", timeout=60_000)
    asked_whether_signed_in = f"401 {site.address}{PREFIX}/v1/session"
    assert set(wrong) <= {asked_whether_signed_in}


def _events_come_at_once(site: Site, cookie: str) -> None:
    with (
        httpx.Client(verify=_trusting(), headers={"Cookie": cookie}, timeout=60) as person,
        person.stream("GET", f"{site.address}{PREFIX}/v1/events") as answer,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        assert next(line for line in lines if line.startswith("event:")) == "event: snapshot"


def _links(page: Page) -> list[str]:
    return sorted({str(one.evaluate("link => link.href")) for one in page.locator("a[href]").all()})
