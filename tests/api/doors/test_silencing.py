"""Pauses, "I take it", several acknowledgements, alarms off and the policy over HTTP, with rights and audit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import eventually


@pytest.fixture(scope="module")
def alarms(running, admin):
    """Two active alarms of patient q of ward A, by family."""
    assert admin.post("/v1/patients", json={"id": "q", "ward": "A"}).status_code == 201
    monitor = running.device()
    readings = [
        {"patient": "q", "signal": signal, "time": running.now(second - 40), "value": value}
        for second in range(40) for signal, value in (("heart_rate", 180.0), ("oxygen_saturation", 70.0))
    ]  # fmt: skip
    assert monitor.post("/v1/observations", json=readings).status_code == 200

    def both():
        found = {one["family"]: one for one in active(admin) if one["family"] in {"low", "high"}}
        return found if len(found) == 2 else None

    listed = eventually(both)
    return {family: one["id"] for family, one in listed.items()}


def active(client, patient="q"):
    return client.get("/v1/alarms", params={"patient": patient}).json()["items"]


def trail(admin, words):
    return eventually(lambda: [e for e in admin.get("/v1/audit").json()["items"] if words in e["detail"]])


def shown(client, name):
    return client.get(f"/v1/alarms/{name}").json()["alarm"]


def test_one_alarm_is_paused_and_the_other_is_not(running, admin, alarms):
    nurse = running.person("pausing.nurse", "clinician", ("A",))
    answer = nurse.put(f"/v1/alarms/{alarms['high']}/pauses/audio", json={"seconds": 60})
    assert answer.status_code == 200, answer.text
    assert answer.json()["signals"] == {"visible": "on", "audible": "paused", "remote": "on"}
    assert answer.json()["audio_paused_until"] > running.now()
    assert shown(admin, alarms["low"])["signals"]["audible"] == "on"
    assert trail(admin, "audio pause of alarm")[0]["patient"] == "q"
    over = nurse.delete(f"/v1/alarms/{alarms['high']}/pauses/audio").json()
    assert over["signals"]["audible"] == "on"
    assert over["event"] == "resumed"


def test_a_pause_of_a_patient_is_on_the_patient_and_in_the_list(running, admin, alarms):
    nurse = running.person("second.nurse", "clinician", ("A",))
    answer = nurse.put("/v1/patients/q/pauses/alarm", json={"seconds": 60, "reason": "turning"})
    assert answer.status_code == 200, answer.text
    told = answer.json()["alarm"]
    assert (told["by"], told["reason"], told["scope"]) == ("second.nurse", "turning", "patient")
    assert answer.json()["audio"] is None
    assert admin.get("/v1/patients/q").json()["pauses"]["alarm"] == told
    (listed,) = [one for one in admin.get("/v1/pauses").json()["items"] if one["patient"] == "q"]
    assert listed["alarm"] == told
    assert shown(admin, alarms["low"])["signals"] == {"visible": "paused", "audible": "paused", "remote": "paused"}
    assert nurse.delete("/v1/patients/q/pauses/alarm").json() == {"audio": None, "alarm": None}
    assert [one for one in admin.get("/v1/pauses").json()["items"] if one["patient"] == "q"] == []


def test_a_longer_pause_than_the_policy_allows_is_refused_with_what_is_allowed(admin, alarms):
    answer = admin.put("/v1/patients/q/pauses/audio", json={"seconds": 121})
    assert answer.status_code == 422
    assert "120" in answer.json()["errors"][0]["detail"]
    assert admin.put("/v1/patients/q/pauses/audio", json={"seconds": 0}).status_code == 422
    assert admin.put("/v1/patients/q/pauses/everything", json={"seconds": 5}).status_code == 422


def test_who_may_pause_what(running, admin, alarms):
    looker = running.person("pause.looker", "viewer", ("A",))
    other = running.person("pause.other", "clinician", ("B",))
    nurse = running.person("pause.nurse", "clinician", ("A",))
    body = {"seconds": 30, "reason": "fire drill"}
    assert looker.put("/v1/patients/q/pauses/audio", json=body).status_code == 403
    assert other.put("/v1/patients/q/pauses/audio", json=body).status_code == 404
    assert other.put("/v1/wards/A/pauses/audio", json=body).status_code == 403
    assert nurse.put("/v1/wards/A/pauses/alarm", json=body).status_code == 403
    assert nurse.put("/v1/wards/A/pauses/audio", json={"seconds": 30}).status_code == 422
    assert other.get("/v1/pauses").json() == {"items": []}


def test_a_ward_is_paused_by_those_who_may(running, admin, alarms):
    body = {"seconds": 60, "reason": "fire drill"}
    answer = admin.put("/v1/wards/A/pauses/alarm", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["paused"] == answer.json()["patients"] >= 1
    assert admin.get("/v1/patients/q/pauses").json()["alarm"]["scope"] == "ward"
    assert admin.delete("/v1/wards/A/pauses/alarm").json()["paused"] == 0
    assert trail(admin, "alarm pause of ward A")


def test_taking_an_alarm_names_who_and_leaves_it_sounding(running, admin, alarms):
    nurse = running.person("taking.nurse", "clinician", ("A",))
    answer = nurse.post(f"/v1/alarms/{alarms['high']}/take")
    assert answer.status_code == 200, answer.text
    taken = answer.json()
    assert (taken["responder"], taken["presence"], taken["signals"]["audible"]) == ("taking.nurse", "on", "on")
    assert (
        running.person("taking.looker", "viewer", ("A",)).post(f"/v1/alarms/{alarms['high']}/take").status_code == 403
    )


def test_alarms_off_of_news2_and_of_a_rule_are_listed_for_the_ward(running, admin, alarms):
    nurse = running.person("off.nurse", "clinician", ("A",))
    body = {"minutes": 30, "reason": "palliative care"}
    for what in ("news2", "rule.sepsis"):
        assert nurse.put(f"/v1/patients/q/alarms-off/{what}", json=body).status_code == 200
    listed = nurse.get("/v1/alarms-off", params={"ward": "A"}).json()["items"]
    assert [(one["patient"], one["what"], one["by"], one["reason"]) for one in listed] == [
        ("q", "news2", "off.nurse", "palliative care"), ("q", "rule.sepsis", "off.nurse", "palliative care"),
    ]  # fmt: skip
    assert running.person("off.other", "clinician", ("B",)).get("/v1/alarms-off").json() == {"items": []}
    assert nurse.put("/v1/patients/q/alarms-off/sensor.silent", json=body).status_code == 422
    for what in ("news2", "rule.sepsis"):
        assert what not in nurse.delete(f"/v1/patients/q/alarms-off/{what}").json()


def test_several_are_acknowledged_exactly_those(running, admin, alarms):
    nurse = running.person("several.nurse", "clinician", ("A",))
    looker = running.person("several.looker", "viewer", ("A",))
    body = {"alarms": [alarms["high"], "nothing"], "note": "seen"}
    assert [one["result"] for one in looker.post("/v1/alarms/acknowledge", json=body).json()["items"]] == [
        "forbidden", "not_found",
    ]  # fmt: skip
    answer = nurse.post("/v1/alarms/acknowledge", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"] == [
        {"id": alarms["high"], "result": "acknowledged", "presence": "acknowledged"},
        {"id": "nothing", "result": "not_found", "presence": None},
    ]
    assert (shown(admin, alarms["high"])["by"], shown(admin, alarms["high"])["note"]) == ("several.nurse", "seen")
    assert shown(admin, alarms["high"])["reminds_at"] > running.now()
    assert shown(admin, alarms["low"])["presence"] == "on"
    assert nurse.post("/v1/alarms/acknowledge", json=body).json()["items"][0]["result"] == "already"


def test_the_policy_is_read_by_everybody_and_set_by_administrators_with_errors_that_name_the_place(running, admin):
    nurse = running.person("policy.nurse", "clinician")
    before = nurse.get("/v1/alarm-policy").json()
    assert before["given"] == {}
    assert before["in_force"]["longest_audio_pause_s"] == 120.0
    assert before["in_force"]["latches"]["limit.critical_low"] is True
    assert nurse.put("/v1/alarm-policy", json={"fold_s": 60}).status_code == 403
    wrong = admin.put(
        "/v1/alarm-policy", json={"fold_s": -1, "remind_after_s": {"urgent": 5}, "latches": {"limit": True}}
    )
    assert wrong.status_code == 422
    assert [one["field"] for one in wrong.json()["errors"]] == ["fold_s", "remind_after_s.urgent", "latches.limit"]
    assert (
        admin.put("/v1/alarm-policy", json={"fold": 1})
        .json()["errors"][0]["detail"]
        .startswith("Object contains unknown")
    )
    assert admin.put("/v1/alarm-policy", json={"fold_s": "a minute"}).json()["errors"][0]["field"] == "fold_s"
    told = admin.put(
        "/v1/alarm-policy", params={"ward": "C"}, json={"fold_s": 60, "remind_after_s": {"low": 900}}
    ).json()
    assert (told["ward"], told["given"]) == ("C", {"fold_s": 60.0, "remind_after_s": {"low": 900.0}})
    assert told["in_force"]["remind_after_s"] == {"high": 600.0, "medium": 3600.0, "low": 900.0}
    assert told["set_at"]
    assert admin.get("/v1/alarm-policy").json() == before
    assert trail(admin, "ward C: ")


def test_the_command_sets_what_a_file_says_and_shows_it(running, admin, tmp_path, monkeypatch):
    running.person("policy.chief", "admin")
    monkeypatch.setenv("VITALTWIN_PASSWORD", "correct horse battery staple")
    file = tmp_path / "policy.toml"

    def run(*words):
        command = [Path(sys.executable).with_name("vitaltwin"), "alarms", "policy", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    file.write_text("longest_audio_pause_s = 7\n[latches]\n'limit.hihg' = true\n")
    checked = run("check", str(file))
    assert checked.returncode == 1
    assert "longest_audio_pause_s: must be 10 to 900" in checked.stderr
    assert "latches.limit.hihg: no such condition" in checked.stderr
    file.write_text("longest_audio_pause_s = 70\n[latches]\n'limit.high' = true\n")
    where = ("--url", running.url, "--account", "policy.chief", "--ward", "D")
    done = run("set", str(file), *where, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["in_force"]["longest_audio_pause_s"] == 70.0
    text = run("show", *where).stdout
    assert "* latches.limit.high                 yes" in text
    assert "  longest_alarm_pause_s              180" in text
