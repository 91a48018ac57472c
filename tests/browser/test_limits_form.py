"""The form of alarm limits: it sets exactly the typed values, or refuses them at their field and sends nothing."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Service


@pytest.fixture
def patient(service: Service) -> str:
    admitted = service.admit("Limits")
    service.observe(admitted, "heart_rate", 75, 10)
    service.observe(admitted, "body_temperature", 36.8, 10)
    return admitted


def limits(service: Service, patient: str) -> Any:
    return service.ask("GET", f"/v1/patients/{patient}/limits")


def form(service: Service, page: Page, patient: str) -> None:
    """The patient's page with the form open, and nothing sent of it yet."""
    page.goto(f"{service.address}/#/patient/{patient}")
    expect(page.locator('.limits tr[data-signal="body_temperature"]')).to_be_visible(timeout=120_000)
    page.locator(".limits button").first.click()
    expect(page.locator(".limits form")).to_be_visible()


def sent(page: Page) -> list[str]:
    """The changes that the page sends from now on."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.post_data or "") if one.method in {"PUT", "PATCH"} else None)
    return found


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
@pytest.mark.parametrize("typed", ["39,5", "39.5", " 39,5 ", "39 ,5", "+39.50"])
def test_a_decimal_comma_is_a_decimal_comma(
    service: Service, browser: Browser, patient: str, typed: str, locale: str
) -> None:
    page = browser.new_page(locale=locale)
    form(service, page, patient)
    page.locator('[name="body_temperature.high"]').press_sequentially(typed)
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_have_text(
        re.compile(r"^(Limits saved\.|Grenzen gespeichert\.)$"), timeout=15_000
    )
    expect(page.locator(".limits .now")).to_have_text(re.compile(r"39[.,]5"))
    assert limits(service, patient)["body_temperature"]["own"] == {"high": 39.5}
    page.context.close()


@pytest.mark.parametrize(
    "typed", ["39..5", "abc", "39,5,1", "1e2", "39-5", "--", "39.5°C", "395", "0x27", "Infinity", "39 5"]
)
def test_what_is_no_limit_is_said_at_its_field_and_not_sent(
    service: Service, page: Page, patient: str, typed: str
) -> None:
    form(service, page, patient)
    changes = sent(page)
    page.locator('[name="body_temperature.high"]').fill(typed)
    page.locator('[name="heart_rate.high"]').fill("118")
    page.locator(".limits [type=submit]").click()
    field = page.locator('[name="body_temperature.high"]')
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_value(typed)
    described = field.get_attribute("aria-describedby")
    expect(page.locator(f"#{described}")).not_to_be_empty()
    expect(page.locator(".limits .said")).to_contain_text("Nothing was sent")
    assert changes == []
    assert all(row["own"] == {} for row in limits(service, patient).values())


def test_a_mark_that_may_part_thousands_is_asked_about(service: Service, page: Page, patient: str) -> None:
    form(service, page, patient)
    changes = sent(page)
    page.locator('[name="heart_rate.high"]').fill("1.250")
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_contain_text("mean 1250 or 1.25?")
    assert changes == []


def test_one_bound_pins_itself_alone_and_can_be_given_back(service: Service, page: Page, patient: str) -> None:
    form(service, page, patient)
    page.locator('[name="heart_rate.high"]').fill("105")
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_have_text("Limits saved.", timeout=15_000)
    expect(page.locator(".limits .now")).to_contain_text("Heart rate, high 105, for this patient.")
    assert limits(service, patient)["heart_rate"]["own"] == {"high": 105}
    expect(page.locator('.limits tr[data-signal="heart_rate"] .own')).to_have_text(["105"])
    service.ask("PATCH", "/v1/limits?ward=Limits", {"heart_rate": {"low": 55}})
    form(service, page, patient)
    expect(page.locator('[name="heart_rate.low"]')).to_have_value("")
    expect(page.locator('[name="heart_rate.low"]')).to_have_attribute("placeholder", "55")
    expect(page.locator('[name="heart_rate.high"]')).to_have_value("105")
    page.get_by_role("button", name="Heart rate, high: follow ward (120)").click()
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_have_text("Limits saved.", timeout=15_000)
    expect(page.locator(".limits .now")).to_contain_text("Heart rate, high 120, as for the ward.")
    assert limits(service, patient)["heart_rate"]["own"] == {}
    service.ask("PATCH", "/v1/limits?ward=Limits", {"heart_rate": None})


def test_it_says_saved_only_when_the_limits_are_in_force(service: Service, page: Page, patient: str) -> None:
    """A service that accepts the change but does not apply it, because its twins are stopped."""
    form(service, page, patient)
    page.route(
        "**/limits*",
        lambda route: route.fallback(method="GET") if route.request.method == "PATCH" else route.fallback(),
    )
    page.locator('[name="heart_rate.high"]').fill("105")
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_contain_text("still in force", timeout=30_000)
    expect(page.locator(".limits .said")).not_to_contain_text("saved")
    assert limits(service, patient)["heart_rate"]["own"] == {}


def test_a_refusal_of_the_service_is_no_success(service: Service, page: Page, patient: str) -> None:
    form(service, page, patient)
    page.route(
        "**/limits*",
        lambda route: (
            route.fulfill(status=503, json={"detail": "x"}) if route.request.method == "PATCH" else route.fallback()
        ),
    )
    page.locator('[name="heart_rate.high"]').fill("105")
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_contain_text("cannot store anything")
    expect(page.locator('[name="heart_rate.high"]')).to_have_value("105")
    page.unroute("**/limits*")
    page.locator(".limits [type=submit]").click()
    expect(page.locator(".limits .said")).to_have_text("Limits saved.", timeout=15_000)


def test_an_oxygen_flow_with_a_comma_is_what_was_meant(service: Service, page: Page, patient: str) -> None:
    page.goto(f"{service.address}/#/patient/{patient}")
    page.locator('.facts input[value="on"] + span').click(timeout=120_000)
    page.locator("#flow").press_sequentially("2,5")
    page.locator(".facts form").first.get_by_role("button").click()
    expect(page.locator(".facts .charted")).to_contain_text("on oxygen, 2.5", timeout=15_000)
