"""Stays over HTTP: the next patient under an id, the ward of the earlier stay, and late requests."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.api.conftest import Running, eventually, serving

VIEWS = (
    "",
    "/state",
    "/forecast",
    "/limits",
    "/stays",
    "/history?signal=oxygen_saturation",
    "/history?signal=oxygen_saturation&points=5",
    "/history?signal=oxygen_saturation&kind=estimates",
    "/history?signal=oxygen_saturation&kind=forecasts",
    "/history?kind=facts",
    "/history/smoothed?signal=oxygen_saturation",
)


def low(running: Running, patient: str, value: float = 70.0, seconds: int = 30) -> list[dict[str, Any]]:
    """A course over the last seconds that raises an alarm."""
    return [
        {"patient": patient, "signal": "oxygen_saturation", "time": running.now(-second), "value": value + second % 2}
        for second in range(seconds, 0, -1)
    ]


def stay_in_b(running: Running, admin: Any, patient: str) -> tuple[str, str]:
    """A discharged patient of ward B with data of every kind: the admission, and an alarm's id."""
    made = admin.post("/v1/patients", json={"id": patient, "ward": "B", "label": "Secret", "spo2_scale": 2})
    assert made.status_code == 201, made.text
    limits = {"oxygen_saturation": {"critical_low": 75, "low": 80}}
    assert admin.put(f"/v1/patients/{patient}/limits", json=limits).status_code == 200
    facts = [
        {"patient": patient, "kind": "note", "note": "Secret"},
        {"patient": patient, "kind": "oxygen", "value": 4},
    ]
    assert admin.post("/v1/facts", json=facts).status_code == 200
    assert running.device().post("/v1/observations", json=low(running, patient)).status_code == 200
    (alarm, *_) = eventually(lambda: admin.get(f"/v1/alarms?patient={patient}").json()["items"])
    eventually(lambda: admin.get(f"/v1/patients/{patient}/history?signal=oxygen_saturation").json()["time"])
    eventually(lambda: admin.get(f"/v1/patients/{patient}/history?kind=facts").json()["items"])
    assert admin.delete(f"/v1/patients/{patient}").status_code == 200
    return made.json()["admitted"], alarm["id"]


def test_the_next_person_of_an_id_begins_with_nothing(running: Running) -> None:
    admin = running.person("adm-next", "admin")
    admitted, alarm = stay_in_b(running, admin, "bed-3")
    again = admin.post("/v1/patients", json={"id": "bed-3", "ward": "B", "label": "Second"})
    assert again.status_code == 201
    told = again.json()
    assert (told["label"], told["spo2_scale"], told["oxygen"], told["oxygen_time"]) == ("Second", 1, None, None)
    assert all(one["origin"] == "default" for one in admin.get("/v1/patients/bed-3/limits").json().values())
    assert admin.get("/v1/patients/bed-3/state").json()["signals"] == {}
    assert admin.get("/v1/alarms?patient=bed-3&state=all").json()["items"] == []
    for view in (view for view in VIEWS if view != "/stays"):
        assert "Secret" not in admin.get(f"/v1/patients/bed-3{view}").text
    for view in ("/history?signal=oxygen_saturation", "/history/smoothed?signal=oxygen_saturation"):
        assert admin.get(f"/v1/patients/bed-3{view}").json()["time"] == []
    assert running.device().post("/v1/observations", json=low(running, "bed-3", 82.0)).json()["taken"] == 30
    eventually(
        lambda: len(
            admin.get(f"/v1/patients/bed-3/history?signal=oxygen_saturation&stay={admitted}").json()["time"]
        ) == 60
    )  # fmt: skip
    # All of those are from before the admission: they belong to the earlier stay, not to the present one.
    assert admin.get("/v1/patients/bed-3/state").json()["signals"] == {}
    assert admin.get("/v1/alarms?patient=bed-3&state=all").json()["items"] == []
    former = admin.get(f"/v1/alarms?patient=bed-3&state=all&stay={admitted}").json()["items"]
    assert alarm in [one["id"] for one in former]
    charted = admin.get(f"/v1/patients/bed-3/history?kind=facts&stay={admitted}").json()["items"]
    assert {one["note"] for one in charted} == {"Secret", ""}
    smoothed = admin.get(f"/v1/patients/bed-3/history/smoothed?signal=oxygen_saturation&stay={admitted}").json()
    assert smoothed["time"]
    stays = admin.get("/v1/patients/bed-3/stays").json()["items"]
    assert [(one["label"], one["present"]) for one in stays] == [("Second", True), ("Secret", False)]
    reading = {"patient": "bed-3", "signal": "oxygen_saturation", "value": 82.0}
    running.device().post("/v1/observations", json=[reading | {"time": running.now()}])
    state = eventually(lambda: admin.get("/v1/patients/bed-3/state").json()["signals"])
    assert state["oxygen_saturation"]["value"] == 82.0


