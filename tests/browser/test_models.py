"""What a site's own models tell stands on the patient's page; where there is none, nothing does."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, demo

ROOT = Path(__file__).parents[2]
SHOTS = os.environ.get("SHOTS")
ENTRIES = """\
[vitaltwin.models]
insulin-on-board = my_hospital:InsulinOnBoard
shock-index = my_hospital_documented:ShockIndex
telling = my_hospital:Telling
"""


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service beside which a package with models is installed."""
    place = tmp_path_factory.mktemp("packages")
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), re.DOTALL)
    (place / "my_hospital_documented.py").write_text(source)
    (place / "my_hospital.py").write_text((ROOT / "tests" / "support" / "site_models.py").read_text())
    about = place / "my_hospital-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-hospital\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(place))
        with demo(tmp_path_factory.mktemp("modelled")) as started:
            yield started


def test_nothing_is_shown_where_a_site_has_no_models(service: Service, page: Page, calm: list[str]) -> None:
    patient = service.admit("plain")
    service.observe(patient, "heart_rate", 80, 5)
    page.goto(f"{service.address}/#/patient/{patient}")
    expect(page.locator(".box.news2")).to_be_visible(timeout=120_000)
    expect(page.locator(".box.models")).to_be_hidden()


def test_quantities_stand_with_spread_unit_and_age(modelled: Service, page: Page, calm: list[str]) -> None:
    patient = modelled.admit("modelled")
    modelled.observe(patient, "heart_rate", 90, 1)
    modelled.observe(patient, "systolic_bp", 120, 1)
    page.goto(f"{modelled.address}/#/patient/{patient}")
    rows = page.locator(".box.models tbody tr")
    shock = rows.filter(has_text="shock-index")
    expect(shock.locator("td").nth(0)).to_have_text("0.750", timeout=120_000)
    expect(shock.locator("th")).to_contain_text("shock index")
    expect(shock.locator("td").nth(1)).to_have_text(re.compile(r"^\d+ s$"))
    rate = rows.filter(has_text="telling, Heart rate")
    expect(rate.locator("td").nth(0)).to_have_text("90.0 ± 1.0")
    expect(rows).to_have_count(3)
    modelled.ask("POST", "/v1/facts", {"patient": patient, "kind": "insulin", "value": 4})
    expect(rows.filter(has_text="insulin-on-board").locator("td").nth(0)).to_have_text(
        re.compile(r"^(4\.00|3\.99)\u00a0U$")
    )
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "models.png"), full_page=True)
