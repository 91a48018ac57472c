"""An open page whose id gets a new stay shows the new patient and nothing of the earlier one."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service


def reading(service: Service, patient: str, value: float) -> None:
    now = service.ask("GET", "/v1/clock")["now"]
    service.ask("POST", "/v1/observations", {"patient": patient, "signal": "heart_rate", "time": now, "value": value})


def test_the_next_persons_page_shows_nothing_of_the_last(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("First")
    service.observe(patient, "heart_rate", 143, 30)
    reading(service, patient, 143)
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator(".value")).to_have_text("143", timeout=60_000)
    expect(signal.locator(".chart")).to_have_attribute("aria-label", re.compile("143"), timeout=15_000)
    service.ask("DELETE", f"/v1/patients/{patient}")
    expect(page.locator(".signal")).to_have_count(0, timeout=15_000)
    expect(page.locator(".patient")).not_to_contain_text("143")
    service.ask("POST", "/v1/patients", {"id": patient, "label": "Second", "ward": "A"})
    reading(service, patient, 75)
    expect(page.locator(".patient-head")).to_contain_text("Second", timeout=15_000)
    expect(signal.locator(".value")).to_have_text("75", timeout=15_000)
    expect(signal.locator(".chart")).not_to_have_attribute("aria-label", re.compile("143"))
    expect(page.locator(".patient")).not_to_contain_text("143")