def test_a_ward_that_takes_over_an_id_learns_nothing_of_the_stay_before(running: Running) -> None:
    admin, ann, bea = (
        running.person("adm-over", "admin"), running.person("ann", "clinician", ("A",)),
        running.person("bea", "clinician", ("B",)),
    )  # fmt: skip
    admitted, alarm = stay_in_b(running, admin, "bed-9")
    with connect(running.url.replace("http", "ws") + "/ws", additional_headers={"Origin": running.url}) as socket:
        before = greeted(running, socket, bea, None)
    assert ann.get("/v1/patients/bed-9").status_code == 404
    made = ann.post("/v1/patients", json={"id": "bed-9", "ward": "A", "label": "Next"})
    assert made.status_code == 201
    for view in VIEWS:
        answer = ann.get(f"/v1/patients/bed-9{view}")
        assert answer.status_code == 200
        assert "Secret" not in answer.text
        assert admitted not in answer.text
        if view and "limits" not in view:
            named = ann.get(f"/v1/patients/bed-9{view}{'&' if '?' in view else '?'}stay={admitted}")
            if "history" in view:
                assert named.status_code == 404
                assert named.json()["detail"] == ann.get(f"/v1/patients/nobody{view}").json()["detail"]
    assert ann.get("/v1/patients/bed-9/history?signal=oxygen_saturation").json()["time"] == []
    for query in ("?state=all", "?patient=bed-9&state=all", "?state=all&ward=A", ""):
        assert alarm not in ann.get(f"/v1/alarms{query}").text
    assert ann.get(f"/v1/alarms/{alarm}").status_code == 404
    assert ann.get(f"/v1/alarms?patient=bed-9&state=all&stay={admitted}").status_code == 404
    assert ann.post(f"/v1/alarms/{alarm}/acknowledge", json={}).status_code == 404
    with connect(running.url.replace("http", "ws") + "/ws", additional_headers={"Origin": running.url}) as socket:
        text = greeted(running, socket, ann, "patient/bed-9", {"epoch": before[0], "offset": 0})
    assert alarm not in json.dumps(text)
    # The ward of the earlier stay still sees it, and nothing of the next.
    assert bea.get(f"/v1/alarms/{alarm}").status_code == 200
    assert bea.get("/v1/patients/bed-9").status_code == 404
    assert [one["label"] for one in bea.get("/v1/patients/bed-9/stays").json()["items"]] == ["Secret"]
    past = bea.get(f"/v1/patients/bed-9/history?signal=oxygen_saturation&stay={admitted}").json()
    assert len(past["time"]) == 30
    assert bea.get("/v1/patients/bed-9/history?signal=oxygen_saturation").status_code == 404


