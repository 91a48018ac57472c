"""The pages in a real browser against the real service."""

import re
import time
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Cable, Service

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def low_heart_rate(service: Service, patient: str) -> None:
    """A heart rate far under the critical limit, for longer than its delay."""
    service.observe(patient, "heart_rate", 75, 30)
    service.observe(patient, "heart_rate", 32, 10)


def alarm_of(page: Page, patient: str) -> str:
    """The card of the patient's critical alarm."""
    card = page.locator(f'.cards .card.high:has(a[href="#/patient/{patient}"])')
    expect(card).to_have_count(1, timeout=15_000)
    return card.get_attribute("data-alarm") or ""


def test_a_ward_is_alive(service: Service, page: Page, calm: list[str]) -> None:
    page.set_viewport_size(DESK)
    # The user has turned the sound off before; otherwise it depends on the browser whether the page may sound.
    page.add_init_script("localStorage.getItem('vitaltwin.sound') ?? localStorage.setItem('vitaltwin.sound', 'off')")
    page.goto(f"{service.address}/")
    expect(page.locator(".tile .row .value").first).to_be_visible(timeout=30_000)
    expect(page.locator(".tile")).to_have_count(16, timeout=30_000)
    expect(page.locator("#link")).to_have_text(re.compile("Live|Verbunden"))
    expect(page.locator("footer.notice")).to_contain_text("not a certified medical device")
    expect(page.locator("#demo")).to_be_visible()
    expect(page.locator("#silent button")).to_be_visible()
    page.locator("#silent button").click()
    expect(page.locator("#silent")).to_be_hidden()


def test_a_tile_leads_to_the_patient_and_back_by_keyboard(service: Service, page: Page, calm: list[str]) -> None:
    page.goto(f"{service.address}/#/ward/*")
    tile = page.locator(".tile .open").first
    expect(tile).to_be_visible(timeout=30_000)
    tile.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".patient h1")).not_to_be_empty()
    expect(page.locator(".signal canvas").first).to_be_visible(timeout=15_000)
    expect(page.locator('.chart[role="img"]').first).to_have_attribute("aria-label", re.compile("chart"))
    page.locator(".patient .back").press("Enter")
    expect(page.locator(".tile").first).to_be_visible()


def test_a_page_opened_before_the_patient_is_known_finds_them_once_admitted(service: Service, page: Page) -> None:
    patient = f"browser-{service.patients + 1}"
    page.goto(f"{service.address}/#/patient/{patient}")
    expect(page.locator(".patient h1")).to_have_text("No such patient, or not in your wards.", timeout=30_000)
    assert service.admit("early") == patient
    expect(page.locator(".patient h1")).to_contain_text(patient, timeout=15_000)


def test_an_acknowledgement_in_one_browser_appears_in_the_other(service: Service, browser: Browser) -> None:
    patient = service.admit("ack")
    here, there = (browser.new_page(viewport=DESK) for _ in range(2))
    for page in (here, there):
        page.goto(f"{service.address}/#/ward/ack")
        expect(page.locator(f'.tile[data-patient="{patient}"]')).to_be_visible(timeout=30_000)
    low_heart_rate(service, patient)
    alarm = alarm_of(here, patient)
    assert alarm_of(there, patient) == alarm
    there.goto(f"{service.address}/#/patient/{patient}")
    card = there.locator(f'.patient .card[data-alarm="{alarm}"]')
    expect(card.locator(".sentences li").first).to_be_visible()
    started = time.monotonic()
    here.locator(f'.card[data-alarm="{alarm}"] .acknowledge').click()
    expect(card).to_have_attribute("data-presence", "acknowledged", timeout=1_000)
    assert time.monotonic() - started < 1.0
    expect(card.locator(".acknowledge")).to_have_count(0)
    for page in (here, there):
        page.context.close()


def test_an_alarm_that_is_over_does_not_say_it_is(service: Service, page: Page) -> None:
    """A critical alarm stays until it is acknowledged, although the value is within the limits again."""
    patient = service.admit("over")
    page.goto(f"{service.address}/#/ward/over")
    expect(page.locator(f'.tile[data-patient="{patient}"]')).to_be_visible(timeout=30_000)
    low_heart_rate(service, patient)
    card = page.locator(f'.card[data-alarm="{alarm_of(page, patient)}"]')
    expect(card).to_contain_text("32 /min is below 40 /min")
    service.observe(patient, "heart_rate", 75, 30)
    expect(card).to_have_attribute("data-presence", "latched", timeout=15_000)
    expect(card).to_contain_text("was below 40 /min")
    expect(card).not_to_contain_text("is below")


def test_a_silent_socket_greys_the_tiles_within_two_and_a_half_periods(
    service: Service, page: Page, cable: Callable[..., Cable]
) -> None:
    line = cable(page, ping=1.0)
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator("body[data-link=live] .tile .row").first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(3_000)
    expect(page.locator("body.lost")).to_have_count(0)
    line.quiet()
    started = time.monotonic()
    page.locator("body.lost").wait_for(timeout=4_000)
    assert time.monotonic() - started < 2.5 + 0.5
    expect(page.locator("#banner")).to_contain_text("No connection")
    assert page.locator(".page").evaluate("(page) => getComputedStyle(page).filter") == "grayscale(1)"
    line.mend()
    expect(page.locator("body.lost")).to_have_count(0, timeout=20_000)
    expect(page.locator("#banner")).to_be_empty()


