"""An alarm of a site's rule shows the text of the site, its terms with their values, and who set which version."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Service
from tests.browser.test_alarm_display import tile_of

RULES = {
    "rules": [
        {
            "id": "thirsty",
            "when": "heart_rate.reading > 90 and oxygen_saturation.reading >= 90 and heart_rate.trend < 100",
            "priority": "high",
            "text": {"en": "Pulse {heart_rate.reading} although saturated", "de": "Puls {heart_rate.reading} trotz Sättigung"},
        }
    ]
}  # fmt: skip


def test_a_rule_alarms_with_its_own_text_and_explanation(service: Service, page: Page, calm: list[str]) -> None:
    version = service.ask("PUT", "/v1/rules", RULES)["version"]
    try:
        patient = service.admit("rules")
        tile = tile_of(service, page, "rules", patient)
        service.observe(patient, "oxygen_saturation", 97, 2)
        service.observe(patient, "heart_rate", 105, 4)
        expect(tile.locator(".foot strong")).to_have_text("Pulse 105 although saturated", timeout=30_000)
        expect(tile.locator(".foot")).to_contain_text("Heart rate, reading 105 /min (> 90 /min)")
        page.goto(f"{service.address}/#/patient/{patient}")
        said = page.locator(".card", has_text="Pulse 105 although saturated").first
        expect(said).to_be_visible(timeout=15_000)
        said.locator("summary").first.click()
        expect(said).to_contain_text("Rule thirsty is true")
        expect(said).to_contain_text(re.compile(rf"version {version} were set by \S+"))
        expect(said).to_contain_text("Heart rate, trend")
    finally:
        service.ask("PUT", "/v1/rules", {"rules": []})
    expect(page.locator(".card", has_text="Pulse 105 although saturated")).to_have_count(0, timeout=15_000)
