"""Suggested limits on the patient's page: what they say, and that accepting one is an ordinary change of a limit."""

import json

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service


def test_a_suggestion_is_accepted_by_a_person(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("A")
    service.observe(patient, "heart_rate", 72.0, 30)
    item = {
        "signal": "heart_rate", "bound": "low", "unit": "/min", "present": 50.0, "suggested": 47.0, "alarms_present": 41,
        "alarms_suggested": 3, "sustained": 2,
    }  # fmt: skip
    answered = {"status": 200, "content_type": "application/json", "body": json.dumps({"items": [item]})}
    page.goto(f"{service.address}/#/patient/{patient}")
    ask = page.get_by_role("button", name="Suggest limits from the last hours")
    # The service's own answer first: this patient has had no alarms.
    ask.click(timeout=120_000)
    expect(page.locator(".suggest")).to_contain_text("No suggestion", timeout=60_000)
    page.route("**/limit-suggestions?**", lambda route: route.fulfill(**answered))  # type: ignore[arg-type]
    ask.click()
    said = page.locator(".suggestions li")
    expect(said).to_contain_text(
        "at 47 /min instead of 50 /min, 3 instead of 41 alarms in the last 8 h".replace(" /", "\u00a0/")
    )
    expect(said).to_contain_text("None of the 2 alarms that lasted a minute or more would have been missed.")
    said.get_by_role("button").click()
    expect(page.locator(".suggestions li")).to_have_count(0, timeout=30_000)
    expect(page.locator('.limits tr[data-signal="heart_rate"] .own')).to_have_text("47")
    limits = service.ask("GET", f"/v1/patients/{patient}/limits")["heart_rate"]
    assert limits["own"] == {"low": 47.0}
