"""Corrections over HTTP: a device corrects only its own readings, and the originals stay visible."""

import pytest

from tests.api.conftest import eventually, serving


def history(admin, patient, kind="observations", signal="heart_rate"):
    answer = admin.get(f"/v1/patients/{patient}/history?kind={kind}&signal={signal}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def admin(running):
    name = f"adm-{len(running.clients)}"
    return running.person(name, "admin")


def error(reading):
    return {key: reading[key] for key in ("patient", "signal", "time")} | {"status": "entered-in-error"}


@pytest.mark.parametrize("signal", ["heart_rate", "arterial_oxygen_saturation"])
def test_a_device_corrects_and_takes_back_what_it_sent_and_nothing_else(running, admin, signal) -> None:
    patient = f"own-{signal}"
    mine, other = running.device(), running.device()
    reading = running.reading(patient=patient, signal=signal, value=90.0)
    assert mine.post("/v1/observations", json=[reading]).json()["taken"] == 1
    eventually(lambda: history(admin, patient, signal=signal)["value"])
    other.post("/v1/observations", json=[reading | {"value": 60.0}])
    other.post("/v1/observations", json=[error(reading)])

    def done():
        return [one["what"] for one in history(admin, patient, "revisions", signal)["items"]]

    eventually(lambda: done() == ["not_taken", "not_taken"])
    assert history(admin, patient, signal=signal)["value"] == [90.0]
    mine.post("/v1/observations", json=[reading | {"value": 95.0}])
    eventually(lambda: history(admin, patient, signal=signal)["value"] == [95.0])
    mine.post("/v1/observations", json=[error(reading)])
    eventually(lambda: history(admin, patient, signal=signal)["value"] == [])
    told = history(admin, patient, "revisions", signal)["items"]
    assert told[-1]["what"] == "retracted"
    assert {one["before"] for one in told} == {90.0}
    assert {one["by"] for one in told} == {"monitor"}
    assert all(one["received"] for one in told)


def test_corrections_are_in_the_audit_trail(running, admin) -> None:
    mine, other = running.device(), running.device()
    reading = running.reading(patient="audited", value=90.0)
    mine.post("/v1/observations", json=[reading])
    eventually(lambda: history(admin, "audited")["value"])
    other.post("/v1/observations", json=[reading | {"value": 60.0}])
    mine.post("/v1/observations", json=[reading | {"value": 95.0}])
    mine.post("/v1/observations", json=[error(reading)])

    def trail():
        entries = admin.get("/v1/audit?patient=audited").json()["items"]
        found = {(one["action"], one["outcome"]) for one in entries if one["action"].startswith("observation.")}
        return found if len(found) == 3 else None

    assert eventually(trail) == {
        ("observation.correct", "not taken"), ("observation.correct", "ok"), ("observation.retract", "ok"),
    }  # fmt: skip


def test_a_key_that_was_told_so_corrects_others(running, admin) -> None:
    mine = running.device()
    wide = running.device(scopes=["observations:correct"])
    reading = running.reading(patient="gate", value=90.0)
    mine.post("/v1/observations", json=[reading])
    eventually(lambda: history(admin, "gate")["value"])
    wide.post("/v1/observations", json=[reading | {"value": 70.0}])
    eventually(lambda: history(admin, "gate")["value"] == [70.0])
    wide.post("/v1/observations", json=[error(reading)])
    eventually(lambda: history(admin, "gate")["value"] == [])
    state = eventually(lambda: admin.get("/v1/patients/gate/state").json())
    assert not state["signals"].get("heart_rate") or state["signals"]["heart_rate"]["value"] is None


def test_a_stay_before_is_neither_corrected_nor_taken_back_by_the_next_ones_device(running, admin) -> None:
    device = running.device()
    reading = running.reading(patient="before", value=90.0)
    device.post("/v1/observations", json=[reading])
    eventually(lambda: history(admin, "before")["value"])
    first = admin.get("/v1/patients/before").json()["admitted"]
    admin.delete("/v1/patients/before")
    assert admin.post("/v1/patients", json={"id": "before", "ward": "A"}).status_code == 201
    device.post("/v1/observations", json=[reading | {"value": 60.0}, error(reading)])
    device.post("/v1/observations", json=[reading | {"value": 80.0, "time": running.now()}])
    eventually(lambda: history(admin, "before")["value"] == [80.0])
    past = admin.get(f"/v1/patients/before/history?signal=heart_rate&stay={first}").json()
    assert past["value"] == [90.0]


def test_originals_outlive_compaction_and_a_restart(tmp_path) -> None:
    with serving(tmp_path / "vitaltwin.db") as running:
        admin, device = running.person("adm", "admin"), running.device()
        readings = [running.reading(patient="kept", time=running.now(-60 + second), value=90.0) for second in range(40)]
        device.post("/v1/observations", json=readings)
        device.post("/v1/observations", json=[one | {"value": 91.0} for one in readings[35:]])
        device.post("/v1/observations", json=[one | {"value": 92.0} for one in readings[:3]])
        eventually(lambda: history(admin, "kept")["value"] == [92.0] * 3 + [90.0] * 32 + [91.0] * 5)
        told = history(admin, "kept", "revisions")
        assert [(one["before"], one["value"]) for one in told["items"]] == [(90.0, 91.0)] * 5
    with serving(tmp_path / "vitaltwin.db") as running:
        admin = running.person("adm-2", "admin")
        assert history(admin, "kept")["value"] == [92.0] * 3 + [90.0] * 32 + [91.0] * 5
        assert history(admin, "kept", "revisions")["items"] == told["items"]
        versions = running.call(running.service.history.versions("kept", 0, 0, 1 << 60))
        assert versions.value.tolist()[:6] == [90.0, 92.0] * 3
