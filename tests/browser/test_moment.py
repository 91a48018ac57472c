"""From an alarm's card to the moment as it was: sentences, the picture, and where it came from."""

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service

SHOTS = os.environ.get("SHOTS")


def test_an_alarm_is_reopened_from_its_card(service: Service, page: Page, calm: list[str]) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    patient = service.admit("A")
    service.observe(patient, "heart_rate", 72.0, 300)
    service.observe(patient, "heart_rate", 31.0, 40)
    page.goto(f"{service.address}/#/patient/{patient}")
    card = page.locator(".patient .card").filter(has_text="Heart rate")
    expect(card.first).to_be_visible(timeout=120_000)
    expect(card.first.locator(".sentences li").first).to_contain_text("Heart rate")
    card.first.get_by_role("link", name="Reopen this moment").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("as it was", timeout=60_000)
    first = page.locator(".moments > li").first
    expect(first.locator("h2")).to_contain_text("since")
    expect(first.locator("figcaption")).to_contain_text("Rebuilt from the log.")
    picture = first.locator(".moment-picture")
    expect(picture.locator(".estimate")).to_have_count(1)
    expect(picture.locator(".fan")).to_have_count(1)
    assert picture.locator(".reading").count() > 20
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert found.violations_count == 0, found.generate_report()
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "moment.png"), full_page=True)
