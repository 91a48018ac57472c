"""Two oximeters on one patient: a second source's key, from the request to the alarm."""

import time

import httpx
import msgspec
import numpy as np
import pytest

from streams.log.frame import encode_frame
from tests.api.conftest import Running, eventually
from twins.records import Columns
from twins.signals import BY_NAME

FRAME = "application/vnd.vitaltwin.frame+msgpack"


def registered(running: Running, admin: httpx.Client, **wanted: object) -> httpx.Client:
    """A client with a key created over HTTP."""
    made = admin.post("/v1/devices", json={"name": "oximeter", "wards": ["*"], "may_admit": True} | wanted)
    assert made.status_code == 201, made.text
    assert made.json()["device"]["second_source"] is wanted.get("second_source", False)
    return running.client(Authorization=f"Bearer {made.json()['key']}")


def body(running, kind, patient):
    """A saturation and a heart rate in one of the accepted formats."""
    if kind == FRAME:
        codes = np.array([BY_NAME["oxygen_saturation"].code, BY_NAME["heart_rate"].code], np.uint16)
        times = np.full(2, running.service.clock.now(), np.int64)
        return encode_frame(Columns([patient], np.zeros(2, np.uint32), codes, times, np.array([93.0, 71.0])))
    readings = [
        running.reading(patient=patient, signal="oxygen_saturation", value=0.93, unit="1"),
        running.reading(patient=patient, value=71),
    ]
    if kind == "application/json":
        return msgspec.json.encode(readings)
    return b"\n".join(map(msgspec.json.encode, readings))


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", FRAME])
def test_its_saturation_is_recorded_as_the_second_and_nothing_else_is_touched(running, admin, device, kind):
    patient = kind.rpartition("/")[2]
    second = registered(running, admin, second_source=True)
    device.post("/v1/observations", json=running.reading(patient=patient, signal="oxygen_saturation", value=96))
    answer = second.post("/v1/observations", content=body(running, kind, patient), headers={"Content-Type": kind})
    assert answer.json() == {"taken": 2, "refused": 0, "errors": []}

    def state():
        signals = admin.get(f"/v1/patients/{patient}/state").json()["signals"]
        return signals if len(signals) == 3 else None

    found = {name: (one["value"], one["unit"]) for name, one in eventually(state).items()}
    assert found == {
        "oxygen_saturation": (96.0, "%"), "second_oxygen_saturation": (93.0, "%"), "heart_rate": (71.0, "/min")
    }  # fmt: skip
    history = admin.get(f"/v1/patients/{patient}/history", params={"signal": "second_oxygen_saturation"}).json()
    assert history["value"] == [93.0]


def test_its_refusals_stand_at_the_entries_that_were_sent(running, admin):
    second = registered(running, admin, second_source=True)
    answer = second.post(
        "/v1/observations",
        json=[
            running.reading(patient="refused", signal="mood"),
            running.reading(patient="refused", signal="oxygen_saturation", value=95),
            running.reading(patient="refused", signal="second_oxygen_saturation", value=95, time=running.now(9e6)),
        ],
    ).json()
    assert answer["taken"] == 1
    assert [(one["index"], one["reason"]) for one in answer["errors"]] == [(0, "unknown_signal"), (2, "time_in_future")]


def test_a_key_is_no_second_source_unless_it_says_so(running, admin):
    assert admin.post("/v1/devices", json={"name": "x", "second_source": "perhaps"}).status_code == 422
    first = registered(running, admin)
    first.post("/v1/observations", json=running.reading(patient="plain", signal="oxygen_saturation", value=96))
    state = eventually(lambda: admin.get("/v1/patients/plain/state").json()["signals"])
    assert list(state) == ["oxygen_saturation"]
    listed = admin.get("/v1/devices").json()["items"]
    assert listed[0]["second_source"] is False


def test_two_that_part_are_an_alarm_and_the_first_ones_course_goes_on(start):
    running = start(clock_speed=60)
    admin = running.person("root", "admin")
    first, second = running.device(), running.device(second_source=True)

    def send(client, value):
        reading = running.reading(patient="p", signal="oxygen_saturation", value=value)
        assert client.post("/v1/observations", json=reading).json()["taken"] == 1

    def disagreement(there):
        send(first, 96)
        send(second, there)
        return [one for one in admin.get("/v1/alarms").json()["items"] if one["condition"] == "sensor.disagreement"]

    for _ in range(60):
        assert disagreement(98) == []
        time.sleep(0.02)
    (alarm,) = eventually(lambda: disagreement(84))
    assert (alarm["kind"], alarm["priority"], alarm["signal"]) == ("technical", "low", "second_oxygen_saturation")
    state = admin.get("/v1/patients/p/state").json()
    assert state["signals"]["oxygen_saturation"]["mean"] == pytest.approx(96, abs=1)
    eventually(lambda: not disagreement(98))
