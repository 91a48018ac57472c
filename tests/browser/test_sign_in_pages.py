"""From a one-time link to a password, and back to the requested view, in a real browser, also behind a path prefix."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.api.cli.test_serve import ServiceUnderTest

PASSWORD = "a few words to remember"
PREFIX = "/vt"


def running_in(folder: Path, **settings: str) -> ServiceUnderTest:
    """A separate service, with its first link."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITALTWIN_")}
    environment = kept | {"XDG_STATE_HOME": str(folder), "VITALTWIN_DATABASE": str(folder / "home.db")} | settings
    return ServiceUnderTest([str(Path(sys.executable).with_name("vitaltwin"))], environment, folder).start()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ServiceUnderTest]:
    """An empty service."""
    made = running_in(tmp_path)
    yield made
    made.end()


class Proxy(BaseHTTPRequestHandler):
    """Forwards plain requests, without the prefix in the path."""

    inside = 0

    def pass_on(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self.send_error(404)
            return
        with closing(HTTPConnection("127.0.0.1", self.inside)) as connection:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            connection.request(self.command, self.path[len(PREFIX) :], body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        with suppress(ConnectionError):  # a page that is closed does not wait for its answers
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection", "content-length", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """No output on the terminal."""


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[ServiceUnderTest, str]]:
    """A service under a path behind a proxy, and its public address."""
    made = running_in(tmp_path, VITALTWIN_PATH_PREFIX=PREFIX)
    methods = {f"do_{method}": Proxy.pass_on for method in ("GET", "POST", "PUT", "DELETE")}
    handler = type("Handler", (Proxy,), {"inside": made.port, **methods})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()
    made.end()


def first_link(running: ServiceUnderTest) -> str:
    """The address the service printed."""
    found: str = running.saying("/sign-in?token=").split()[-1]
    return found


def set_password(page: Page) -> None:
    """Fill in the form of the page after a link, and submit it."""
    expect(page).to_have_url(re.compile("/password.html$"))
    expect(page.locator("#asked")).to_be_hidden()
    page.fill("#new", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("#save")
    expect(page.locator("#done")).not_to_be_empty()
    expect(page.locator("#asked")).to_be_visible()


@pytest.mark.parametrize("locale", ["en", "de"])
def test_from_a_link_to_a_password_and_back_in(
    running: ServiceUnderTest, page: Page, locale: str, tmp_path: Path
) -> None:
    page.add_init_script(f"localStorage.setItem('vitaltwin.language', '{locale}')")
    page.goto(first_link(running))
    assert page.locator("html").get_attribute("lang") == locale
    assert page.context.cookies() == []  # the page alone does not sign in
    expect(page.locator("#present")).to_be_hidden()
    page.screenshot(path=tmp_path / "link.png")
    page.click("#go")
    set_password(page)
    page.screenshot(path=tmp_path / "password.png")
    page.click("#leave")
    expect(page.locator("#wards")).not_to_be_empty()

    page.click(".menu summary")
    page.click("#password")
    expect(page.locator("#asked")).to_be_visible()
    expect(page.locator("#name")).to_have_value("admin")
    page.fill("#current", "not this one")
    page.fill("#new", "a few more words to remember")
    page.fill("#again", "a few more words")
    page.click("#save")
    expect(page.locator("#again")).to_be_focused()
    page.fill("#again", "a few more words to remember")
    page.click("#save")
    expect(page.locator("#current")).to_have_attribute("aria-invalid", "true")
    page.fill("#current", PASSWORD)
    page.fill("#new", "121212121212")
    page.fill("#again", "121212121212")
    page.click("#save")
    expect(page.locator("#new")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#said")).not_to_be_empty()


def test_the_view_asked_for_survives_the_sign_in(running: ServiceUnderTest, page: Page) -> None:
    page.goto(first_link(running))
    page.click("#go")
    set_password(page)
    page.context.clear_cookies()
    page.goto(f"{running.url}/#/patient/bed%203")
    expect(page).to_have_url(re.compile(r"/sign-in\.html#/patient/bed%203$"))
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(f"{running.url}/#/patient/bed%203")


def test_what_follows_the_hash_leads_to_no_other_site(running: ServiceUnderTest, page: Page) -> None:
    page.goto(first_link(running))
    page.click("#go")
    set_password(page)
    for tail in ("#//elsewhere.example/", "#https://elsewhere.example/", "#javascript:alert(1)"):
        page.context.clear_cookies()
        page.goto(f"{running.url}/sign-in.html{tail}")
        page.reload()
        page.fill("#name", "admin")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        expect(page).to_have_url(re.compile(f"^{re.escape(running.url)}/"))
        expect(page.locator("#wards")).not_to_be_empty()


def test_who_is_signed_in_is_asked_before_a_link_swaps_them(running: ServiceUnderTest, page: Page) -> None:
    page.goto(first_link(running))
    page.click("#go")
    set_password(page)
    here = {"Origin": running.url}
    asked = page.request.post(
        f"{running.url}/v1/accounts", headers=here, data={"name": "mallory", "role": "viewer", "wards": ["A"]}
    )
    assert asked.status == 201
    address = page.request.post(f"{running.url}/v1/accounts/mallory/link", headers=here).json()["address"]
    page.goto(f"{running.url}{address}")
    expect(page.locator("#present")).to_contain_text("admin")
    expect(page.locator("#go")).to_contain_text("admin")
    page.click("#leave")
    assert page.request.get(f"{running.url}/v1/session").json()["name"] == "admin"
    page.goto(f"{running.url}{address}")
    page.click("#go")
    expect(page.locator("#name")).to_have_value("mallory")
    page.goto(f"{running.url}{address}")
    page.click("#go")
    expect(page.locator("#said")).not_to_be_empty()
    assert page.request.get(f"{running.url}/v1/session").json()["name"] == "mallory"


def test_behind_a_path_prefix(proxied: tuple[ServiceUnderTest, str], page: Page) -> None:
    running, outside = proxied
    link = first_link(running)
    assert f"{PREFIX}/sign-in?token=" in link
    page.goto(outside + link.removeprefix(running.url))
    page.click("#go")
    set_password(page)
    page.click("#leave")
    expect(page).to_have_url(re.compile(f"{PREFIX}/(#.*)?$"))
    expect(page.locator("#wards")).not_to_be_empty()
    page.context.clear_cookies()
    page.goto(f"{outside}{PREFIX}/#/ward/*")
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(f"{outside}{PREFIX}/#/ward/*")
    address = page.request.post(f"{outside}{PREFIX}/v1/accounts/admin/link", headers={"Origin": outside}).json()[
        "address"
    ]
    assert page.request.get(f"{outside}{address}").status == 200
    page.goto(f"{outside}{PREFIX}/docs")
    expect(page.locator("#version")).not_to_be_empty()
    first = page.request.get(f"{outside}{PREFIX}/v1/audit?limit=1")
    following = re.search("<(.+?)>", first.headers["link"])
    assert following
    assert page.request.get(f"{outside}{following[1]}").status == 200
