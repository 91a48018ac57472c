"""The service's health for pages: in the first answer, in every heartbeat, and at once when it changes."""

import json
import threading
import time

import pytest
from websockets.sync.client import connect

from api.live.protocol import Health
from api.live.service_health import ServiceHealth, grave


class HealthOf:
    """A runtime with this health."""

    def __init__(self, **parts):
        self.parts = parts

    def health(self):
        return self.parts


@pytest.mark.parametrize(
    ("parts", "writes"),
    [
        ({}, ""),
        ({"log": "ok", "lag_readings": 100}, ""),
        ({"log": "ok", "lag_readings": 101}, "overloaded"),
        ({"log": "database or disk is full"}, "disk_full"),
        ({"log": "[Errno 28] No space left on device"}, "disk_full"),
        ({"log": "Kafka does not answer", "lag_readings": 101}, "log_unavailable"),
    ],
)
def test_why_nothing_is_recorded(parts, writes):
    assert ServiceHealth(HealthOf(**parts), 100).now().writes == writes


def test_what_a_runtime_does_not_know_is_calm_and_what_is_no_number_travels_as_one():
    assert ServiceHealth(HealthOf(), 100).now() == Health()
    assert ServiceHealth(HealthOf(lag_s=float("inf"), clock_apart_s=-3.0), 100).now() == Health(clock_apart_s=-3.0)


def test_which_changes_are_told_at_once():
    calm = grave(Health())
    assert grave(Health(lag_s=4.0, estimate_age_s=3.0, clock_apart_s=-4.0)) == calm
    for worse in (
        {"writes": "disk_full"},
        {"twins": "stopped"},
        {"lag_s": 6.0},
        {"estimate_age_s": 11.0},
        {"clock_apart_s": -61.0},
    ):
        assert grave(Health(**worse)) != calm


class Line:
    """A signed-in socket and its messages with their times."""

    def __init__(self, running, admin):
        self._line = connect(running.url.replace("http", "ws") + "/ws")
        self._ticket = admin.post("/v1/tickets").json()["ticket"]

    def __enter__(self):
        self._socket = self._line.__enter__()
        self._socket.send(json.dumps({"type": "auth", "ticket": self._ticket, "id": 1}))
        return self

    def __exit__(self, *exc):
        self._line.__exit__(*exc)

    def follow(self, channel):
        self._socket.send(json.dumps({"type": "subscribe", "id": 2, "channel": channel, "max_hz": 10}))

    def hear(self, wanted):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = json.loads(self._socket.recv(timeout=60))
            if wanted(message):
                return message
        raise AssertionError("it never came")


def ping(message, **health):
    return message["type"] == "ping" and health.items() <= message["health"].items()


def test_the_first_answer_tells_the_health(running, admin):
    with Line(running, admin) as line:
        welcome = line.hear(lambda message: message["type"] == "result")
        assert set(welcome["health"]) == {"writes", "twins", "lag_s", "estimate_age_s", "clock_apart_s"}


def test_the_heartbeat_comes_while_other_things_do(running, admin, device):
    """Otherwise a patient with continuous readings would keep the service's health from the page."""
    stop = threading.Event()

    def send():
        while not stop.wait(0.2):
            device.post("/v1/observations", json=[running.reading(patient="busy")])

    device.post("/v1/observations", json=[running.reading(patient="busy")])
    sending = threading.Thread(target=send)
    sending.start()
    try:
        with Line(running, admin) as line:
            line.follow("patient/busy")
            for _ in range(3):
                line.hear(ping)
    finally:
        stop.set()
        sending.join()


def test_a_full_disk_is_told_and_so_is_its_end(running, admin, monkeypatch):
    with Line(running, admin) as line:
        line.hear(lambda message: ping(message, writes=""))
        with monkeypatch.context() as patch:
            patch.setattr(type(running.service._commit), "trouble", "database or disk is full")
            line.hear(lambda message: ping(message, writes="disk_full"))
            assert admin.get("/health/ready").status_code == 503
        line.hear(lambda message: ping(message, writes=""))


def test_who_sends_more_than_the_twins_can_follow_is_told_to_wait(start, monkeypatch):
    running = start(max_lag_readings=100)
    device, admin = running.device(), running.person("root", "admin")
    go_on = threading.Event()
    take = running.service.worker.take

    def held_up(*record):
        go_on.wait(60)
        return take(*record)

    monkeypatch.setattr(running.service.worker, "take", held_up)
    try:
        with Line(running, admin) as line:
            entries = [running.reading(patient="flood", value=60.0 + n % 40) for n in range(200)]
            assert device.post("/v1/observations", json=entries).json()["taken"] == 200
            line.hear(lambda message: ping(message, writes="overloaded"))
            refused = device.post("/v1/observations", json=[running.reading()])
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
            assert int(refused.headers["retry-after"]) > 0
            assert "twins" in refused.json()["detail"]
            assert admin.get("/health/ready").status_code == 503
            go_on.set()
            line.hear(lambda message: ping(message, writes=""))
        assert device.post("/v1/observations", json=[running.reading()]).json()["taken"] == 1
    finally:
        go_on.set()
