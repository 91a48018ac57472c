"""A withdrawn reading disappears from an open patient page."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service


def test_a_reading_taken_back_goes_from_the_chart(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("retracted")
    service.observe(patient, "heart_rate", 75, 30)
    mistaken = {"patient": patient, "signal": "heart_rate", "time": service.ask("GET", "/v1/clock")["now"]}
    service.ask("POST", "/v1/observations", mistaken | {"value": 143})
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator(".value")).to_have_text("143", timeout=60_000)
    expect(signal.locator(".chart")).to_have_attribute("aria-label", re.compile("143"), timeout=15_000)
    answer = service.ask("POST", "/v1/observations", mistaken | {"status": "entered-in-error"})
    assert answer["retracted"] == 1
    expect(signal.locator(".value")).to_have_text("75", timeout=5_000)
    expect(signal.locator(".chart")).not_to_have_attribute("aria-label", re.compile("143"), timeout=5_000)


def test_a_signal_without_a_reading_left_has_no_age(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("retracted")
    only = {"patient": patient, "signal": "heart_rate", "time": service.ask("GET", "/v1/clock")["now"]}
    service.ask("POST", "/v1/observations", only | {"value": 143})
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator(".value")).to_have_text("143", timeout=60_000)
    service.ask("POST", "/v1/observations", only | {"status": "entered-in-error"})
    expect(signal.locator(".value")).to_have_text("–", timeout=5_000)
    expect(signal.locator(".state")).to_have_text("There are not enough readings yet for a forecast.")
    expect(signal.locator(".chart")).not_to_have_attribute("aria-label", re.compile("143"), timeout=5_000)
