"""POST /v1/observations with valid input, and who may send what."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import numpy as np
import pytest

from streams.log.frame import encode_frame
from streams.worker.worker import Saved
from tests.api.conftest import Running, eventually, serving
from twins.records import Columns

FRAME = "application/vnd.vitaltwin.frame+msgpack"


def frame(running, patients, rows):
    """A frame of (patient, signal, seconds ago, value) rows."""
    now = running.service.clock.now()
    patient, signal, ago, value = zip(*rows, strict=True)
    return encode_frame(
        Columns(
            patients,
            np.array(patient, "u4"),
            np.array(signal, "u2"),
            now - (np.array(ago) * 1e6).astype("i8"),
            np.array(value, "f8"),
        )
    )


def post(client, content, kind, **headers):
    return client.post("/v1/observations", content=content, headers={"Content-Type": kind, **headers})


def test_an_object(running, device):
    answer = device.post("/v1/observations", json=running.reading())
    assert answer.status_code == 200
    assert answer.json() == {"taken": 1, "refused": 0, "errors": []}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("squeeze", [False, True])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", FRAME, "application/msgpack"])
def test_every_form_is_taken(running, device, kind, squeeze):
    readings = [running.reading(value=70 + n, patient=f"many{n}") for n in range(5)]
    if kind == "application/json":
        content = json.dumps(readings).encode()
    elif kind == "application/x-ndjson":
        content = b"\n".join(msgspec.json.encode(one) for one in readings)
    else:
        content = frame(running, ["many0", "many1"], [(n % 2, 0, n, 70 + n) for n in range(5)])
    headers = {"Content-Encoding": "gzip"} if squeeze else {}
    answer = post(device, gzip.compress(content) if squeeze else content, kind, **headers)
    assert answer.json() == {"taken": 5, "refused": 0, "errors": []}


def test_what_was_taken_becomes_the_state(running, device, admin):
    device.post("/v1/observations", json=[running.reading(patient="seen", value=81.0)])
    answer = eventually(lambda: admin.get("/v1/patients/seen/state").json()["signals"])
    assert answer["heart_rate"]["value"] == 81.0
    assert answer["heart_rate"]["unit"] == "/min"
    history = admin.get("/v1/patients/seen/history", params={"signal": "heart_rate"}).json()
    assert history["value"] == [81.0]


def test_nobody_is_unauthenticated(running):
    answer = running.client().post("/v1/observations", json=running.reading())
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_viewer_may_not_send(running):
    viewer = running.person("look", "viewer")
    assert viewer.post("/v1/observations", json=running.reading()).status_code == 403


def test_an_administrator_may_send_from_our_own_pages_only(running, admin):
    assert admin.post("/v1/observations", json=running.reading()).status_code == 200
    foreign = admin.post("/v1/observations", json=running.reading(), headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert foreign.json()["type"] == "/problems/foreign-origin"


def test_a_device_of_one_ward_reaches_no_other(running: Running, admin: httpx.Client):
    admin.post("/v1/patients", json={"id": "in-a", "ward": "A"})
    admin.post("/v1/patients", json={"id": "in-b", "ward": "B"})
    of_a = running.device(wards=["A"])
    answer = of_a.post(
        "/v1/observations", json=[running.reading(patient=name) for name in ("in-a", "in-b", "new-in-a")]
    ).json()
    assert answer["taken"] == 2
    assert [(one["index"], one["reason"]) for one in answer["errors"]] == [(1, "out_of_scope")]
    assert admin.get("/v1/patients/new-in-a").json()["ward"] == "A"


def test_a_device_of_one_patient(running):
    of_one = running.device(patients=["only"])
    answer = of_one.post("/v1/observations", json=[running.reading(patient=name) for name in ("only", "other")]).json()
    assert answer["taken"] == 1
    assert answer["errors"][0]["reason"] == "out_of_scope"


def test_a_revoked_key_is_refused(running, admin):
    made = admin.post("/v1/devices", json={"name": "pump", "wards": ["*"], "may_admit": True}).json()
    client = running.client(Authorization=f"Bearer {made['key']}")
    assert client.post("/v1/observations", json=running.reading()).status_code == 200
    assert admin.delete(f"/v1/devices/{made['device']['id']}").json()["revoked"] is not None
    assert client.post("/v1/observations", json=running.reading()).status_code == 401


def test_a_discharged_patient_and_a_second_stay(running, device, admin):
    admin.post("/v1/patients", json={"id": "leaving"})
    assert admin.delete("/v1/patients/leaving").json()["active"] is False
    refused = device.post("/v1/observations", json=running.reading(patient="leaving"))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["reason"] == "discharged_patient"
    assert admin.post("/v1/patients", json={"id": "leaving"}).status_code == 201
    assert device.post("/v1/observations", json=running.reading(patient="leaving")).json()["taken"] == 1


def test_unknown_patients_may_be_refused(start):
    strict = start(unknown_patients="refuse")
    answer = strict.device().post("/v1/observations", json=[strict.reading(), strict.reading(patient="p2")])
    assert answer.status_code == 422
    assert {one["reason"] for one in answer.json()["errors"]} == {"unknown_patient"}
    assert {letter.reason for letter in strict.letters()} == {"unknown_patient"}


def test_new_patients_are_bounded(start):
    small = start(max_new_patients_per_request=3)
    device = small.device()
    readings = [small.reading(patient=f"n{n}") for n in range(5)]
    answer = device.post("/v1/observations", json=readings).json()
    assert answer["taken"] == 3
    assert [one["reason"] for one in answer["errors"]] == ["too_many_new_patients"] * 2
    assert device.post("/v1/observations", json=readings).json()["taken"] == 5


def test_the_service_follows_only_so_many(start):
    full = start(max_patients=2)
    answer = full.device().post("/v1/observations", json=[full.reading(patient=f"n{n}") for n in range(3)]).json()
    assert answer["taken"] == 2
    assert answer["errors"][0]["reason"] == "too_many_patients"


def test_strangers_in_parallel_are_admitted_once(running):
    clients = [running.device() for _ in range(4)]
    names = [f"crowd{n}" for n in range(50)]
    readings = [running.reading(patient=name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda client: client.post("/v1/observations", json=readings).json(), clients))
    assert [answer["taken"] for answer in answers] == [50] * 4
    records = running.service.registry
    assert all(records.known(name) for name in names)


def seen(client, patient, **asked):
    answer = client.get(f"/v1/patients/{patient}/history", params={"signal": "heart_rate", **asked})
    return answer.json().get("value", [])


def in_error(reading):
    return {name: reading[name] for name in ("patient", "signal", "time")} | {"status": "entered-in-error"}


def test_a_reading_taken_back_is_gone_from_state_and_history(running, device, admin):
    readings = [running.reading(patient="mistaken", time=running.now(n - 50), value=70.0 + n) for n in range(50)]
    assert device.post("/v1/observations", json=readings).json()["taken"] == 50
    eventually(lambda: len(seen(admin, "mistaken")) == 50)
    newest, older_than_kept = readings[-1], readings[2]
    answer = device.post("/v1/observations", json=[in_error(newest), in_error(older_than_kept)])
    assert answer.status_code == 200
    assert answer.json() == {"taken": 0, "refused": 0, "errors": [], "retracted": 2}
    left = [one["value"] for one in readings if one not in (newest, older_than_kept)]
    eventually(lambda: seen(admin, "mistaken") == left)
    state = admin.get("/v1/patients/mistaken/state").json()["signals"]["heart_rate"]
    assert (state["value"], state["time"]) == (118.0, readings[-2]["time"])
    thinned = admin.get("/v1/patients/mistaken/history", params={"signal": "heart_rate", "points": 1}).json()
    assert (thinned["count"], thinned["low"]) == ([48], [70.0])
    assert device.post("/v1/observations", json=newest).json()["taken"] == 1
    eventually(lambda: seen(admin, "mistaken") == [*left, newest["value"]])


def test_readings_beside_a_retraction_come_first(running, device, admin):
    reading = running.reading(patient="briefly", value=66.0)
    lines = b"\n".join(json.dumps(one).encode() for one in (in_error(reading), reading))
    answer = post(device, lines, "application/x-ndjson").json()
    assert answer == {"taken": 1, "refused": 0, "errors": [], "retracted": 1}
    eventually(lambda: "heart_rate" not in admin.get("/v1/patients/briefly/state").json()["signals"])
    assert seen(admin, "briefly") == []


def test_what_cannot_be_taken_back_is_refused_by_itself(running, admin):
    admin.post("/v1/patients", json={"id": "err-a", "ward": "A"})
    admin.post("/v1/patients", json={"id": "err-b", "ward": "B"})
    admin.post("/v1/patients", json={"id": "err-gone", "ward": "A"})
    admin.delete("/v1/patients/err-gone")
    of_a = running.device(wards=["A"])
    errors = [in_error(running.reading(patient=name)) for name in ("err-a", "err-b", "err-new", "err-gone", "a/b")]
    errors += [errors[0] | changes for changes in ({"time": running.now(3600)}, {"signal": "mood"})]
    days = 86_400.0
    errors += [errors[0] | {"time": running.now(-29 * days)}, errors[0] | {"time": running.now(-31 * days)}]
    answer = of_a.post("/v1/observations", json=errors).json()
    assert answer["retracted"] == 2
    assert [(one["index"], one["reason"]) for one in answer["errors"]] == [
        (1, "out_of_scope"), (2, "out_of_scope"), (3, "discharged_patient"), (4, "bad_patient_id"),
        (5, "time_in_future"), (6, "unknown_signal"), (8, "time_too_old"),
    ]  # fmt: skip
    assert admin.get("/v1/patients/err-new").status_code == 404
    assert {letter.reason for letter in running.letters(7)} == {one["reason"] for one in answer["errors"]}
    nothing = of_a.post("/v1/observations", json=errors[1:7])
    assert nothing.status_code == 422
    assert (nothing.json()["taken"], nothing.json()["refused"]) == (0, 6)
    assert running.person("glance", "viewer").post("/v1/observations", json=errors[0]).status_code == 403


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_retraction_outlives_a_restart(tmp_path, checkpointed):
    database = tmp_path / "service.db"
    with serving(database) as first:
        readings = [first.reading(time=first.now(n - 20), value=70.0 + n) for n in range(20)]
        device = first.device()
        device.post("/v1/observations", json=readings)
        device.post("/v1/observations", json=[in_error(readings[-1]), in_error(readings[4])])
        eventually(lambda: first.service.worker.counts["retracted"] == 2)
        (bank,) = [bank for bank in first.service.worker.banks.values() if bank.rows]
        state = bank.state[0].copy()
        if not checkpointed:
            # The next start then has only the log.
            first.service.worker.checkpoint = lambda *_: Saved([], {})
    with serving(database) as second:
        (bank,) = [bank for bank in second.service.worker.banks.values() if bank.rows]
        np.testing.assert_array_equal(bank.state[0], state)
        admin = second.person("root", "admin")
        eventually(lambda: len(seen(admin, "p1")) == 18)
        assert seen(admin, "p1") == [one["value"] for n, one in enumerate(readings) if n not in (4, 19)]


def test_only_a_key_that_may_admit_brings_strangers(running, admin):
    wide = running.device(may_admit=False)
    answer = wide.post("/v1/observations", json=running.reading(patient="stranger-1"))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["reason"] == "unknown_patient"
    assert "may_admit" in error["detail"]
    assert admin.get("/v1/patients/stranger-1").status_code == 404
    assert running.device().post("/v1/observations", json=running.reading(patient="stranger-1")).json()["taken"] == 1
    assert wide.post("/v1/observations", json=running.reading(patient="stranger-1")).json()["taken"] == 1


def test_a_wards_key_cannot_tell_nobody_from_another_wards_patient(running, admin):
    admin.post("/v1/patients", json={"id": "there-in-b", "ward": "B"})
    of_a = running.device(wards=["A"], may_admit=False)
    for change in ({}, {"status": "entered-in-error"}):
        answers = [
            of_a.post("/v1/observations", json=running.reading(patient=name) | change).json()
            for name in ("there-in-b", "nobody-at-all")
        ]
        reasons = [answer["errors"][0]["reason"] for answer in answers]
        details = [answer["errors"][0]["detail"].partition(":")[2] for answer in answers]
        assert reasons == ["out_of_scope", "out_of_scope"]
        assert details[0] == details[1]


def test_so_many_new_patients_a_minute_and_key(start):
    slow = start(new_patients_per_minute=3)
    first, second = slow.device(), slow.device()
    batch = [slow.reading(patient=f"p{number}") for number in range(5)]
    answer = first.post("/v1/observations", json=batch)
    assert answer.json()["taken"] == 3
    assert [one["reason"] for one in answer.json()["errors"]] == ["too_many_new_patients"] * 2
    assert 0 < int(answer.headers["retry-after"]) <= 60
    refused = first.post("/v1/observations", json=batch[3:])
    assert (refused.status_code, refused.json()["taken"]) == (422, 0)
    assert "retry-after" in refused.headers
    assert first.post("/v1/observations", json=batch[:3]).json()["taken"] == 3  # admitted by now
    assert second.post("/v1/observations", json=batch[3:]).json()["taken"] == 2


def test_requests_at_once_share_the_keys_minute(start):
    slow = start(new_patients_per_minute=10)
    key = slow.device().headers["Authorization"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: (
                    slow.client(Authorization=key)
                    .post("/v1/observations", json=[slow.reading(patient=f"p{number}-{place}") for place in range(5)])
                    .json()["taken"]
                ),
                range(8),
            )
        )
    assert sum(answers) == 10
