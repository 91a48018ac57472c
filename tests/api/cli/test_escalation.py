"""``vitaltwin alarms escalation``: the file in the docs, mistakes with their places, a running service."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import PASSWORD, admin, running  # noqa: F401 - fixtures

DOCS = Path(__file__).parents[3] / "docs" / "escalation.md"


def vitaltwin(url, *arguments):
    command = [str(Path(sys.executable).with_name("vitaltwin")), "alarms", *map(str, arguments)]
    place = os.environ | {"VITALTWIN_URL": url, "VITALTWIN_PASSWORD": PASSWORD}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=place)


@pytest.fixture
def example(tmp_path):
    file = tmp_path / "escalation.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)[1])
    return file


def test_the_file_in_the_docs_is_set_and_shown(running, admin, example):  # noqa: F811
    answer = vitaltwin(running.url, "escalation", "check", example)
    assert (answer.returncode, "1 chains, 1 schedules" in answer.stdout) == (0, True), answer.stderr
    answer = vitaltwin(running.url, "escalation", "set", example, "--account", "root")
    assert answer.returncode == 0, answer.stderr
    assert "high priority in every ward: set" in answer.stdout
    assert "there is no account head-nurse" in answer.stderr
    shown = json.loads(vitaltwin(running.url, "escalation", "show", "--account", "root", "--json").stdout)
    assert [[step["to"] for step in one["steps"]] for one in shown["chains"]] == [
        [["role:clinician"], ["schedule:ward-doctor", "person:head-nurse"]]
    ]
    assert shown["schedules"][0]["rotations"][0]["start"] == "2026-11-02"
    told = vitaltwin(running.url, "escalation", "show", "--account", "root")
    assert "  after 60 s: role:clinician" in told.stdout
    assert "steps[1].to[1]: there is no account head-nurse" in told.stderr
    for moment, who in (
        ("2026-11-09T06:59:00Z", "ada"),
        ("2026-11-09T07:00:00Z", "bob"),
        ("2026-12-25T12:00:00Z", "bob"),
    ):
        answer = vitaltwin(running.url, "on-call", "--at", moment, "--account", "root")
        assert answer.stdout.strip() == f"ward-doctor: {who}"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('priority = "high" ', 'priority = "urgent" ', "chains[0].priority:"),
        ("after_s = 120", "after_s = -1", "chains[0].steps[1].after_s:"),
        ('"role:clinician"', '"role:nurse"', "chains[0].steps[0].to[0]: write role:viewer"),
        ('zone = "Europe/Berlin"', 'zone = "Europe/Berlni"', "schedules[0].rotations[0].zone: no such time zone"),
        ("end = 2026-12-26", "end = 2026-12-23", "schedules[0].overrides[0]: the end must be after the start"),
        (
            "end = 2026-12-26T08:00:00+01:00",
            "end = 2026-12-26T08:00:00",
            "schedules[0].overrides[0].end: the time has no zone",
        ),
        ('handover = "08:00"', 'handover = "8 am"', "schedules[0].rotations[0].handover: a time of day"),
        ("repeat = 1 ", "repeats = 1 ", "chains[0].repeats:"),
        ("[[schedules]]", "[[schedules]", "line"),
    ],
)
def test_a_mistake_is_reported_with_its_place_and_nothing_is_set(example, was, now, said):
    text = example.read_text()
    assert was in text
    example.write_text(text.replace(was, now))
    for command in ("check", "set"):
        answer = vitaltwin("http://127.0.0.1:9", "escalation", command, example)
        assert answer.returncode == 1
        assert said in answer.stderr
