"""How pages show an alarm: acknowledged, ended, worse than at onset; and how they show implausible values."""

import re
import time
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Service, demo

DESK = {"width": 1440, "height": 900}
RED, GREY = "rgb(255, 95, 87)", "rgb(138, 150, 162)"


def tile_of(service: Service, page: Page, ward: str, patient: str) -> Locator:
    """The patient's tile on the ward's page."""
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.goto(f"{service.address}/#/ward/{ward}")
    tile = page.locator(f'.tile[data-patient="{patient}"]')
    expect(tile).to_be_visible(timeout=120_000)
    return tile


def alarming(service: Service, patient: str, signal: str, value: float, condition: str) -> str:
    """Send this value once a second until it has raised the alarm; returns its id."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        service.observe(patient, signal, value, 1)
        for one in service.alarms(patient):
            if one["condition"] == condition and one["presence"] != "off":
                return str(one["id"])
        time.sleep(1)
    raise AssertionError(f"no alarm {condition}")


def colour(locator: Locator, which: str = "color") -> str:
    return str(locator.evaluate(f"(element) => getComputedStyle(element)['{which}']"))


def test_an_acknowledged_critical_alarm_stays_red_and_foremost(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("severity")
    tile = tile_of(service, page, "severity", patient)
    service.observe(patient, "oxygen_saturation", 97, 20)
    critical = alarming(service, patient, "oxygen_saturation", 80, "limit.critical_low")
    service.observe(patient, "heart_rate", 100, 20)
    alarming(service, patient, "heart_rate", 127, "limit.high")  # another family: an alarm of its own
    expect(tile.locator(".foot strong")).to_have_text("Oxygen saturation critically low", timeout=15_000)
    service.ask("POST", f"/v1/alarms/{critical}/acknowledge", {})
    expect(tile.locator(".foot .answered")).to_be_visible(timeout=15_000)
    expect(tile).to_have_class(re.compile(r"\bhigh\b"))
    assert colour(tile, "borderTopColor") == RED
    value = tile.locator('.row[data-signal="oxygen_saturation"] .value')
    assert RED in colour(value, "boxShadow")
    expect(tile.locator(".foot strong")).to_have_text("Oxygen saturation critically low")
    expect(tile.locator(".foot > .badge.high.quiet")).to_have_count(1)
    assert colour(tile.locator(".foot > .badge"), "animationName") == "none"
    # The less urgent unacknowledged alarm still flashes, beside the more urgent one.
    expect(tile.locator(".foot .others .badge:not(.quiet)")).to_have_count(1)
    cards = page.locator(".cards .card")
    expect(cards.first).to_have_class("card high acknowledged")
    expect(page.locator("#alarms-button")).to_have_class(re.compile(r"\bhigh\b.*\banswered\b"))


def test_by_urgency_an_answered_critical_alarm_comes_before_an_unanswered_medium_one(
    service: Service, page: Page
) -> None:
    mild, grave = service.admit("urgency"), service.admit("urgency")
    page.add_init_script("localStorage.setItem('vitaltwin.order', 'urgency')")
    tile_of(service, page, "urgency", grave)
    service.observe(grave, "heart_rate", 75, 20)
    critical = alarming(service, grave, "heart_rate", 32, "limit.critical_low")
    service.ask("POST", f"/v1/alarms/{critical}/acknowledge", {})
    service.observe(mild, "heart_rate", 100, 20)
    alarming(service, mild, "heart_rate", 127, "limit.high")
    expect(page.locator(f'.tile.medium[data-patient="{mild}"]')).to_be_visible(timeout=15_000)
    assert page.locator(".tile").evaluate_all("(all) => all.map((one) => one.dataset.patient)") == [grave, mild]


def test_a_row_that_alarms_is_never_the_one_left_out(service: Service, page: Page) -> None:
    patient = service.admit("rows")
    tile = tile_of(service, page, "rows", patient)
    usual = {"heart_rate": 75, "pulse_rate": 75, "oxygen_saturation": 97, "respiratory_rate": 15, "systolic_bp": 120}
    for name, value in (usual | {"body_temperature": 36.8, "glucose": 110}).items():
        service.observe(patient, name, value, 2)
    expect(tile.locator(".row")).to_have_count(5, timeout=15_000)
    expect(tile.locator('.row[data-signal="glucose"]')).to_have_count(0)
    service.observe(patient, "glucose", 45, 1)
    expect(tile.locator('.row[data-signal="glucose"] .value')).to_have_text("45", timeout=15_000)


def test_a_latched_alarm_does_not_paint_the_value_of_now(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("latched")
    tile = tile_of(service, page, "latched", patient)
    service.observe(patient, "heart_rate", 75, 20)
    alarming(service, patient, "heart_rate", 34, "limit.critical_low")
    value = tile.locator('.row[data-signal="heart_rate"] .value')
    expect(value).to_have_text("34", timeout=15_000)
    expect(tile.locator(".row.alarm-high")).to_have_count(1, timeout=15_000)
    assert RED in colour(value, "boxShadow")
    # Steady readings for a while: the jump down and up also raised a sensor alarm, which would be shown first.
    for _ in range(60):
        service.observe(patient, "heart_rate", 75, 1)
        if re.search(r"^was 34 at \d.*, ended$", tile.locator(".row .note").inner_text()):
            break
        page.wait_for_timeout(1_000)
    expect(value).to_have_text("75")
    expect(tile.locator(".row.ended .note")).to_have_text(re.compile(r"^was 34 at \d.*, ended$"))
    assert colour(value, "boxShadow") == "none"
    expect(tile).to_have_class(re.compile(r"\bhigh\b"))
    expect(tile.locator(".foot .why")).to_have_text(re.compile(r"was below 40.*: 34.* at .*, ended; now 75"))
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="heart_rate"]')
    expect(signal.locator(".ended-note")).to_have_text(re.compile("^was 34 at"), timeout=15_000)
    expect(signal).not_to_have_attribute("data-alarm", re.compile("."))


def test_an_alarm_says_how_things_are_now_beside_how_they_were(service: Service, page: Page) -> None:
    patient = service.admit("worse")
    tile = tile_of(service, page, "worse", patient)
    service.observe(patient, "oxygen_saturation", 97, 20)
    alarming(service, patient, "oxygen_saturation", 84, "limit.critical_low")
    expect(tile.locator(".foot .why")).to_have_text(re.compile(r"^84\W%"), timeout=15_000)
    service.observe(patient, "oxygen_saturation", 55, 8)
    expect(tile.locator(".foot .why")).to_have_text(
        re.compile(r"84\W% at onset, now 55\W%; limit 85\W%"), timeout=15_000
    )
    card = page.locator(f'.card.high:has(a[href="#/patient/{patient}"])', has_text="critically low")
    expect(card.locator(".why")).to_have_text(re.compile(r"84\W% at onset, now 55\W%"))


def test_an_error_code_is_not_shown_as_the_value(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("code")
    tile = tile_of(service, page, "code", patient)
    service.observe(patient, "glucose", 140, 2)
    row = tile.locator('.row[data-signal="glucose"]')
    expect(row.locator(".value")).to_have_text("140", timeout=15_000)
    service.observe(patient, "glucose", 9, 1)
    expect(row.locator(".note")).to_have_text("9 not plausible", timeout=15_000)
    expect(row.locator(".value")).to_have_text("140")
    assert colour(row.locator(".value")) == GREY
    expect(row.locator(".quality")).to_have_attribute("data-bars", "0")
    page.goto(f"{service.address}/#/patient/{patient}")
    signal = page.locator('.signal[data-signal="glucose"]')
    expect(signal.locator(".state")).to_contain_text("is not possible in a living patient", timeout=15_000)
    assert colour(signal.locator(".value")) == GREY
    service.observe(patient, "glucose", 138, 1)
    expect(signal.locator(".value")).to_have_text("138", timeout=15_000)
    expect(signal.locator(".state")).not_to_contain_text("living patient")


def test_the_score_of_a_silent_patient_shows_its_age(tmp_path: Path, page: Page) -> None:
    """With a fast clock; charted values do not make old readings newer."""
    with demo(tmp_path, "--clock-speed", "60") as service:
        patient = service.admit("silent")
        tile = tile_of(service, page, "silent", patient)
        for name, value in (("heart_rate", 75), ("oxygen_saturation", 97), ("respiratory_rate", 15)):
            service.observe(patient, name, value, 5)
        score = tile.locator(".score")
        expect(score).to_have_text(re.compile(r"^NEWS2 \d+"), timeout=60_000)
        service.ask("POST", "/v1/facts", {"patient": patient, "kind": "consciousness", "value": "A"})
        expect(score).to_have_text(re.compile(r"^NEWS2 \d+ · \d.* old$"), timeout=60_000)
        expect(score).to_have_class(re.compile("old"))
        page.goto(f"{service.address}/#/patient/{patient}")
        expect(page.locator(".news2 .big-score.old")).to_be_visible(timeout=15_000)
        expect(page.locator(".news2")).to_contain_text("No sensor sends any more")


def test_a_silent_sensor_does_not_make_its_old_value_stand_out(service: Service, page: Page) -> None:
    patient = service.admit("quiet")
    tile = tile_of(service, page, "quiet", patient)
    service.observe(patient, "heart_rate", 75, 20)
    row = tile.locator('.row[data-signal="heart_rate"]')
    expect(tile.locator(".foot strong")).to_have_text("No reading: Heart rate", timeout=90_000)
    expect(row).to_have_class(re.compile("old"))
    assert colour(row.locator(".value"), "boxShadow") == "none"
    assert colour(row.locator(".value")) == GREY


def test_what_worsens_after_it_was_acknowledged_calls_again(service: Service, page: Page) -> None:
    patient = service.admit("again")
    tile = tile_of(service, page, "again", patient)
    service.observe(patient, "oxygen_saturation", 97, 20)
    critical = alarming(service, patient, "oxygen_saturation", 84, "limit.critical_low")
    service.ask("POST", f"/v1/alarms/{critical}/acknowledge", {})
    card = page.locator(f'.card[data-alarm="{critical}"]')
    expect(card).to_have_attribute("data-presence", "acknowledged", timeout=15_000)
    expect(tile.locator(".foot > .badge.high.quiet")).to_have_count(1)
    until = time.monotonic() + 60
    while card.get_attribute("data-presence") != "on":
        assert time.monotonic() < until
        service.observe(patient, "oxygen_saturation", 55, 1)
        time.sleep(1)
    expect(card.locator(".acknowledge")).to_be_visible()
    expect(card.locator(".why")).to_have_text(re.compile(r"84\W% at onset, now 55\W%"))
    expect(tile.locator(".foot > .badge.high:not(.quiet)")).to_have_count(1)
    expect(page.locator("#alert")).to_contain_text("Oxygen saturation critically low")
