"""``bench failover``: things that break, one after another, under load; how long until estimates flow, and what is lost.

Every fault has brokers, workers and a door of its own. 10,000 patients, 10,000 readings a second, acknowledged ones
written down; what is refused or unanswered is sent again, as a device would.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from api.cli.bench.cluster import Cluster, ready, until
from api.cli.bench.house import House
from api.cli.bench.load import FRAME_TYPE, Ward, requests
from api.cli.bench.topics import Watch, compare
from api.cli.bench.wire import Wire
from api.cli.output import Failure, say
from twins.records import Columns
from twins.signals import BY_NAME

__all__ = ["FAULTS", "run"]

_PATIENTS = 10_000
_BATCH = 500
_A_SECOND = 20
"""Batches a second."""
_HEART = BY_NAME["heart_rate"].code


def run(*, quick: bool = False, only: str = "", runs: int = 0) -> dict[str, Any]:
    """Each fault ``runs`` times; by fault: recovery in s, readings lost or applied twice, alarms doubled, states identical."""
    if only and only not in FAULTS:
        raise Failure(f"there is no fault {only!r}; known: {', '.join(FAULTS)}")
    figures = {}
    for name, (fault, usual, made) in FAULTS.items():
        if only in ("", name):
            figures[name] = _broken(name, fault, runs or (1 if quick else usual), made)
    return figures


class Scene:
    """A cluster under load with somebody watching."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.watch = Watch(cluster.settings)
        self.clients = Clients(cluster.house)
        self.alarms = Alarms(cluster.house)

    def recovered(self, since: float, least_s: float = 3.0) -> float:
        """Wait until estimates of every partition flow again; returns the seconds from ``since`` until they did."""
        partitions = range(self.cluster.settings.kafka_partitions)

        def flowing() -> bool:
            return time.monotonic() - since > least_s and all(self.watch.quiet(one) < 1.0 for one in partitions)

        until(flowing, 90, "estimates of every partition", self.cluster.workers)
        return max(self.watch.gap(one, since) for one in partitions)

    def replace(self, worker: House) -> None:
        """Start a worker again and wait until all are ready."""
        worker.begin()
        until(
            lambda: all(ready(one) for one in self.cluster.workers), 60, "the workers to be ready", self.cluster.workers
        )
        self.recovered(time.monotonic())


def _broken(name: str, fault: Callable[[Scene], float], runs: int, made: dict[str, Any]) -> dict[str, Any]:
    with Cluster(**{"workers": 2} | made) as cluster:
        scene = Scene(cluster)
        scene.watch.start()
        scene.alarms.start()
        scene.clients.start(cluster.house.key())
        scene.recovered(time.monotonic())
        seconds = []
        for number in range(runs):
            seconds.append(fault(scene))
            say(f"{name} {number + 1} of {runs}: {seconds[-1]:.1f} s")
        time.sleep(2.0)
        scene.clients.stop()
        time.sleep(2.0)
        for worker in cluster.workers:
            if worker.running:
                worker.stop()
        time.sleep(1.0)
        scene.alarms.stop()
        scene.watch.stop()
        heard = {partition: came[-1][1] for partition, came in scene.watch.arrivals.items() if came}
        found = compare(cluster.settings, scene.clients.taken, heard)
        transitions = found.pop("transitions")
        return {
            "runs": runs,
            "recover_s": {"p50": float(np.median(seconds)), "max": max(seconds)},
            **found,
            "alarms": len(transitions),
            "alarms_doubled": sum(count > 1 for count in scene.alarms.seen.values()),
            "alarms_missed": len(transitions - scene.alarms.seen.keys()),
            "subscriber_connections": scene.alarms.connections,
            "answered_503": scene.clients.refused,
        }


# -- the faults ------------------------------------------------------------------------------------------------------


def _worker_ended(scene: Scene, end: Callable[[House], None]) -> float:
    victim = scene.cluster.workers[0]
    began = time.monotonic()
    end(victim)
    took = scene.recovered(began)
    scene.replace(victim)
    scene.cluster.workers.reverse()
    return took


def _worker_killed(scene: Scene) -> float:
    return _worker_ended(scene, House.kill)


def _worker_drained(scene: Scene) -> float:
    return _worker_ended(scene, House.stop)


def _restarted_under_backlog(scene: Scene) -> float:
    """All workers end in good order, a backlog gathers, and one begins alone with it."""
    for worker in scene.cluster.workers:
        worker.stop()
    time.sleep(2.0)
    began = time.monotonic()
    first, *others = scene.cluster.workers
    first.begin()
    took = scene.recovered(began)
    for other in others:
        other.begin()
    until(lambda: all(ready(one) for one in scene.cluster.workers), 60, "the workers", scene.cluster.workers)
    return took