def greeted(running: Running, socket: Any, person: Any, channel: str | None, since: Any = None) -> Any:
    """Sign in on a socket. Without a channel, return the ring's epoch and offset; with one, all messages up to its snapshot."""
    ticket = person.post("/v1/tickets").json()["ticket"]
    socket.send(json.dumps({"type": "auth", "id": 1, "ticket": ticket}))
    socket.recv(10)
    request = {"type": "subscribe", "id": 2, "channel": channel or "ward/B", "max_hz": 1}
    socket.send(json.dumps(request | ({"since": since} if since else {})))
    heard = []
    while not heard or heard[-1].get("type") != "snapshot":
        heard.append(json.loads(socket.recv(10)))
    return heard if channel else (heard[-1]["epoch"], heard[-1]["offset"])


def test_of_those_who_admit_one_id_at_a_time_one_is_answered_201(running: Running) -> None:
    people = [running.person(f"at-once-{ward}", "clinician", (ward,)) for ward in "ABCDEFGH"]
    start = threading.Barrier(len(people))

    def admit(ward: str, person: Any) -> Any:
        start.wait()
        return person.post("/v1/patients", json={"id": "contested", "ward": ward, "label": ward})

    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(admit, "ABCDEFGH", people))
    assert sorted(one.status_code for one in answers) == [201, *[409] * 7]
    (won,) = [one.json()["ward"] for one in answers if one.status_code == 201]
    seen = {ward: person.get("/v1/patients/contested") for ward, person in zip("ABCDEFGH", people, strict=True)}
    assert [ward for ward, one in seen.items() if one.status_code == 200] == [won]
    assert seen[won].json()["label"] == won
    lost = next(one for one in answers if one.status_code == 409)
    assert lost.json()["detail"] == "this id cannot be used here"


def test_a_devices_first_reading_beside_the_nurses_admission_moves_nobody(running: Running) -> None:
    nurse, device = running.person("nan", "clinician", ("A",)), running.device()
    for number in range(20):
        patient = f"both-{number}"
        start = threading.Barrier(2)

        def admit(patient: str = patient, start: Any = start) -> int:
            start.wait()
            answer = nurse.post("/v1/patients", json={"id": patient, "ward": "A", "bed": "7", "label": "Named"})
            return answer.status_code

        def send(patient: str = patient, start: Any = start) -> int:
            start.wait()
            return device.post("/v1/observations", json=[running.reading(patient=patient)]).json()["taken"]

        with ThreadPoolExecutor(2) as pool:
            status, taken = pool.submit(admit), pool.submit(send)
        assert taken.result() == 1
        profile = running.service.registry.get(patient)
        assert profile is not None
        told = (profile.ward, profile.bed, profile.label)
        assert (status.result(), told) in {(201, ("A", "7", "Named")), (409, ("unassigned", "", ""))}


def test_what_is_out_of_reach_is_answered_as_nobody(start) -> None:
    running = start(unknown_patients="refuse")
    admin, device = running.person("adm", "admin"), running.device(wards=["A"])
    admin.post("/v1/patients", json={"id": "there", "ward": "B"})
    admin.post("/v1/patients", json={"id": "gone", "ward": "B"})
    admin.delete("/v1/patients/gone")
    clinician = running.person("cli", "clinician", ("A",))

    def told(name: str) -> list[Any]:
        error = {"status": "entered-in-error"}
        asked = [
            device.post("/v1/observations", json=[running.reading(patient=name)]),
            device.post("/v1/observations", json=[running.reading(patient=name) | error]),
            clinician.post("/v1/facts", json=[{"patient": name, "kind": "note", "note": "x"}]),
            clinician.get(f"/v1/patients/{name}"),
            clinician.get(f"/v1/patients/{name}/stays"),
            clinician.get(f"/v1/patients/{name}/history?signal=heart_rate"),
            clinician.put(f"/v1/patients/{name}/limits", json={}),
            clinician.delete(f"/v1/patients/{name}"),
            clinician.get(f"/v1/alarms?patient={name}&state=all"),
        ]
        return [(one.status_code, one.text.replace(name, "…")) for one in asked]

    assert told("there") == told("gone") == told("not-here")
    assert clinician.post("/v1/patients", json={"id": "gone", "ward": "A"}).status_code == 201


