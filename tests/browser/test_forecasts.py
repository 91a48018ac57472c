"""The page that says how good the forecasts are: diagrams, words and numbers of judged chances in the history."""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from streams.clock import Clock
from streams.history import SqliteHistory
from tests.browser.conftest import Service, demo
from tests.browser.test_contrast import contrast, shown
from tests.streams.history.judged import judged
from twins.signals import BY_NAME

SHOTS = os.environ.get("SHOTS")
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
HEART_RATE, SPO2 = BY_NAME["heart_rate"].code, BY_NAME["oxygen_saturation"].code
SECOND = 1_000_000
PER_BIN = (400, 120, 80, 50, 40, 25, 20, 12, 9, 4)
CAME_PER_BIN = (12, 20, 22, 14, 20, 13, 14, 8, 8, 4)
FOLDER = "forecasts"


def chances(patient: str, signal: int, side: int, kind: int, now: int) -> list[tuple]:
    """Chances of ten bins, a few of which come true, within the last hours."""
    rows = []
    for place, (count, came) in enumerate(zip(PER_BIN, CAME_PER_BIN, strict=True)):
        stated = np.float32(place / 10 + 0.03)
        rows += [
            (patient, signal, side, kind, now - 3600 * SECOND - (1000 * place + number) * SECOND, stated, number < came)
            for number in range(count)
        ]
    return rows


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose history file already has judged chances of two wards."""
    folder = tmp_path_factory.mktemp(FOLDER)
    path = folder / "demo.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    history = SqliteHistory(path)
    history.create(connection)
    now = Clock().now()
    rows = chances("a", HEART_RATE, 1, 0, now) + [("a", HEART_RATE, 0, 1, now - n, 0.01, 0) for n in range(30)]
    rows += chances("b", HEART_RATE, 1, 0, now)[:400] + chances("a", SPO2, 0, 0, now - 5 * 86_400 * SECOND)
    history.add_chances(999, 0, judged({"a": "night", "b": "day"}, rows))
    history.complete(999, 0)
    connection.execute("BEGIN")
    history.flush(connection)
    connection.execute("COMMIT")
    history.close()
    connection.close()
    with demo(folder) as service:
        service.admit("night")
        yield service


def record(page: Page, side: str) -> Locator:
    return page.locator(f'.record[data-side="{side}"]')


def test_it_says_in_words_a_picture_and_numbers_how_often_it_was_right(
    ward: Service, page: Page, calm: list[str]
) -> None:
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.goto(f"{ward.address}/#/forecasts/heart_rate/night")
    expect(page.get_by_role("heading", level=1)).to_have_text("How good are the forecasts?", timeout=120_000)
    high = record(page, "high")
    expect(high.get_by_role("heading")).to_have_text(
        "A reading above the upper limit within 30 minutes", timeout=30_000
    )
    expect(high.locator(".verdict")).to_have_text("When it said 13%, it happened 17 times in 100.")
    expect(high).to_contain_text("Checked so far: 760 forecasts. It happened in 135 of them (18%).")
    expect(high).to_contain_text("This is better than always saying 18%.")
    rows = high.locator("tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.nth(3).locator("th, td")).to_have_text(["30–40%", "50", "33%", "14", "28 times in 100"])
    points = high.locator(".diagram .point")
    expect(points).to_have_count(10)
    expect(high.get_by_role("img")).to_have_attribute("aria-label", re.compile("When it said 13%.*same numbers"))
    expect(points.nth(3).locator("title")).to_have_text("It said 33% on average. It happened in 14 of 50.")
    # The fourth point: to the right by what was stated, up by what came, on the axes' own scale.
    left, up, share_x, share_y = page.evaluate(
        """() => {
          const [first, last] = ["x1", "x2"].map((at) => Number(document.querySelector(".diagram .ideal").getAttribute(at)));
          const [bottom, top] = ["y1", "y2"].map((at) => Number(document.querySelector(".diagram .ideal").getAttribute(at)));
          const circle = document.querySelectorAll(".record[data-side=high] .point circle")[3];
          const [x, y] = [Number(circle.getAttribute("cx")), Number(circle.getAttribute("cy"))];
          return [first < last, bottom > top, (x - first) / (last - first), (bottom - y) / (bottom - top)];
        }"""
    )
    assert left
    assert up
    assert (share_x, share_y) == (pytest.approx(0.33, abs=0.001), pytest.approx(0.28, abs=0.001))
    radii = [float(one.get_attribute("r") or 0) for one in points.locator("circle").all()]
    assert radii == sorted(radii, reverse=True)
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "forecasts-desk.png"), full_page=True)


def test_with_too_few_it_says_that_it_does_not_know(ward: Service, page: Page, calm: list[str]) -> None:
    page.goto(f"{ward.address}/#/forecasts/heart_rate/night")
    low = record(page, "low")
    expect(low.get_by_role("heading")).to_have_text("The next reading is below the lower limit", timeout=120_000)
    expect(low.locator(".lacking")).to_contain_text("Not enough yet")
    expect(low.locator(".lacking")).to_contain_text("50 checked forecasts, with 5 that came true")
    expect(low.locator(".diagram")).to_have_count(0)
    expect(low.locator("tbody tr").locator("th, td")).to_have_text(["0–10%", "30", "1%", "0", "0 times in 100"])


def test_by_keyboard_from_the_menu_to_another_ward_signal_and_period(
    ward: Service, page: Page, calm: list[str]
) -> None:
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.goto(f"{ward.address}/#/ward/*")
    expect(page.locator("body[data-link=live]")).to_be_visible(timeout=120_000)
    page.locator("#who").focus()
    page.keyboard.press("Enter")
    page.locator("#forecasts").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator("#record-ward")).to_have_value("*")
    expect(page.locator(".by-ward tbody tr")).to_have_count(3, timeout=30_000)
    expect(page.locator(".by-ward tbody tr").first).to_contain_text("Ward day")
    expect(record(page, "high")).to_contain_text("Checked so far: 1,160 forecasts.")
    page.locator(".by-ward").get_by_role("link", name="Ward night").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#record-ward")).to_have_value("night")
    expect(page).to_have_url(re.compile("#/forecasts/heart_rate/night/30$"))
    page.locator("#record-signal").focus()
    page.locator("#record-signal").select_option("oxygen_saturation")
    expect(page).to_have_url(re.compile("#/forecasts/oxygen_saturation/night/30$"))
    expect(record(page, "low").locator(".diagram")).to_be_visible()
    page.locator("#record-days").select_option("1")
    expect(page.locator(".forecasts [role=status]")).to_contain_text("Nothing to show yet")
    expect(page.locator(".record")).to_have_count(0)
    page.reload()
    expect(page.locator("#record-days")).to_have_value("1", timeout=30_000)
    expect(page.locator("#record-signal")).to_have_value("oxygen_saturation")
    page.locator(".back").click()
    expect(page.locator(".ward")).to_be_visible()


@pytest.mark.parametrize("address", ["", "/mood/nowhere/12", "/%ff/%2f", "/heart_rate/night/30/more"])
def test_an_odd_address_shows_the_usual_choice(ward: Service, page: Page, calm: list[str], address: str) -> None:
    page.goto(f"{ward.address}/#/forecasts{address}")
    expect(page.locator("#record-signal")).to_have_value("heart_rate", timeout=120_000)
    expect(page.locator("#record-days")).to_have_value("30")
    expect(record(page, "high").or_(page.locator(".by-ward")).first).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_and_it_fits(ward: Service, page: Page, size: dict[str, int], scheme: str) -> None:
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{ward.address}/#/forecasts/heart_rate/night")
    expect(record(page, "high").locator(".diagram")).to_be_visible(timeout=120_000)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert contrast(shown(record(page, "high").locator(".verdict"))) >= 7
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"forecasts-{size['width']}-{scheme}.png"), full_page=True)


def test_german(ward: Service, browser: Browser) -> None:
    page = browser.new_page(locale="de-DE", viewport=DESK)  # type: ignore[arg-type]
    page.goto(f"{ward.address}/#/forecasts/heart_rate/night")
    expect(record(page, "high").locator(".verdict")).to_have_text(
        "Wenn es 13\u00a0% sagte, trat es 17-mal von 100 ein.", timeout=120_000
    )
    text = page.locator("main").inner_text()
    assert not re.search(r"\b(?:forecasts|signal|unit|nav)\.[a-z_]+", text), "a key shows itself"
    assert "{" not in text
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "forecasts-de.png"), full_page=True)
    page.context.close()


def test_the_explanation_of_a_predicted_alarm_leads_to_the_record(ward: Service, page: Page, calm: list[str]) -> None:
    page.goto(f"{ward.address}/#/ward/night")
    expect(page.locator("body[data-link=live]")).to_be_visible(timeout=120_000)
    page.evaluate(
        """async () => {
          const { Card } = await import(new URL("alarms/card.js", document.baseURI));
          const alarm = (condition) => ({
            id: condition, alarm: condition, patient: "a", ward: "night", condition, signal: "heart_rate", priority: "low",
            presence: "on", onset: Date.now(), time: Date.now(), value: 100, limit: 120, number: 1, explanation: {},
          });
          for (const condition of ["limit.high", "predicted.high"]) {
            document.querySelector("main").append(new Card(alarm(condition), { open: true }).root);
          }
        }"""
    )
    expect(page.locator('[data-alarm="limit.high"] .sentences')).to_be_visible()
    link = page.locator(".sentences").get_by_role("link", name="How often was such a forecast right?")
    expect(link).to_have_count(1)
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#record-ward")).to_have_value("night")
    expect(record(page, "high").locator(".diagram")).to_be_visible(timeout=30_000)


@pytest.mark.slow
def test_the_demo_has_a_record_after_an_hour_of_its_clock(tmp_path: Path, page: Page, calm: list[str]) -> None:
    with demo(tmp_path, "--clock-speed", "120") as service:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            told = service.ask("GET", "/v1/signals/heart_rate/track-record?side=high&ward=Demo")["wards"]
            if told and told[0]["records"][0]["enough"]:
                break
            time.sleep(1)
        page.goto(f"{service.address}/#/forecasts/heart_rate/Demo")
        expect(record(page, "high").locator(".verdict")).to_have_text(
            re.compile(r"When it said [\d.]+%, it happened [\d.]+ times? in 100\."), timeout=60_000
        )
        expect(record(page, "high").locator(".diagram .point").first).to_be_visible()
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / "forecasts-demo.png"), full_page=True)
