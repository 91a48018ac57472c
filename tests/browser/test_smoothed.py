"""The twin's course in hindsight on the patient's page."""

import re
import time
from datetime import datetime, timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service

RANGE_S = 1_800


def test_a_gap_is_spanned_by_the_course_that_is_asked_for_once(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("smoothed")
    now = datetime.fromisoformat(service.ask("GET", "/v1/clock")["now"])
    moments = [now - timedelta(seconds=ago) for ago in (*range(1_200, 900, -1), *range(300, 0, -1))]
    service.ask("POST", "/v1/observations", [
        {"patient": patient, "signal": "heart_rate", "time": at.isoformat(), "value": 75} for at in moments
    ])  # fmt: skip
    until = time.monotonic() + 120
    while "heart_rate" not in service.ask("GET", f"/v1/patients/{patient}/state")["signals"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/history/smoothed?" in request.url else None)
    page.add_init_script(f"localStorage.setItem('vitaltwin.range', '{RANGE_S}')")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{service.address}/#/patient/{patient}")
    chart = page.locator('.signal[data-signal="heart_rate"]')
    expect(chart.locator("canvas")).to_be_visible(timeout=30_000)
    expect(chart.locator(".problem")).to_be_empty(timeout=15_000)
    place = chart.locator(".u-over").bounding_box()
    assert place
    # The chart shows as much time after now as before it; ten minutes ago is the middle of the gap.
    page.mouse.move(place["x"] + place["width"] * (RANGE_S - 600) / (2 * RANGE_S), place["y"] + 40)
    expect(chart.locator(".readout")).to_have_text(re.compile(r"no reading, twin \d\d\W/min \(\d\d–\d\d\)"))
    page.mouse.move(place["x"] + place["width"] * (RANGE_S - 1_000) / (2 * RANGE_S), place["y"] + 40)
    expect(chart.locator(".readout")).to_have_text(re.compile(r": 75\W/min · twin 75\W/min"))
    page.wait_for_timeout(2_500)
    assert len(asked) == 1