def _broker_killed(scene: Scene) -> float:
    brokers = scene.cluster.brokers
    node = 1 + int(time.monotonic()) % brokers.count
    began = time.monotonic()
    brokers.kill(node)
    took = scene.recovered(began, 8.0)
    brokers.start(node)
    scene.recovered(time.monotonic(), 8.0)
    return took


def _kafka_stopped(scene: Scene) -> float:
    brokers = scene.cluster.brokers
    brokers.stop()
    time.sleep(30.0)
    began = time.monotonic()
    brokers.start()
    return scene.recovered(began)


FAULTS: dict[str, tuple[Callable[[Scene], float], int, dict[str, Any]]] = {
    "worker_killed": (_worker_killed, 10, {}),
    "worker_drained": (_worker_drained, 10, {}),
    "restarted_under_backlog": (_restarted_under_backlog, 20, {}),
    "broker_killed": (_broker_killed, 5, {"brokers": 3}),
    "kafka_stopped": (_kafka_stopped, 2, {}),
}
"""Name → what breaks, how often, and what the cluster is made of."""


# -- the load --------------------------------------------------------------------------------------------------------


class Clients:
    """Two devices that post in turn and send again what was not acknowledged."""

    def __init__(self, house: House) -> None:
        self._port = house.port
        self._ward = Ward(_PATIENTS)
        self._making = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: Exception | None = None
        self.taken: list[Columns] = []
        self.refused = 0

    def start(self, key: str) -> None:
        """Admit everybody, then post until ``stop``."""
        with Wire(self._port, timeout_s=120.0) as wire:
            for batch in self._ward.batches(-(-self._ward.channels // 5_000), 5_000):
                if wire.send(requests([batch], FRAME_TYPE, key)[0]) != 200:
                    raise Failure("the patients were not admitted")
                self.taken.append(batch)
        self._threads = [threading.Thread(target=self._carry, args=(key, number), daemon=True) for number in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait until nobody posts."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _carry(self, key: str, number: int) -> None:
        due = time.monotonic() + number / _A_SECOND
        try:
            while not self._stop.is_set():
                with self._making:
                    batch = _with_crises(self._ward.batches(1, _BATCH)[0])
                self._send(requests([batch], FRAME_TYPE, key)[0])
                self.taken.append(batch)
                due = max(due + 2 / _A_SECOND, time.monotonic() - 1.0)
                self._stop.wait(max(0.0, due - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - told by stop
            self._failure = error

    def _send(self, request: bytes) -> None:
        """Send until it is acknowledged."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with Wire(self._port, timeout_s=30.0) as wire:
                    status = wire.send(request)
            except OSError:
                status = 0
            if status == 200:
                return
            if status not in (0, 503):
                raise Failure(f"a batch was answered {status}")
            self.refused += 1
            time.sleep(0.2)
        raise Failure("a batch was not acknowledged within two minutes")


def _with_crises(batch: Columns) -> Columns:
    """One patient in a hundred has a racing heart ten seconds of every twenty, so that alarms come and go."""
    crisis = np.array([int(name[-5:]) % 100 == 0 for name in batch.patients])[batch.patient]
    crisis &= (batch.signal == _HEART) & (batch.time // 10_000_000 % 2 == 1)
    return Columns(batch.patients, batch.patient, batch.signal, batch.time, np.where(crisis, 152.0, batch.value))


class Alarms:
    """A subscriber of the door's event stream; ``seen`` counts transitions: (alarm, presence, time in ms)."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.seen: Counter[tuple[str, str, int]] = Counter()
        self.connections = 0

    def start(self) -> None:
        """Begin to listen."""
        self._cookie = self._house.session()
        self._thread.start()
        time.sleep(0.5)

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        """As a browser's EventSource: where the line ends, open another and say which event was the last."""
        last = ""
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=20.0)
            headers = {"Cookie": self._cookie, "Accept": "text/event-stream"}
            connection.request("GET", "/v1/events", headers=headers | ({"Last-Event-ID": last} if last else {}))
            self.connections += 1
            last = self._listen(connection.getresponse(), last)
            connection.close()

    def _listen(self, answer: http.client.HTTPResponse, last: str) -> str:
        kind = b""
        while not self._stop.is_set():
            line = answer.readline()
            if not line:
                break
            if line.startswith(b"id: "):
                last = line[4:].strip().decode()
            elif line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: ") and kind == b"alarm":
                told = msgspec.json.decode(line[6:])
                self.seen[told["id"], told["presence"], told["time"]] += 1
        return last