def test_no_transition_is_missed_while_the_socket_is_cut(
    service: Service, page: Page, cable: Callable[..., Cable]
) -> None:
    patient = service.admit("cut")
    line = cable(page)
    page.set_viewport_size(DESK)
    page.goto(f"{service.address}/#/ward/cut")
    expect(page.locator(f'.tile[data-patient="{patient}"]')).to_be_visible(timeout=30_000)
    line.cut()
    page.locator("body.lost").wait_for(timeout=2_000)
    low_heart_rate(service, patient)
    active = _until(lambda: [one for one in service.alarms(patient) if one["presence"] == "on"])
    for one in active:
        service.ask("POST", f"/v1/alarms/{one['id']}/acknowledge", {})
    service.observe(patient, "heart_rate", 75, 1)
    time.sleep(1.2)
    service.observe(patient, "heart_rate", 75, 1)
    courses = [service.ask("GET", f"/v1/alarms/{one['id']}")["transitions"] for one in service.alarms(patient)]
    happened = {f"{one['id']}|{one['presence']}" for course in courses for one in course}
    assert len(happened) >= 2
    line.mend()
    expect(page.locator("body.lost")).to_have_count(0, timeout=20_000)
    seen = page.locator(".events .event")
    expect(seen.first).to_be_visible()
    page.wait_for_timeout(1_000)
    assert happened <= {line.get_attribute("data-transition") for line in seen.all()}


def _until(found: Callable[[], list[dict[str, str]]], within_s: float = 10.0) -> list[dict[str, str]]:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError("nothing came")


def test_charting_and_limits_reach_the_service(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("chart")
    service.observe(patient, "heart_rate", 75, 30)
    page.set_viewport_size(DESK)
    page.goto(f"{service.address}/#/patient/{patient}")
    page.locator('.facts input[value="C"] + span').click()
    page.locator(".facts form").last.get_by_role("button").click()
    expect(page.locator(".facts .charted")).to_contain_text("New confusion", timeout=5_000)
    page.get_by_role("button", name="Change limits").click()
    page.locator('[name="heart_rate.high"]').fill("45")
    page.get_by_role("button", name="Save limits").click()
    expect(page.locator(".limits .said")).to_contain_text("must be higher")
    page.locator('[name="heart_rate.high"]').fill("105")
    page.get_by_role("button", name="Save limits").click()
    expect(page.locator(".limits .said")).to_have_text("Limits saved.")
    assert service.ask("GET", f"/v1/patients/{patient}/limits")["heart_rate"]["high"] == 105


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("view", ["ward", "patient", "sign-in"])
def test_axe_finds_nothing(service: Service, page: Page, view: str, size: dict[str, int]) -> None:
    page.set_viewport_size(size)  # type: ignore[arg-type]
    if view == "sign-in":
        page.goto(f"{service.address}/sign-in.html")
        expect(page.locator("h2").first).not_to_be_empty()
    else:
        page.goto(f"{service.address}/#/ward/*")
        expect(page.locator(".tile .row").first).to_be_visible(timeout=30_000)
        if view == "patient":
            page.locator(".tile .open").first.click()
            expect(page.locator(".signal canvas").first).to_be_visible(timeout=15_000)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_nothing_is_wider_than_a_phone(service: Service, page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator(".tile .row").first).to_be_visible(timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#alarms-button").click()
    expect(page.locator("#alarms-heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#alarms-button")).to_be_focused()


def test_german(service: Service, browser: Browser) -> None:
    page = browser.new_page(locale="de-DE", viewport=DESK)
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator(".tile .row").first).to_be_visible(timeout=30_000)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("footer.notice")).to_contain_text("kein zugelassenes Medizinprodukt")
    shown = page.locator("body").inner_text()
    assert not re.search(r"\b(?:tile|alarm|signal|news2|state|presence)\.[a-z_]+\b", shown), "a key shows itself"
    assert "{" not in shown
    page.context.close()


def test_a_second_oximeter_has_a_row_of_its_own_after_the_others(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("Second")
    for name, value in (("oxygen_saturation", 97), ("second_oxygen_saturation", 95), ("respiratory_rate", 16)):
        service.observe(patient, name, value, 5)
    page.goto(f"{service.address}/#/ward/Second")
    rows = page.locator(f'.tile[data-patient="{patient}"] .row')
    expect(rows).to_have_count(3, timeout=15_000)
    expect(rows.locator(".name")).to_have_text(["SpO₂", "Breaths", "SpO₂ (2nd)"])
    page.goto(f"{service.address}/#/patient/{patient}")
    names = ["Oxygen saturation", "Respiratory rate", "Oxygen saturation (2nd sensor)"]
    expect(page.locator(".signal h2")).to_have_text(names)
    # The score uses the first one's scale, so the first one is shown beside it.
    expect(page.locator(".news2 tr", has_text="Oxygen saturation").locator("td").first).to_have_text(re.compile("^97"))
