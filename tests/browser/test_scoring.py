"""A child has no NEWS2 score: a clinician enters the age on the patient's page, and every view says why there is none."""

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service

SHOTS = os.environ.get("SHOTS")


def test_the_age_of_a_child_ends_the_score_and_the_views_say_why(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("children")
    service.observe(patient, "heart_rate", 110, 30)
    page.goto(f"{service.address}/#/patient/{patient}")
    box = page.locator(".box.news2")
    expect(box.locator(".big-score strong")).to_have_text("1", timeout=120_000)
    box.locator("summary").click()
    box.get_by_label("Age in years").fill("1")
    box.get_by_role("button", name="Save").click()
    expect(box.locator(".said")).to_have_text("Saved.", timeout=30_000)
    expect(box.locator(".big-score")).to_have_text("No NEWS2: it is not valid for children under 16.", timeout=30_000)
    expect(box).not_to_contain_text("the default alarm limits are for adults")  # there are limits for this age
    assert service.ask("GET", f"/v1/patients/{patient}")["age_years"] == 1
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "child-patient.png"))
    page.goto(f"{service.address}/#/ward/children")
    tile = page.locator(f'.tile[data-patient="{patient}"]')
    expect(tile.locator(".score")).to_have_text("no NEWS2", timeout=30_000)
    expect(tile.locator(".partial")).not_to_contain_text("adult limits")
