"""What had been foretold, on the patient's page beside what was measured."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, demo

SPEED = 120
BEFORE_S = 1_800
RANGE_S = 1_800


def feed(service: Service, patient: str, value: float, service_s: float) -> None:
    """A reading every half a minute, for so long."""
    end = time.monotonic() + service_s / SPEED
    while time.monotonic() < end:
        service.observe(patient, "heart_rate", value, 1)
        time.sleep(30 / SPEED)


@pytest.mark.slow
def test_the_forecast_of_half_an_hour_ago_lies_beside_the_readings(tmp_path: Path, page: Page, calm: list[str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "kind=forecasts" in request.url else None)
    page.add_init_script(f"localStorage.setItem('vitaltwin.range', '{RANGE_S}')")
    page.set_viewport_size({"width": 1440, "height": 900})
    with demo(tmp_path, "--clock-speed", str(SPEED)) as service:
        patient = service.admit("foretold")
        feed(service, patient, 75, 120)
        state = f"/v1/patients/{patient}/state"
        until = time.monotonic() + 120  # the first reading may have to compile kernels
        while "heart_rate" not in service.ask("GET", state)["signals"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        feed(service, patient, 75, BEFORE_S)
        page.goto(f"{service.address}/#/patient/{patient}")
        signal = page.locator('.signal[data-signal="heart_rate"]')
        chart = signal.locator(".chart")
        expect(chart.locator("canvas")).to_be_visible(timeout=30_000)
        feed(service, patient, 130, 300)
        toggle = page.get_by_label("as foretold 30 min before")
        expect(toggle).not_to_be_checked()
        place = chart.locator(".u-over").bounding_box()
        assert place
        # As much lies ahead of now as behind it: the cursor is a minute behind.
        page.mouse.move(place["x"] + place["width"] * (RANGE_S - 60) / (2 * RANGE_S), place["y"] + 60)
        feed(service, patient, 130, 120)
        expect(chart.locator(".readout")).to_have_text(re.compile(r": 13\d\W/min"))
        expect(chart.locator(".readout")).not_to_contain_text("foretold")
        assert asked == []
        toggle.focus()
        page.keyboard.press("Space")
        expect(toggle).to_be_checked()
        told = re.compile(r"had been foretold 30 minutes before: 7\d\W/min, most likely between \d\d and \d\d")
        expect(chart).to_have_attribute("aria-label", told, timeout=5_000)
        page.mouse.move(place["x"] + place["width"] * (RANGE_S - 61) / (2 * RANGE_S), place["y"] + 60)
        feed(service, patient, 130, 120)
        expect(chart.locator(".readout")).to_have_text(
            re.compile(r": 13\d\W/min.* · foretold 30 min before: 7\d\W/min \(\d\d–\d\d\)")
        )
        assert len(asked) == 1
        page.keyboard.press("Space")
        expect(toggle).not_to_be_checked()
        expect(chart).not_to_have_attribute("aria-label", re.compile("foretold"), timeout=5_000)


def test_where_nothing_was_foretold_yet_it_says_so(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("foretold")
    service.observe(patient, "heart_rate", 75, 30)
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator("canvas")).to_be_visible(timeout=60_000)
    page.get_by_label("as foretold 30 min before").check()
    said = signal.get_by_text("No forecasts of 30 min before are kept for this time.")
    expect(said).to_be_visible(timeout=5_000)
    page.locator("#range").select_option("7200")
    page.wait_for_timeout(1_000)
    expect(said).to_be_visible()
    page.get_by_label("as foretold 30 min before").uncheck()
    expect(said).to_have_count(0)
