"""Pauses, "I take it" and grouped alarms on the pages: a pause is counted down on every screen and ends by itself."""

import re
import time

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service
from tests.browser.test_alarm_display import alarming, tile_of


def test_a_pause_is_counted_down_on_the_ward_and_on_the_patients_page(
    service: Service, page: Page, calm: list[str]
) -> None:
    patient = service.admit("pauses")
    service.observe(patient, "heart_rate", 80, 20)
    alarming(service, patient, "heart_rate", 127, "limit.high")
    page.goto(f"{service.address}/#/patient/{patient}")
    box = page.locator(".pauses-box")
    box.get_by_role("button", name="Pause the sound for 2 min").click(timeout=120_000)
    row = box.locator('li[data-kind="audio"]')
    expect(row).to_contain_text("Sound paused")
    expect(row.locator("time")).to_have_text(re.compile(r"^1:[0-5]\d$"))
    first = row.locator("time").inner_text()
    expect(row.locator("time")).not_to_have_text(first, timeout=5_000)
    expect(page.locator(".cards .card").first).to_contain_text("Sound paused 1:")
    tile = tile_of(service, page, "pauses", patient)
    expect(tile.locator(".paused")).to_have_text(re.compile(r"^Sound paused 1:[0-5]\d$"), timeout=15_000)
    card = page.locator(".cards .card").first
    card.get_by_role("button", name="End the pause").click()
    expect(card).not_to_contain_text("Sound paused", timeout=15_000)
    card.get_by_role("button", name="I take it").click()
    expect(card).to_contain_text("takes it", timeout=15_000)
    service.ask("DELETE", f"/v1/patients/{patient}/pauses/audio")
    expect(tile.locator(".paused")).to_have_text("", timeout=15_000)


def test_one_fast_heart_is_one_alarm_with_the_pulse_under_it_and_both_are_acknowledged_at_once(
    service: Service, page: Page, calm: list[str]
) -> None:
    patient = service.admit("grouped")
    tile_of(service, page, "grouped", patient)
    for signal in ("heart_rate", "pulse_rate"):
        service.observe(patient, signal, 80, 20)
    until = time.monotonic() + 60
    while sum(one["condition"] == "limit.high" for one in service.alarms(patient)) < 2:
        assert time.monotonic() < until
        for signal in ("heart_rate", "pulse_rate"):
            service.observe(patient, signal, 127, 1)
        time.sleep(1)
    under = page.locator(".cards .card.under")
    expect(under).to_have_count(1, timeout=15_000)
    expect(under.get_by_role("button", name="Acknowledge")).to_have_count(0)
    page.locator(".cards .card").first.get_by_role("button", name=re.compile("Acknowledge")).click()
    expect(page.locator(".cards .card.acknowledged")).to_have_count(2, timeout=15_000)
