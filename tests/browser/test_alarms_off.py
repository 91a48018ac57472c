"""Limit alarms turned off: everybody sees it on the tile and on the patient's page, and who did it and why."""

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service

SHOTS = os.environ.get("SHOTS")


def test_a_clinician_turns_them_off_with_a_reason_and_on_again(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("off")
    service.observe(patient, "heart_rate", 80, 30)
    page.goto(f"{service.address}/#/patient/{patient}")
    box = page.locator(".alarms-off-box")
    expect(box).to_be_visible(timeout=120_000)
    box.locator("summary").click()
    box.get_by_label("Signal").select_option("heart_rate")
    box.get_by_label("For").select_option("60")
    box.get_by_label("Reason").fill("in theatre, monitored there")
    box.get_by_role("button", name="Turn off", exact=True).click()
    expect(box.locator(".said")).to_have_text("Heart rate: alarms are off.", timeout=30_000)
    note = page.locator('.signal[data-signal="heart_rate"] .off-note')
    expect(note).to_contain_text("in theatre, monitored there", timeout=15_000)
    told = service.ask("GET", f"/v1/patients/{patient}/alarms-off")["heart_rate"]
    assert told["reason"] == "in theatre, monitored there"
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "alarms-off-patient.png"))
    page.goto(f"{service.address}/#/ward/off")
    tile = page.locator(f'.tile[data-patient="{patient}"]')
    expect(tile.locator('.row[data-signal="heart_rate"] .alarms-off')).to_have_text("alarms off", timeout=30_000)
    expect(tile.locator(".foot .calm")).to_have_text("Alarms off: Heart rate")
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "alarms-off-ward.png"))
    page.goto(f"{service.address}/#/patient/{patient}")
    page.locator('.off-list [data-signal="heart_rate"]').get_by_role("button", name="Turn on").click(timeout=30_000)
    expect(note).to_have_text("", timeout=15_000)
    assert service.ask("GET", f"/v1/patients/{patient}/alarms-off") == {}


def test_without_a_reason_nothing_is_sent(service: Service, page: Page) -> None:
    patient = service.admit("off")
    service.observe(patient, "heart_rate", 80, 30)
    page.goto(f"{service.address}/#/patient/{patient}")
    box = page.locator(".alarms-off-box")
    expect(box).to_be_visible(timeout=120_000)
    box.locator("summary").click()
    box.get_by_role("button", name="Turn off", exact=True).click()
    assert box.get_by_label("Reason").evaluate("(input) => input.matches(':invalid')")
    assert service.ask("GET", f"/v1/patients/{patient}/alarms-off") == {}
