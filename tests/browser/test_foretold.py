"""What had been foretold, on the patient's page beside what was measured."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, demo

SPEED = 120
BEFORE_S = 1_800
RANGE_S = 1_800


@contextmanager
def monitored(service: Service, patient: str) -> Iterator[list[float]]:
    """A heart rate every half a minute, the value whatever stands in the list."""
    value, done = [75.0], threading.Event()

    def send() -> None:
        while not done.wait(30 / SPEED):
            service.observe(patient, "heart_rate", value[0], 1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield value
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
def test_the_forecast_of_half_an_hour_ago_lies_beside_the_readings(tmp_path: Path, page: Page, calm: list[str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "kind=forecasts" in request.url else None)
    page.add_init_script(f"localStorage.setItem('vitaltwin.range', '{RANGE_S}')")
    page.set_viewport_size({"width": 1440, "height": 900})
    with demo(tmp_path, "--clock-speed", str(SPEED)) as service:
        patient = service.admit("foretold")
        with monitored(service, patient) as value:
            past = f"/v1/patients/{patient}/history?kind=forecasts&signal=heart_rate"
            until = time.monotonic() + 120  # the first reading may have to compile kernels
            while not service.ask("GET", past)["time"]:
                assert time.monotonic() < until
                time.sleep(0.1)
            time.sleep((BEFORE_S + 120) / SPEED)
            page.goto(f"{service.address}/#/patient/{patient}")
            chart = page.locator('.signal[data-signal="heart_rate"] .chart')
            expect(chart.locator("canvas")).to_be_visible(timeout=30_000)
            place = chart.locator(".u-over").bounding_box()
            assert place
            # As much lies ahead of now as behind it: the cursor is a minute behind.
            page.mouse.move(place["x"] + place["width"] * (RANGE_S - 60) / (2 * RANGE_S), place["y"] + 60)
            expect(chart.locator(".readout")).to_have_text(re.compile(r": 7\d\W/min"), timeout=15_000)
            expect(chart.locator(".readout")).not_to_contain_text("foretold")
            toggle = page.get_by_label("as foretold 30 min before")
            expect(toggle).not_to_be_checked()
            assert asked == []
            toggle.focus()
            page.keyboard.press("Space")
            expect(toggle).to_be_checked()
            told = re.compile(r"had been foretold 30 minutes before: 7\d\W/min, most likely between \d\d and \d\d")
            expect(chart).to_have_attribute("aria-label", told, timeout=15_000)
            assert len(asked) == 1
            # What comes now was not foreseen half an hour ago. Five minutes on, no forecast of now's own can be mistaken for it.
            value[0] = 130
            page.wait_for_timeout(300 / SPEED * 1000)
            both = re.compile(r": 13\d\W/min.* · foretold 30 min before: 7\d\W/min \(\d\d–\d\d\)")
            expect(chart.locator(".readout")).to_have_text(both, timeout=(BEFORE_S - 300) / SPEED * 1000)
            page.keyboard.press("Space")
            expect(toggle).not_to_be_checked()
            expect(chart).not_to_have_attribute("aria-label", re.compile("foretold"), timeout=15_000)


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
