"""The page about the burden of alarms: figures, words and tables of alarms in the history."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from streams.clock import Clock
from streams.history import SqliteHistory
from tests.browser.conftest import Service, demo
from twins.records import Stay, Transition

SHOTS = os.environ.get("SHOTS")
SECOND = 1_000_000
HOUR = 3600 * SECOND


def course(
    number: int, begin: int, condition: str, priority: str, answered_s: float, ended_s: float
) -> list[Transition]:
    """An alarm that begins, perhaps is acknowledged (``answered_s`` > 0), and ends."""
    fields = {
        "alarm": f"{number:020x}", "patient": "anna", "ward": "night", "condition": condition, "signal": "heart_rate",
        "priority": priority, "onset": begin, "explanation": {"device": "monitor 7"},
    }  # fmt: skip
    found = [Transition(id=f"{number:020x}-1", presence="on", time=begin, number=1, **fields)]  # type: ignore[arg-type]
    if answered_s:
        at = begin + int(answered_s * SECOND)
        found.append(Transition(id=f"{number:020x}-2", presence="acknowledged", time=at, number=2, by="ada", **fields))  # type: ignore[arg-type]
    end = begin + int(ended_s * SECOND)
    found.append(
        Transition(id=f"{number:020x}-3", presence="off", time=end, number=3, standing=False, ended=end, **fields)  # type: ignore[arg-type]
    )
    return found


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose history already has a flood of 12 alarms in a ward, and 3 other alarms."""
    folder = tmp_path_factory.mktemp("burden")
    path = folder / "demo.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    history = SqliteHistory(path)
    history.create(connection)
    flood = Clock().now() - 5 * HOUR
    alarms = [course(n, flood + 30 * n * SECOND, "limit.high", "medium", 0, 5) for n in range(12)]
    alarms += [course(20 + n, flood + (n + 1) * HOUR, "limit.critical_low", "high", 40 + 40 * n, 300) for n in range(3)]
    history.add_transitions(999, 0, [one for some in alarms for one in some])
    history.add_stays(999, 0, [Stay(patient="anna", admitted=flood - HOUR, begin=flood - HOUR, ward="night")])
    history.complete(999, 0)
    connection.execute("BEGIN")
    history.flush(connection)
    connection.execute("COMMIT")
    history.close()
    connection.close()
    with demo(folder) as service:
        service.admit("night")
        yield service


def test_figures_words_and_tables(ward: Service, page: Page, calm: list[str]) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{ward.address}/#/burden/night/1")
    expect(page.get_by_role("heading", level=1)).to_have_text("How many alarms are there?", timeout=120_000)
    expect(page.locator(".verdict")).to_contain_text("acceptable", timeout=30_000)
    figures = page.locator(".key-figures .figure")
    expect(figures.nth(0)).to_contain_text("15")
    expect(figures.nth(2)).to_contain_text("12")
    expect(figures.nth(3)).to_contain_text("1")
    expect(figures.nth(4)).to_contain_text("20%")
    expect(figures.nth(5)).to_contain_text("80 s")
    expect(figures.nth(6)).to_contain_text("80%")
    condition = page.locator('section[aria-labelledby="burden-by_condition"] tbody tr').first
    expect(condition.locator("th, td").first).to_contain_text("high")
    expect(condition.locator("td").nth(0)).to_have_text("12")
    device = page.locator('section[aria-labelledby="burden-by_device"] tbody tr').first
    expect(device).to_contain_text("monitor 7")
    floods = page.locator('section[aria-labelledby="burden-floods"] tbody tr')
    expect(floods).to_have_count(1)
    assert page.locator(".hours .bar").count() == 24
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert found.violations_count == 0, found.generate_report()
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "burden-desk.png"), full_page=True)


def test_it_is_in_the_menu_and_in_german_and_fits_a_phone(ward: Service, browser: Browser, calm: list[str]) -> None:
    context = browser.new_context(locale="de-DE", viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(ward.address)
    page.locator(".menu summary").click(timeout=120_000)
    page.get_by_role("link", name="Alarmbelastung").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wie viele Alarme gibt es?")
    page.locator("#burden-ward").select_option("night")
    expect(page.locator(".verdict")).to_contain_text("annehmbar", timeout=30_000)
    assert "/#/burden/night/1" in page.url
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page is wider than the screen"
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "burden-phone.png"), full_page=True)
    context.close()
