"""Clients of a distributed service's door: devices that send until they get an answer, and a subscriber."""

import http.client
import threading
import time
from collections import Counter

import msgspec
import numpy as np

from api.cli.output import Failure
from tests.support.load import FRAME_TYPE, SimulatedWard, requests
from tests.support.posting import PostingThreads
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest
from twins.records import Columns
from twins.signals import BY_NAME

__all__ = ["AlarmSubscriber", "PostingDevices"]

_PATIENTS = 10_000
_BATCH = 500
_A_SECOND = 20
"""Batches a second."""
_DEVICES = 2
_HEART = BY_NAME["heart_rate"].code


class PostingDevices:
    """Two devices that post in turn and repeat what was not acknowledged."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self._port = service.port
        self._key = ""
        self._ward = SimulatedWard(_PATIENTS)
        self._posting = PostingThreads(self._carry, _DEVICES)
        self.taken: list[Columns] = []
        self.refused = 0

    def start(self, key: str) -> None:
        """Admit everybody, then post until ``stop``."""
        self._key = key
        with RawConnection(self._port, timeout_s=120.0) as wire:
            for batch in self._ward.batches(-(-self._ward.channels // 5_000), 5_000):
                if wire.send(requests([batch], FRAME_TYPE, key)[0]) != 200:
                    raise Failure("the patients were not admitted")
                self.taken.append(batch)
        self._posting.start()

    def stop(self) -> None:
        """Wait until posting has ended."""
        self._posting.stop()

    def _carry(self, number: int) -> None:
        due = time.monotonic() + number / _A_SECOND
        while not self._posting.ended.is_set():
            with self._posting.making:
                batch = _with_crises(self._ward.batches(1, _BATCH)[0])
            self._send(requests([batch], FRAME_TYPE, self._key)[0])
            self.taken.append(batch)
            due = max(due + _DEVICES / _A_SECOND, time.monotonic() - 1.0)
            self._posting.ended.wait(max(0.0, due - time.monotonic()))

    def _send(self, request: bytes) -> None:
        """Send until it is acknowledged."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with RawConnection(self._port, timeout_s=30.0) as wire:
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
    """One patient in a hundred has a fast heart rate for ten of every twenty seconds, so that alarms come and go."""
    crisis = np.array([int(name[-5:]) % 100 == 0 for name in batch.patients])[batch.patient]
    crisis &= (batch.signal == _HEART) & (batch.time // 10_000_000 % 2 == 1)
    return Columns(batch.patients, batch.patient, batch.signal, batch.time, np.where(crisis, 152.0, batch.value))


class AlarmSubscriber:
    """A subscriber to the door's event stream; ``seen`` counts transitions: (alarm, presence, time in ms)."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self._house = service
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
        """Like a browser's EventSource: if the connection ends, open another and send the id of the last event."""
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
                event = msgspec.json.decode(line[6:])
                self.seen[event["id"], event["presence"], event["time"]] += 1
        return last
