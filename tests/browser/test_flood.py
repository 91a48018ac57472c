"""What the alarm panel shows of a ward whose gateway is gone, and of an alarm that nobody answers."""

import re
import time

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service
from tests.browser.test_alarm_display import alarming, tile_of


def test_a_silent_ward_is_one_card_with_one_button(service: Service, page: Page, calm: list[str]) -> None:
    patients = [service.admit("gateway") for _ in range(8)]
    for _ in range(6):
        for patient in patients:
            service.observe(patient, "heart_rate", 80, 1)
        time.sleep(0.5)
    tile_of(service, page, "gateway", patients[0])
    card = page.locator(".cards .card[data-cause]")
    expect(card).to_have_count(1, timeout=180_000)
    expect(card.locator(".why")).to_have_text(
        re.compile(r"8 of 8 patients send nothing since \d\d:\d\d"), timeout=60_000
    )
    expect(page.locator(".cards .card")).to_have_count(1)
    card.locator("summary").click()
    expect(card.locator(".sentences li")).to_have_count(8)
    card.get_by_role("button", name="Acknowledge all 8").click()
    expect(card).to_have_class(re.compile("acknowledged"), timeout=30_000)
    expect(card.get_by_role("button", name=re.compile("Acknowledge"))).to_have_count(0)
    found = service.ask("GET", "/v1/alarms?ward=gateway")["items"]
    assert {one["presence"] for one in found} == {"acknowledged"}


def test_an_unanswered_alarm_says_who_was_called_and_who_is_next(service: Service, page: Page, calm: list[str]) -> None:
    steps = [{"after_s": 0, "to": ["role:clinician"]}, {"after_s": 3600, "to": ["person:ada"]}]
    service.ask("PUT", "/v1/escalations?priority=high&ward=unanswered", {"steps": steps})
    patient = service.admit("unanswered")
    tile_of(service, page, "unanswered", patient)
    service.observe(patient, "oxygen_saturation", 97, 20)
    name = alarming(service, patient, "oxygen_saturation", 80, "limit.critical_low")
    calls = page.locator(f'.cards .card[data-alarm="{name}"] .calls')
    wanted = r"called everybody with the role clinician at \d\d:\d\d.* · calls ada at \d\d:\d\d"
    expect(calls).to_have_text(re.compile(wanted), timeout=30_000)
    service.ask("POST", f"/v1/alarms/{name}/acknowledge", {})
    expect(calls).to_have_text("", timeout=30_000)
