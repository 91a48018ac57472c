"""The service is killed while a replay and a page are connected; both recover."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.service import ServiceUnderTest

PROGRAM = "import sys; sys.argv[0] = 'vitaltwin'; from api.cli import main; main()"


@pytest.fixture
def running() -> Iterator[ServiceUnderTest]:
    """A service without patients that can be killed."""
    with ServiceUnderTest() as made:
        made.start()
        yield made


@pytest.fixture
def replaying(running: ServiceUnderTest, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Five minutes of a patient on their way to the service."""
    rows = [
        f"bed-7,2020-01-01T00:{second // 60:02}:{second % 60:02}Z,heart_rate,{70 + second % 7},/min\n"
        for second in range(300)
    ]
    file = tmp_path / "one.csv"
    file.write_text("patient,time,signal,value,unit\n" + "".join(rows))
    key = running.key()
    command = [sys.executable, "-c", PROGRAM, "replay", str(file), "--url", f"http://127.0.0.1:{running.port}"]
    with subprocess.Popen([*command, "--key", key], env=running.environment, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.mark.fault
def test_killed_during_a_replay_the_page_comes_back_by_itself(
    running: ServiceUnderTest, page: Page, replaying: "subprocess.Popen[bytes]"
) -> None:
    link = re.search(r"http://\S+/sign-in\?token=\S+", running.said())
    assert link
    page.goto(link[0])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "token=" not in address, timeout=30_000)
    page.goto(f"http://127.0.0.1:{running.port}/")
    value = page.locator('.tile[data-patient="bed-7"] .row[data-signal="heart_rate"] .value')
    expect(value).to_have_text(re.compile(r"7\d"), timeout=30_000)
    running.kill()
    page.locator("body.lost").wait_for(timeout=10_000)
    expect(page.locator("#banner")).to_contain_text("No connection")
    running.start()
    expect(page.locator("body.lost")).to_have_count(0, timeout=30_000)
    expect(page.locator('.tile[data-patient="bed-7"] .row.old')).to_have_count(0)
    before = value.inner_text()
    expect(value).not_to_have_text(before, timeout=15_000)
    assert replaying.poll() is None
