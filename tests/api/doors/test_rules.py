"""The site's rules over HTTP, from a TOML file, and an alarm of one of them on the WebSocket."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.rules import read_rules
from tests.api.conftest import PASSWORD, eventually
from tests.api.live.test_sockets import follow, hear, opened

GOOD = """
time_zone = "Europe/Berlin"

[[rules]]
id = "respiratory-failure"
when = "oxygen_saturation.reading < 92 and respiratory_rate.reading > 24"
for_s = 1
priority = "high"
[rules.text]
en = "SpO2 {oxygen_saturation.reading} % at {respiratory_rate.reading} breaths"
de = "SpO2 {oxygen_saturation.reading} % bei {respiratory_rate.reading} Atemzügen"
"""


def vitaltwin(running, *arguments):
    command = [str(Path(sys.executable).with_name("vitaltwin")), "rules", *map(str, arguments)]
    place = os.environ | {"VITALTWIN_URL": running.url, "VITALTWIN_PASSWORD": PASSWORD}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=place)


@pytest.mark.parametrize(
    ("rule", "field", "said"),
    [
        ({"id": "x", "when": "spo2 < 92"}, "rules[0].when", "did you mean oxygen_saturation? (character 1)"),
        ({"id": "x", "when": "glucose < 3.9"}, "rules[0].when", "write 3.9 mmol/L?"),
        ({"id": "x", "when": "heart_rate > 100 and"}, "rules[0].when", "a signal or news2 is expected"),
        ({"id": "x"}, "rules[0]", "'when' is missing"),
        ({"id": "Ä", "when": "news2 > 4"}, "rules[0].id", "small letters"),
        ({"id": "x", "when": "news2 > 4", "for": 60}, "rules[0].for", "did you mean 'for_s'?"),
        ({"id": "x", "when": "news2 > 4", "times": 3}, "rules[0].within_s", "'times' needs 'within_s'"),
        ({"id": "x", "when": "news2 > 4", "priority": "urgent"}, "rules[0].priority", "one of 'high', 'medium', 'low'"),
        (
            {"id": "x", "when": "news2 > 4", "hours": {"from": "25:00", "to": "06:00"}},
            "rules[0].hours.from",
            "00:00 to 24:00",
        ),
        ({"id": "x", "when": "news2 > 4", "text": {"en": "{pulse}"}}, "rules[0].text.en", "known: news2"),
    ],
)
def test_a_mistake_is_answered_with_its_place_and_what_to_do(admin, rule, field, said):
    before = admin.get("/v1/rules").json()
    answer = admin.put("/v1/rules", json={"rules": [rule]})
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert fault["field"] == field
    assert said in fault["detail"]
    checked = admin.post("/v1/rules/check", json={"rules": [rule]}).json()
    assert (checked["valid"], checked["errors"][0]["field"]) == (False, field)
    assert admin.get("/v1/rules").json() == before


def test_only_an_administrator_sets_rules(running, admin):
    nurse = running.person("nurse-rules", "clinician")
    assert nurse.get("/v1/rules").status_code == 200
    assert nurse.put("/v1/rules", json={"rules": []}).status_code == 403
    assert (
        admin.put("/v1/rules", json={"time_zone": "Europe/Berln", "rules": []})
        .json()["errors"][0]["detail"]
        .endswith("did you mean 'Europe/Berlin'?")
    )


def test_a_file_is_checked_without_a_service(tmp_path, running):
    file = tmp_path / "rules.toml"
    file.write_text(GOOD.replace("oxygen_saturation.reading < 92", "SpO2 < 92").replace('"high"', '"urgent"'))
    checked = vitaltwin(running, "check", file)
    assert checked.returncode == 1
    assert "line 6, rules[0].when, character 1: 'SpO2' is no signal" in checked.stderr
    assert "line 8, rules[0].priority" in checked.stderr
    file.write_text(GOOD.replace("oxygen_saturation.reading < 92", "SpO2 < 92"))
    assert "line 6, rules[0].when, character 1: 'SpO2' is no signal" in vitaltwin(running, "check", file).stderr
    file.write_text("# rules\nrules = = 1\n")
    assert "line 2" in vitaltwin(running, "check", file).stderr


def test_a_rule_from_a_file_alarms_on_the_socket_with_its_text_and_version(tmp_path, running, admin, device):
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    made = vitaltwin(running, "set", file, "--account", "root")
    assert made.returncode == 0, made.stderr
    version = admin.get("/v1/rules").json()["version"]
    assert version
    assert version in made.stdout
    assert "respiratory-failure" in vitaltwin(running, "show", "--account", "root").stdout
    assert admin.post("/v1/patients", json={"id": "rule-1", "ward": "A"}).status_code == 201
    with opened(running, admin) as line:
        follow(line, "patient/rule-1")

        def breathe():
            readings = [
                running.reading(patient="rule-1", signal=signal, value=value)
                for signal, value in (("oxygen_saturation", 88.0), ("respiratory_rate", 31.0))
            ]
            assert device.post("/v1/observations", json=readings).status_code == 200
            return admin.get("/v1/alarms?patient=rule-1").json()["items"] and [
                one for one in admin.get("/v1/alarms?patient=rule-1").json()["items"]
                if one["condition"] == "rule.respiratory-failure"
            ]  # fmt: skip

        (shown,) = eventually(breathe)
        heard = hear(line, "alarm", lambda one: one["alarm"]["condition"] == "rule.respiratory-failure")
    assert heard["alarm"]["id"] == shown["id"]
    why = heard["alarm"]["explanation"]
    assert (
        why["sentence"]
        == "Rule respiratory-failure: oxygen saturation reading 88 % (< 92), respiratory rate reading 31 /min (> 24), for 1 s."
    )
    assert heard["alarm"]["text"]["de"] == "SpO2 88 % bei 31 Atemzügen"
    assert (why["rule"]["version"], why["rule"]["set_by"]) == (version, "root")


def test_on_the_services_own_machine_no_password_is_needed(running, admin):
    shown = vitaltwin(running, "show", "--json", "--database", running.service.settings.database)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == admin.get("/v1/rules").json()


def test_a_service_that_is_not_there_is_one_plain_line(running, tmp_path):
    gone = vitaltwin(running, "show", "--url", "http://127.0.0.1:9", "--account", "root")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "is the service running?" in gone.stderr


def test_the_example_of_the_documentation_is_valid():
    page = (Path(__file__).parents[3] / "docs" / "rules.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    read = read_rules(example, 1_700_000_000_000_000)
    assert read.findings == []
    assert [rule.id for rule in read.rules] == ["respiratory-failure", "spells-at-night", "worse-in-two-hours"]