def test_a_command_for_a_stay_that_is_over_is_a_conflict(running: Running) -> None:
    admin = running.person("adm-meant", "admin")
    first = admin.post("/v1/patients", json={"id": "bed-5", "ward": "B"}).json()["admitted"]
    admin.delete(f"/v1/patients/bed-5?stay={first}")
    second = admin.post("/v1/patients", json={"id": "bed-5", "ward": "B"}).json()["admitted"]
    asked = (
        lambda stay: admin.put(f"/v1/patients/bed-5/limits?stay={stay}", json={"heart_rate": {"low": 40}}),
        lambda stay: admin.patch(f"/v1/patients/bed-5?stay={stay}", json={"label": "x"}),
        lambda stay: admin.delete(f"/v1/patients/bed-5?stay={stay}"),
    )
    assert [one(first).status_code for one in asked] == [409, 409, 409]
    assert [one(second).status_code for one in asked] == [200, 200, 200]
    fact = {"patient": "bed-5", "kind": "note", "note": "late", "time": first}
    admin.post("/v1/patients", json={"id": "bed-5", "ward": "B"})
    assert admin.post("/v1/facts", json=fact).json()["errors"][0]["reason"] == "before_stay"


def test_stays_are_the_same_after_a_restart(tmp_path) -> None:
    with serving(tmp_path / "vitaltwin.db") as running:
        admin = running.person("adm", "admin")
        admitted, alarm = stay_in_b(running, admin, "bed-1")
        again = admin.post("/v1/patients", json={"id": "bed-1", "ward": "A", "label": "Second"}).json()
        stays = admin.get("/v1/patients/bed-1/stays").json()
    with serving(tmp_path / "vitaltwin.db") as running:
        admin = running.person("adm-2", "admin")
        bea = running.person("bea", "clinician", ("B",))
        assert admin.get("/v1/patients/bed-1").json() == again
        assert admin.get("/v1/patients/bed-1/stays").json() == stays
        assert admin.get("/v1/patients/bed-1/history?signal=oxygen_saturation").json()["time"] == []
        assert bea.get(f"/v1/alarms/{alarm}").status_code == 200
        past = bea.get(f"/v1/patients/bed-1/history?signal=oxygen_saturation&stay={admitted}").json()
        assert len(past["time"]) == 30
        assert admin.post("/v1/patients", json={"id": "bed-1", "ward": "A"}).status_code == 409


@pytest.mark.parametrize("together", [True, False])
def test_two_doses_at_one_moment_are_two_and_a_retry_doubles_none(running: Running, together) -> None:
    patient, admin = f"doses-{together}", running.person(f"adm-doses-{together}", "admin")
    admin.post("/v1/patients", json={"id": patient})
    moment = running.now(1)
    dose = {"patient": patient, "kind": "insulin", "time": moment, "unit": "U"}
    entries = [
        dose | {"value": 4},
        dose | {"value": 6},
        dose | {"value": 6, "note": "pen"},
        dose | {"value": 4, "id": "b"},
    ]
    if together:
        entries += [dose | {"value": 4}]  # the same fact twice in one request is two facts

    def chart() -> list[str]:
        batches = [entries] if together else [[one] for one in entries]
        return [name for batch in batches for name in admin.post("/v1/facts", json=batch).json()["ids"]]

    ids = chart()
    assert len(set(ids)) == len(entries)
    assert chart() == ids
    for _ in range(2):
        admin.post("/v1/facts", json={"patient": patient, "kind": "oxygen", "value": 2, "id": "by me"})

    def listed() -> Any:
        found = admin.get(f"/v1/patients/{patient}/history?kind=facts&end={running.now(60)}").json()["items"]
        return found if len(found) >= len(entries) + 1 else None

    assert sorted(one["id"] for one in eventually(listed) if one["kind"] == "insulin") == sorted(ids)
    assert [one["kind"] for one in eventually(listed)].count("oxygen") == 1
