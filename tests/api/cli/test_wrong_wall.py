"""The program on a machine whose wall clock is wrong at first and is corrected while it runs, or is behind the file."""

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from api.http.answers import iso
from streams.clock import Clock
from streams.embedded.restore import open_offline
from streams.log.times import moment
from tests.api.cli.test_serve import ServiceUnderTest

WRONG = str(Path(__file__).parent / "wrong_wall.py")
ROOT = str(Path(__file__).parents[3])


class Bed:
    """A monitor that sends with the local key and reads the results."""

    def __init__(self, service, state):
        self.service = service
        file = state / "vitaltwin" / f"{service.port}.key"
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.key = file.read_text()

    def ask(self, path, body=None):
        request = urllib.request.Request(
            self.service.url + path, None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def sends(self, value):
        """The service's answer to a heart rate with the present time."""
        now = iso(Clock().now())
        entry = {"patient": "bed-3", "signal": "heart_rate", "value": value, "time": now, "unit": "/min"}
        return self.ask("/v1/observations", entry)

    def clock_off_s(self):
        """The difference between the service's clock and the right time."""
        return (moment(self.ask("/v1/clock")["now"]) - Clock().now()) / 1e6

    def health(self):
        return self.ask("/health/ready")["parts"]


@pytest.fixture
def bed(home, tmp_path):
    services = []

    def at(off_s):
        wrong = {"OFF_S": str(off_s), "SET_RIGHT": str(tmp_path / "right"), "PYTHONPATH": ROOT}
        services.append(
            ServiceUnderTest(
                [sys.executable, WRONG], home | wrong | {"VITALTWIN_TICK_SECONDS": "0.2"}, tmp_path
            ).start()
        )
        return Bed(services[-1], tmp_path / "state")

    yield at
    for service in services:
        if service.process.poll() is None:
            service.end()


@pytest.mark.fault
@pytest.mark.parametrize("off_s", [3600, -3600])
def test_readings_of_now_are_taken_and_judged_once_the_clock_is_right(bed, home, tmp_path, off_s):
    monitor = bed(off_s)
    assert abs(monitor.clock_off_s() - off_s) < 2
    first = monitor.sends(80)
    assert first["taken"] == (off_s > 0)
    (tmp_path / "right").touch()
    deadline = time.monotonic() + 180
    while abs(monitor.clock_off_s()) > 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [monitor.sends(30)["taken"] for _ in range(40) if not time.sleep(0.25)] == [1] * 40
    health = monitor.health()
    assert abs(health["clock_apart_s"]) < 2
    assert (health["twins"], health["log"]) == ("ok", "ok")
    assert "vitaltwin_clock_apart_seconds" in urllib.request.urlopen(f"{monitor.service.url}/metrics").read().decode()
    assert monitor.service.end() == 0
    with open_offline(Path(home["VITALTWIN_DATABASE"])) as file:
        alarms = [alarm for bank in file.worker().banks.values() for alarm in bank.alarms.values()]
    assert "limit.critical_low" in {alarm.condition for alarm in alarms}


@pytest.mark.fault
def test_a_file_left_ahead_is_refused_in_a_sentence_and_repair_is_a_way_on(bed, vitaltwin, home, tmp_path):
    monitor = bed(20 * 86_400)
    monitor.sends(80)
    assert monitor.service.end() == 0
    refused = vitaltwin("serve", "--port", 0)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: the newest record of ")
    assert "vitaltwin repair" in refused.stderr
    assert "Traceback" not in refused.stderr
    repaired = vitaltwin("repair", home["VITALTWIN_DATABASE"])
    assert repaired.returncode == 0
    assert "the log's time was set back by 20 days" in repaired.stderr
    assert "needs no repair" in vitaltwin("repair", home["VITALTWIN_DATABASE"]).stderr
    (tmp_path / "right").touch()
    again = bed(0)
    assert again.sends(80)["taken"] == 1
    assert abs(again.clock_off_s()) < 2
