"""Readings from wrong clocks, late readings and withdrawn readings, as users see them over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import eventually


@pytest.fixture
def patient(admin, request):
    name = request.node.name[:60]
    assert admin.post("/v1/patients", json={"id": name, "ward": "A"}).status_code == 201
    return name


class Sender:
    """Posts readings of one patient, with times relative to the service's present time."""

    def __init__(self, running, device, patient):
        self.running, self.device, self.patient = running, device, patient

    def __call__(self, signal, *readings, **more):
        now = datetime.fromisoformat(self.running.now())
        entries = [
            {
                "patient": self.patient, "signal": signal, "unit": "mg/dL" if signal == "glucose" else "", "value": value,
                "time": (now + timedelta(seconds=ahead)).astimezone(UTC).isoformat(timespec="milliseconds"), **more,
            }
            for value, ahead in readings
        ]  # fmt: skip
        answer = self.device.post("/v1/observations", json=entries)
        assert answer.status_code == 200, answer.text
        return entries


@pytest.fixture
def send(running, device, patient):
    return Sender(running, device, patient)


def active(admin, patient):
    return {(one["condition"], one["presence"]) for one in admin.get(f"/v1/alarms?patient={patient}").json()["items"]}


def test_a_reading_from_ahead_hides_nothing_and_the_clock_is_an_alarm(admin, patient, send):
    send("oxygen_saturation", (97, 50))

    def low():
        send("oxygen_saturation", (70, 0))
        return ("limit.critical_low", "on") in active(admin, patient)

    eventually(low)
    assert ("sensor.clock", "on") in active(admin, patient)
    assert admin.get(f"/v1/patients/{patient}/state").json()["signals"]["oxygen_saturation"]["value"] == 70


def test_readings_of_the_wrong_patient_all_taken_back(admin, patient, send):
    entries = send("heart_rate", *((30, at) for at in range(-60, 0)))
    eventually(lambda: ("limit.critical_low", "on") in active(admin, patient))
    eventually(lambda: ("news2.single", "on") in active(admin, patient))
    for entry in entries:
        entry["status"] = "entered-in-error"
        del entry["value"]
    assert send.device.post("/v1/observations", json=entries).json()["retracted"] == 60
    eventually(lambda: not active(admin, patient))
    assert admin.get(f"/v1/patients/{patient}/state").json()["signals"] == {}
    assert admin.get(f"/v1/patients/{patient}/state").json()["news2"] is None
    listed = admin.get(f"/v1/alarms?state=all&patient={patient}").json()["items"]
    (critical,) = [one for one in listed if one["condition"] == "limit.critical_low"]
    assert (critical["presence"], critical["explanation"]["withdrawn"]) == ("off", "taken_back")


@pytest.mark.parametrize("order", [1, -1])
def test_a_low_hours_ago_is_listed_as_past_and_sounds_nothing(admin, patient, send, order):
    readings = [(45 if -7200 <= at <= -5400 else 120, at) for at in range(-10800, 1, 300)]
    for reading in readings[::order]:
        send("glucose", reading)

    def listed():
        items = admin.get(f"/v1/alarms?state=all&patient={patient}").json()["items"]
        return sorted((one["condition"], one["presence"], one["past"], one["value"]) for one in items)

    told = [("limit.critical_low", "off", True, 45.0), ("limit.low", "off", True, 45.0)]
    eventually(lambda: listed() == told)
    assert active(admin, patient) == set()
