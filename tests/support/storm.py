"""An alarm storm with escalations due: who sends it, who follows it, and what the log alone says must have happened."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from tests.support.load import FRAME_TYPE, requests
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest
from twins.bank.bank import Bank
from twins.records import Columns, Notice, Record, Transition
from twins.signals import BY_NAME
from twins.step.dispatch import step

__all__ = ["PATIENTS", "Follower", "Storm", "Truth"]

PATIENTS = 60
STEPS = [{"after_s": 2, "to": ["person:ada"]}, {"after_s": 3, "to": ["schedule:doctor", "role:admin"]}]
TURNS = [{"people": ["bob"], "start": "2020-01-01", "every": "day"}]


class Truth:
    """What the records of a log say when they are read once without an interruption, each partition by a fresh bank."""

    def __init__(self) -> None:
        self.transitions: dict[str, Transition] = {}
        self.notices: dict[str, Notice] = {}

    def read(self, partition: int, records: Iterable[tuple[int, Record]]) -> None:
        """Run the records of one partition."""
        bank = Bank(partition)
        for offset, record in records:
            outcome = step(bank, record, offset)
            for transition in outcome.transitions:
                assert transition.id not in self.transitions
                self.transitions[transition.id] = transition
            for notice in outcome.notices:
                assert notice.id not in self.notices or notice.state == "cancelled"
                self.notices[notice.id] = notice

    def steps(self) -> Counter[tuple[str, int]]:
        """How often each step of each alarm was made."""
        return Counter((one.alarm, one.step) for one in self.transitions.values() if one.event == "escalated")


class Storm:
    """60 patients whose saturation falls below the critical limit at once, and a chain of two steps."""

    def __init__(self, service: ServiceUnderTest, key: str, cookie: str) -> None:
        self._service, self._key, self._cookie = service, key, cookie
        self._names = [f"storm-{number:02}" for number in range(PATIENTS)]

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A request of the administrator, repeated while the service is away."""
        end = time.monotonic() + 60
        while True:
            try:
                with RawConnection(self._service.port) as wire:
                    return wire.json(method, path, body, self._cookie)
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)

    def prepare(self) -> None:
        """Set the chain and who is on call, and admit everybody with good values."""
        self.ask("PUT", "/v1/escalations?priority=high", {"steps": STEPS})
        self.ask("PUT", "/v1/schedules/doctor", {"rotations": TURNS})
        for _ in range(3):
            self.send(97.0)
            time.sleep(0.4)

    def send(self, value: float) -> None:
        """One reading of everybody, repeated until it is acknowledged."""
        count = len(self._names)
        end = time.monotonic() + 60
        columns = Columns(
            self._names, np.arange(count, dtype="u4"), np.full(count, BY_NAME["oxygen_saturation"].code, "u2"),
            np.full(count, int(time.time() * 1e6), "i8"), np.full(count, value),  # noqa: TID251 - as a device's clock
        )  # fmt: skip
        request = requests([columns], FRAME_TYPE, self._key)[0]
        while True:
            try:
                with RawConnection(self._service.port) as wire:
                    if wire.send(request) == 200:
                        return
            except OSError:
                assert time.monotonic() < end
            time.sleep(0.1)

    def rage(self, seconds: float, value: float = 80.0) -> None:
        """Send low values twice a second for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(value)
            time.sleep(0.5)

    def notices(self) -> dict[str, tuple[str, list[str]]]:
        """The outbox: state and people by id."""
        found: dict[str, tuple[str, list[str]]] = {}
        path = "/v1/notices?limit=50"
        while True:
            page = self.ask("GET", path)
            for one in page["items"]:
                assert one["id"] not in found
                found[one["id"]] = (one["state"], one["people"])
            if page["next"] is None:
                return found
            path = f"/v1/notices?limit=50&cursor={page['next']}"


class Follower:
    """Follows ``/v1/events`` like a browser's EventSource: reconnects, and sends the id of the last event.

    It opens every digest.
    """

    def __init__(self, service: ServiceUnderTest, cookie: str) -> None:
        self._service, self._cookie = service, cookie
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.transitions: Counter[str] = Counter()
        """By id, how often each transition came as an event …"""
        self.notices: Counter[tuple[str, str]] = Counter()
        """… and each notice in each state."""
        self.known: dict[str, int] = {}
        """By alarm, the highest number that a snapshot had."""
        self.snapshots = 0
        self.digests = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        last = ""
        while not self._stop.is_set():
            try:
                last = self._connection(last)
            except OSError:
                time.sleep(0.1)

    def _connection(self, last: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=5.0)
        headers = {"Cookie": self._cookie} | ({"Last-Event-ID": last} if last else {})
        connection.request("GET", "/v1/events", headers=headers)
        answer = connection.getresponse()
        kind = ""
        try:
            while not self._stop.is_set() and (line := answer.readline()):
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    last = text[4:]
                elif text.startswith("event: "):
                    kind = text[7:]
                elif text.startswith("data: "):
                    self._take(kind, json.loads(text[6:]))
        finally:
            connection.close()
        return last

    def _open(self, digest: dict[str, Any]) -> None:
        """Ask for the events that a digest counts; if the service ends meanwhile, the next snapshot has their state."""
        path = f"/v1/events/missed?epoch={digest['epoch']}&limit=5000&after={digest['first'] - 1}"
        with RawConnection(self._service.port) as wire:
            status, _, body = wire.exchange("GET", path, headers={"Cookie": self._cookie})
        if status != 200:
            return
        events = [one for one in json.loads(body)["events"] if one["offset"] <= digest["offset"]]
        assert len(events) == digest["count"]
        for one in events:
            self._take("alarm" if one["alarm"] else "notice", one["alarm"] or one["notice"])

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "alarm":
            self.transitions[data["transition"]] += 1
        elif kind == "notice":
            self.notices[data["id"], data["state"]] += 1
        elif kind == "digest":
            self.digests += 1
            self._open(data)
        elif kind == "snapshot":
            self.snapshots += 1
            for alarm in data["alarms"]:
                self.known[alarm["id"]] = max(self.known.get(alarm["id"], 0), alarm["number"])
