"""Past forecasts in the history: they equal those that the socket and the forecast door published at the time."""

import json
import time
from datetime import datetime

import numpy as np
import pytest
from websockets.sync.client import connect

from api.http.answers import iso
from tests.api.conftest import eventually

MINUTE_MS = 60_000
ADDRESS = "/v1/patients/{}/history"


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("/problems/")


def milliseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(scope="module")
def published(running, device, admin):
    """Forecasts from the socket and the door for six readings, several of them in the same minute."""
    admin.post("/v1/patients", json={"id": "past", "ward": "A"})
    begin = (running.service.clock.now() // 60_000_000 - 3) * 60_000_000
    told = []
    with connect(running.url.replace("http", "ws") + "/ws", max_size=None) as line:
        line.send(json.dumps({"type": "auth", "ticket": admin.post("/v1/tickets").json()["ticket"], "id": 1}))
        line.send(json.dumps({"type": "subscribe", "id": 2, "channel": "patient/past", "max_hz": 10}))
        while json.loads(line.recv(timeout=60))["type"] != "snapshot":
            pass
        for second in (5, 20, 61, 70, 125, 170):
            moment = iso(begin + second * 1_000_000)
            sent = running.reading(patient="past", time=moment, value=70 + second / 10)
            assert device.post("/v1/observations", json=sent).json()["taken"] == 1
            at, heard, deadline = milliseconds(moment), {}, time.monotonic() + 60
            while heard.get("t") != at:
                assert time.monotonic() < deadline
                message = json.loads(line.recv(timeout=60))
                heard = (message.get("set") or {}).get("past", {}).get("signals", {}).get("heart_rate", heard)
            fan = admin.get("/v1/patients/past/forecast").json()["signals"]["heart_rate"]
            assert milliseconds(fan["time"]) == at
            told.append((at, heard["f"], fan["forecast"]))
            time.sleep(1.1)  # estimates of a patient are published once a second
    return told


def test_it_stores_the_first_forecast_of_every_minute(published, admin):
    wanted = {at // MINUTE_MS: (at, f, fan) for at, f, fan in reversed(published)}
    asked = {"signal": "heart_rate", "kind": "forecasts"}
    kept = admin.get(ADDRESS.format("past"), params=asked).json()
    assert (kept["patient"], kept["signal"], kept["unit"]) == ("past", "heart_rate", "/min")
    assert (kept["horizons_min"], kept["quantiles"]) == ([5, 30, 120], [0.05, 0.5, 0.95])
    assert len(kept["time"]) == len(kept["forecast"]) == len(wanted) == 3
    every = admin.get("/v1/patients/past/forecast").json()
    places = np.ix_([every["horizons_min"].index(ahead) for ahead in kept["horizons_min"]],
                    [every["quantiles"].index(quantile) for quantile in kept["quantiles"]])  # fmt: skip
    for moment, told, (at, live, fan) in zip(kept["time"], kept["forecast"], reversed(wanted.values()), strict=True):
        assert milliseconds(moment) == at
        assert told == np.array(fan)[places].tolist()
        assert np.array(live)[places] == pytest.approx(np.array(told), abs=0.051)


def test_windows_and_thinning_are_by_when_it_was_made(published, admin):
    asked = {"signal": "heart_rate", "kind": "forecasts"}
    kept = admin.get(ADDRESS.format("past"), params=asked).json()
    window = {"start": kept["time"][1], "end": kept["time"][2]}
    part = admin.get(ADDRESS.format("past"), params=asked | window).json()
    assert (part["start"], part["end"]) == tuple(window.values())
    assert (part["time"], part["forecast"]) == (kept["time"][1:2], kept["forecast"][1:2])
    one = admin.get(ADDRESS.format("past"), params=asked | {"start": kept["time"][0], "points": 1}).json()
    assert (one["time"], one["forecast"]) == (kept["time"][:1], kept["forecast"][:1])
    other = admin.get(ADDRESS.format("past"), params=asked | {"signal": "glucose"}).json()
    assert (other["time"], other["forecast"]) == ([], [])


def test_a_forecast_for_a_moment_already_past_is_null(running, device, admin):
    sent = running.reading(patient="delayed", time=running.now(-1_200))
    assert device.post("/v1/observations", json=sent).json()["taken"] == 1
    asked = {"signal": "heart_rate", "kind": "forecasts"}
    eventually(lambda: admin.get(ADDRESS.format("delayed"), params=asked).json().get("time"))
    (told,) = admin.get(ADDRESS.format("delayed"), params=asked).json()["forecast"]
    assert told[0] == [None] * 3
    assert None not in told[1] + told[2]


def test_errors_are_those_of_the_history(admin, running, published):
    asked = {"signal": "heart_rate", "kind": "forecasts"}
    assert problem(admin.get(ADDRESS.format("past"), params=asked | {"signal": "mood"})) == "invalid"
    assert problem(
        admin.get(ADDRESS.format("past"), params=asked | {"start": running.now(), "end": running.now(-60)})
    ) == ("invalid")
    assert problem(admin.get(ADDRESS.format("past"), params=asked | {"points": 0})) == "invalid"
    assert problem(admin.get(ADDRESS.format("nobody"), params=asked)) == "not-found"
    assert problem(running.client().get(ADDRESS.format("past"), params=asked)) == "unauthenticated"
