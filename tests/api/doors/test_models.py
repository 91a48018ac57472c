"""What a site's own models tell, through a real service: over HTTP and on a patient's channel."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from tests.api.conftest import Running, eventually, serving
from tests.support.site_models import InsulinOnBoard, LastValue, Telling, documented


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with models of the site's own."""
    with pytest.MonkeyPatch.context() as patch:
        models = (LastValue(), Telling(), InsulinOnBoard(), documented())
        patch.setattr("streams.embedded.service.site_models", lambda: models)
        with serving(Path(tmp_path_factory.mktemp("service")) / "v.db") as started:
            yield started


def told(client: Any, patient: str, model: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/patients/{patient}/models")
    assert answer.status_code == 200, answer.text
    assert answer.json()["patient"] == patient
    return [one for one in answer.json()["models"] if one["model"] == model]


def send(running: Running, patient: str, **values: float) -> str:
    now = running.now()
    readings = [{"patient": patient, "signal": signal, "time": now, "value": value} for signal, value in values.items()]
    assert running.device().post("/v1/observations", json=readings).status_code == 200
    return now


def test_what_models_tell_is_seen(modelled: Running) -> None:
    admin = modelled.person("adm-models", "admin")
    assert admin.post("/v1/patients", json={"id": "m1", "ward": "A"}).status_code == 201
    assert admin.get("/v1/patients/m1/models").json() == {"patient": "m1", "models": []}
    at = send(modelled, "m1", heart_rate=90.0, systolic_bp=120.0)
    (index,) = eventually(lambda: told(admin, "m1", "shock-index"))
    assert (index["version"], index["signal"]) == (1, None)
    assert index["time"][:22] == at[:22]
    assert index["outputs"] == [{"name": "shock_index", "unit": "1", "mean": 0.75, "sd": None}]
    last = told(admin, "m1", "telling")
    assert {one["signal"]: one["outputs"] for one in last} == {
        "heart_rate": [{"name": "last", "unit": "", "mean": 90.0, "sd": 1.0}],
        "systolic_bp": [{"name": "last", "unit": "", "mean": 120.0, "sd": 1.0}],
    }
    assert told(admin, "m1", "last-value") == []  # it has no outputs
    assert told(admin, "m1", "insulin-on-board") == []  # nothing was given yet


def test_a_charted_fact_is_told_at_once(modelled: Running) -> None:
    admin = modelled.person("adm-fact", "admin")
    assert admin.post("/v1/patients", json={"id": "m2", "ward": "A"}).status_code == 201
    dose = {"patient": "m2", "kind": "insulin", "value": 4.0, "unit": "U", "id": "dose-1"}
    for _ in range(2):  # the same dose again is none
        assert admin.post("/v1/facts", json=dose).status_code == 200
    (board,) = eventually(lambda: told(admin, "m2", "insulin-on-board"))
    (units,) = board["outputs"]
    assert (units["name"], units["unit"]) == ("insulin_on_board", "U")
    assert 3.9 < units["mean"] <= 4.0


def test_the_next_stay_begins_with_nothing(modelled: Running) -> None:
    admin = modelled.person("adm-stay", "admin")
    assert admin.post("/v1/patients", json={"id": "m3", "ward": "A"}).status_code == 201
    send(modelled, "m3", heart_rate=90.0, systolic_bp=120.0)
    eventually(lambda: told(admin, "m3", "shock-index"))
    assert admin.delete("/v1/patients/m3").status_code == 200
    eventually(lambda: admin.get("/v1/patients/m3/models").json()["models"] == [])
    assert admin.post("/v1/patients", json={"id": "m3", "ward": "A"}).status_code == 201
    assert admin.get("/v1/patients/m3/models").json()["models"] == []
    send(modelled, "m3", heart_rate=80.0)
    eventually(lambda: told(admin, "m3", "telling"))
    assert told(admin, "m3", "shock-index") == []  # the pressure was the former patient's


def test_a_reader_of_another_ward_sees_nothing_and_reading_is_audited(modelled: Running) -> None:
    admin = modelled.person("adm-audit", "admin")
    assert admin.post("/v1/patients", json={"id": "m4", "ward": "A"}).status_code == 201
    other = modelled.person("other-ward", "viewer", wards=("B",))
    assert other.get("/v1/patients/m4/models").status_code == other.get("/v1/patients/nobody/models").status_code == 404
    own = modelled.person("own-ward", "viewer", wards=("A",))
    assert own.get("/v1/patients/m4/models").status_code == 200
    entries = eventually(
        lambda: [
            entry for entry in admin.get("/v1/audit?patient=m4").json()["items"]
            if "own-ward" in entry["actor"] and entry["detail"] == "models"
        ]
    )  # fmt: skip
    assert len(entries) == 1


def test_the_patient_channel_tells_it(modelled: Running) -> None:
    admin = modelled.person("adm-socket", "admin")
    assert admin.post("/v1/patients", json={"id": "m5", "ward": "A"}).status_code == 201
    send(modelled, "m5", heart_rate=90.0, systolic_bp=120.0)
    eventually(lambda: told(admin, "m5", "shock-index"))
    ticket = admin.post("/v1/tickets").json()["ticket"]
    with connect(modelled.url.replace("http", "ws") + "/ws", origin=modelled.url) as socket:
        socket.send(json.dumps({"type": "auth", "ticket": ticket}))
        for number, channel in ((1, "patient/m5"), (2, "ward/A")):
            socket.send(json.dumps({"type": "subscribe", "id": number, "channel": channel, "max_hz": 10}))
        snapshots: dict[int, Any] = {}
        while len(snapshots) < 2:
            message = json.loads(socket.recv(timeout=60))
            if message["type"] == "snapshot":
                snapshots[message["sub"]] = message["entries"]["m5"]
        index = {one["model"]: one for one in snapshots[1]["models"]}["shock-index"]
        assert index["outputs"] == [["shock_index", "1", 0.75, None]]
        assert "models" not in snapshots[2]
        send(modelled, "m5", heart_rate=91.0)
        for _ in range(60):
            message = json.loads(socket.recv(timeout=60))
            models = message.get("set", {}).get("m5", {}).get("models") if message.get("sub") == 1 else None
            found = {one["model"]: one for one in models or ()}.get("shock-index")
            if found and found["outputs"][0][2] == pytest.approx(91 / 120):
                break
        else:
            pytest.fail("the change was not told")


def test_a_service_without_models_says_so(running: Running) -> None:
    admin = running.person("adm-none", "admin")
    assert admin.post("/v1/patients", json={"id": "m6", "ward": "A"}).status_code == 201
    assert admin.get("/v1/patients/m6/models").json() == {"patient": "m6", "models": []}


class NextVersion(InsulinOnBoard):
    """A version that doubles what an earlier one had, and nobody can miss it."""

    version = 3

    def migrate(self, version: int, raw: bytes) -> Any:
        state = np.frombuffer(raw, self.dtype).copy()
        state["units"] *= 2 if version == 2 else 0
        return state


def test_a_restart_keeps_what_models_know_and_another_version_migrates_it(tmp_path: Path) -> None:
    def insulin(models: tuple[Any, ...]) -> float:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streams.embedded.service.site_models", lambda: models)
            with serving(tmp_path / "v.db") as running:
                admin = running.person(f"adm-{len(started)}", "admin")
                if not started:
                    assert admin.post("/v1/patients", json={"id": "m7", "ward": "A"}).status_code == 201
                    dose = {"patient": "m7", "kind": "insulin", "value": 4.0}
                    assert admin.post("/v1/facts", json=dose).status_code == 200
                started.append(1)
                (board,) = eventually(lambda: told(admin, "m7", "insulin-on-board"))
                assert running.service.counters()["models_begun_anew"] == 0
                (units,) = board["outputs"]
                mean: float = units["mean"]
                return mean

    started: list[int] = []
    first = insulin((InsulinOnBoard(),))
    assert 3.9 < first <= 4.0
    again = insulin((InsulinOnBoard(),))
    assert 0.9 * first < again <= first
    assert 1.8 * again < insulin((NextVersion(),)) <= 2 * again
