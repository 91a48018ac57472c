"""Earlier forecasts on the patient's page, beside the readings they were made for."""

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
    """A heart rate every half a minute; its value is the one in the list."""
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
        patient = service.admit("forecast")
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
            # The chart shows as much time after now as before it: the cursor is one minute before now.
            page.mouse.move(place["x"] + place["width"] * (RANGE_S - 60) / (2 * RANGE_S), place["y"] + 60)
            expect(chart.locator(".readout")).to_have_text(re.compile(r": 7\d\W/min"), timeout=15_000)
            expect(chart.locator(".readout")).not_to_contain_text("30 min before")
            toggle = page.get_by_label("forecast made 30 min before")
            expect(toggle).not_to_be_checked()
            assert asked == []
            toggle.focus()
            page.keyboard.press("Space")
            expect(toggle).to_be_checked()
            said = re.compile(
                r"The forecast of 30 minutes ago for the present time was 7\d\W/min, most likely between \d\d and \d\d"
            )
            expect(chart).to_have_attribute("aria-label", said, timeout=15_000)
            assert len(asked) == 1
            # The earlier forecast did not foresee this. Five minutes later no current forecast can be mistaken for it.
            value[0] = 130
            page.wait_for_timeout(300 / SPEED * 1000)
            both = re.compile(r": 13\d\W/min.* · forecast 30 min before: 7\d\W/min \(\d\d–\d\d\)")
            expect(chart.locator(".readout")).to_have_text(both, timeout=(BEFORE_S - 300) / SPEED * 1000)
            page.keyboard.press("Space")
            expect(toggle).not_to_be_checked()
            expect(chart).not_to_have_attribute("aria-label", re.compile("30 minutes ago"), timeout=15_000)


def test_without_earlier_forecasts_the_page_says_so(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("forecast")
    service.observe(patient, "heart_rate", 75, 30)
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator("canvas")).to_be_visible(timeout=60_000)
    page.get_by_label("forecast made 30 min before").check()
    said = signal.get_by_text("No stored forecasts from 30 min before.")
    expect(said).to_be_visible(timeout=5_000)
    page.locator("#range").select_option("7200")
    page.wait_for_timeout(1_000)
    expect(said).to_be_visible()
    page.get_by_label("forecast made 30 min before").uncheck()
    expect(said).to_have_count(0)
