"""The smoothed history over HTTP: the twin's course of the readings sent, and refused requests."""

from datetime import datetime

import numpy as np
import pytest

from api.http.answers import iso
from streams.history import course as stored
from tests.api.conftest import eventually
from twins.models.channel.course import smooth
from twins.signals import BY_NAME

ADDRESS = "/v1/patients/{}/history/smoothed"
SECOND = 1_000_000


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    return told["type"].removeprefix("/problems/")


def sent(running, device, admin, patient, signal, moments, values):
    """Readings of a patient that are in the history already."""
    readings = [
        running.reading(patient=patient, signal=signal, time=iso(at), value=value)
        for at, value in zip(moments.tolist(), values.tolist(), strict=True)
    ]
    assert device.post("/v1/observations", json=readings).json()["taken"] == len(readings)
    window = {"signal": signal, "start": iso(int(moments.min())), "limit": 100_000}
    count = len(set(moments.tolist()))
    eventually(lambda: len(admin.get(f"/v1/patients/{patient}/history", params=window).json().get("time", ())) == count)


def microseconds(texts):
    return np.array([round(datetime.fromisoformat(text).timestamp() * 1e6) for text in texts], np.int64)


def test_the_course_spans_a_gap_and_late_readings_take_their_place(running, device, admin):
    now = running.service.clock.now() // SECOND * SECOND
    moments = now + np.r_[np.arange(-1_800, -1_200), np.arange(-600, 0)] * SECOND
    values = 75 + 5 * np.sin(np.arange(1_200) / 60)
    values[100] = 190
    order = np.r_[np.arange(300), np.arange(400, 1_200), np.arange(300, 400)]
    sent(running, device, admin, "course", "heart_rate", moments[order], values[order])
    asked = {"signal": "heart_rate", "start": iso(now - 1_900 * SECOND), "end": iso(now), "points": 100}
    told = admin.get(ADDRESS.format("course"), params=asked).json()
    assert (told["patient"], told["signal"], told["unit"]) == ("course", "heart_rate", "/min")
    assert (told["start"], told["end"]) == (asked["start"], asked["end"])
    at = microseconds(told["time"])
    assert set(np.diff(at)) == {19 * SECOND}
    assert abs(at[0] - moments[0]) < 19 * SECOND
    assert at[-1] == now - 19 * SECOND
    assert set(at) >= set(microseconds(admin.get("/v1/patients/course/history", params=asked).json()["time"]))
    expected = smooth(BY_NAME["heart_rate"].code, moments, values, at)
    assert told["mean"] == pytest.approx(expected.mean, rel=1e-9)
    assert told["sd"] == pytest.approx(expected.sd, rel=1e-9)
    gap = (at > moments[599]) & (at < moments[600])
    assert min(np.array(told["sd"])[gap][2:-2]) > 3 * max(np.array(told["sd"])[~gap][1:])


def test_it_is_a_forecast_after_the_last_reading_and_knows_what_was_before_the_window(running, device, admin):
    now = running.service.clock.now() // SECOND * SECOND
    moments = now + np.arange(-900, -300) * SECOND
    sent(running, device, admin, "run-in", "heart_rate", moments, np.full(600, 140.0))
    asked = {"signal": "heart_rate", "start": iso(now - 200 * SECOND), "end": iso(now), "points": 20}
    told = admin.get(ADDRESS.format("run-in"), params=asked).json()
    assert len(told["mean"]) == 20
    assert 120 < min(told["mean"]) < max(told["mean"]) < 140
    assert (np.diff(told["sd"]) > 0).all()
    assert len(admin.get(ADDRESS.format("run-in"), params={"signal": "heart_rate"}).json()["time"]) <= 600


def test_nothing_is_told_of_nothing(running, device, admin):
    admin.post("/v1/patients", json={"id": "blank", "ward": "A"})
    told = admin.get(ADDRESS.format("blank"), params={"signal": "glucose"}).json()
    assert (told["time"], told["mean"], told["sd"]) == ([], [], [])
    moments = running.service.clock.now() // SECOND * SECOND - np.arange(5)[::-1] * SECOND
    sent(running, device, admin, "blank", "heart_rate", moments, np.zeros(5))
    assert admin.get(ADDRESS.format("blank"), params={"signal": "heart_rate"}).json()["time"] == []
    at = iso(int(moments[0]))
    empty = admin.get(ADDRESS.format("blank"), params={"signal": "heart_rate", "start": at, "end": at})
    assert (empty.status_code, empty.json()["time"]) == (200, [])


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "missing"),
        ({"signal": "mood"}, "unknown_signal"),
        ({"signal": "insulin_bolus"}, "unfiltered_signal"),
        ({"signal": "heart_rate", "points": 0}, "greater_than_equal"),
        ({"signal": "heart_rate", "points": 10_001}, "less_than_equal"),
        ({"signal": "heart_rate", "start": "2026-01-01T00:00:00"}, "time_without_zone"),
        ({"signal": "heart_rate", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "ends_before_start"),
    ],
)
def test_what_cannot_be_asked(admin, asked, reason):
    admin.post("/v1/patients", json={"id": "asked", "ward": "A"})
    answer = admin.get(ADDRESS.format("asked"), params=asked)
    assert (answer.status_code, problem(answer)) == (422, "invalid")
    assert answer.json()["errors"][0]["reason"] == reason


def test_a_window_of_too_many_readings_is_refused(running, device, admin, monkeypatch):
    monkeypatch.setattr(stored, "MOST_READINGS", 50)
    moments = running.service.clock.now() // SECOND * SECOND - np.arange(51)[::-1] * SECOND
    sent(running, device, admin, "many", "heart_rate", moments, np.full(51, 80.0))
    answer = admin.get(ADDRESS.format("many"), params={"signal": "heart_rate"})
    assert (answer.status_code, problem(answer)) == (422, "invalid")
    assert answer.json()["errors"][0]["reason"] == "too_many_readings"
    assert "shorter" in answer.json()["detail"]
    earlier = {"signal": "heart_rate", "end": iso(int(moments[-1]))}
    assert len(admin.get(ADDRESS.format("many"), params=earlier).json()["time"]) > 0


def test_rights_and_audit_are_those_of_the_history(running, admin):
    admin.post("/v1/patients", json={"id": "far", "ward": "B"})
    nurse = running.person("nurse", "clinician", ("A",))
    asked = {"signal": "heart_rate"}
    hidden = nurse.get(ADDRESS.format("far"), params=asked)
    assert (hidden.status_code, problem(hidden)) == (404, "not-found")
    assert hidden.json()["detail"] == nurse.get(ADDRESS.format("nobody"), params=asked).json()["detail"]
    assert problem(running.client().get(ADDRESS.format("far"), params=asked)) == "unauthenticated"
    assert admin.get(ADDRESS.format("far"), params=asked).status_code == 200
    found = eventually(
        lambda: [
            one
            for one in admin.get("/v1/audit", params={"patient": "far"}).json()["items"]
            if one["action"] == "patient.read"
        ]
    )
    assert (found[0]["actor"], found[0]["detail"]) == ("root", "history smoothed heart_rate")
