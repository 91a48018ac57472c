"""Replay against a small fake service: speed, shift, outages, refusals."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf

import numpy as np
import pytest

from streams.log.frame import decode_frame
from streams.recordings.client import Away, Door, DoorRefused
from streams.recordings.recording import Recording
from streams.recordings.replay import Replay
from twins.records import Columns


class FakeService:
    """Keeps what was posted; ``script`` has the statuses of the next answers, ``clock`` its speed."""

    def __init__(self, speed=1.0):
        self.speed, self.started = speed, time.monotonic()
        self.origin = 1_700_000_000_000_000
        self.frames, self.arrived, self.script, self.keys, self.refuse = [], [], [], [], 0
        self.doors = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                now = np.datetime64(fake.now(), "us")
                self.answer(200, {"now": f"{now}Z", "speed": fake.speed})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.keys.append(self.headers.get("Authorization"))
                status = fake.script.pop(0) if fake.script else 200
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                columns = decode_frame(body)
                if status == 200:
                    fake.frames.append(columns)
                    fake.arrived.append(fake.now())
                n = len(columns)
                errors = [{"index": i, "reason": "time_in_future"} for i in range(min(fake.refuse, 1))]
                answer = {"taken": n - fake.refuse, "refused": fake.refuse, "errors": errors}
                self.answer(status, answer if status in (200, 422) else {"detail": "no"})

            def answer(self, status, content):
                raw = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def door(self, key=""):
        self.doors.append(Door(self.url, key))
        return self.doors[-1]

    def now(self):
        return self.origin + int((time.monotonic() - self.started) * 1e6 * self.speed)

    def columns(self):
        names = [f.patients[p] for f in self.frames for p in f.patient]
        times = np.concatenate([f.time for f in self.frames])
        values = np.concatenate([f.value for f in self.frames])
        return names, times, values

    def close(self):
        for door in self.doors:
            door.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake():
    fake = FakeService()
    yield fake
    fake.close()


def recording(seconds, patients=2):
    n = len(seconds)
    return Recording(
        "r",
        Columns(
            [f"p{i}" for i in range(patients)],
            (np.arange(n) % patients).astype(np.uint32),
            np.zeros(n, np.uint16),
            (np.array(seconds) * 1e6).astype(np.int64),
            np.arange(n, dtype=float),
        ),
    )


def test_the_first_reading_is_the_services_now_and_intervals_are_kept(fake):
    seconds = [0.0, 0.3, 0.1, 0.9]
    summary = Replay(recording(seconds), fake.door("k")).run()
    names, times, values = fake.columns()
    assert values.tolist() == [0, 2, 1, 3]
    assert names == ["p0", "p0", "p1", "p1"]
    assert (times - times[0]).tolist() == [0, 100_000, 300_000, 900_000]
    assert fake.origin - 1 <= times[0] <= fake.origin + 500_000
    assert all(f.time.max() <= at for f, at in zip(fake.frames, fake.arrived, strict=True))
    assert (summary.sent, summary.taken, summary.refused, summary.failed) == (4, 4, 0, False)
    assert set(fake.keys) == {"Bearer k"}


def test_it_follows_a_clock_that_runs_faster():
    fake = FakeService(speed=600.0)
    started = time.monotonic()
    summary = Replay(recording(np.arange(0, 600, 10.0)), fake.door()).run()
    assert 0.7 < time.monotonic() - started < 5
    assert summary.speed == 600
    _, times, _ = fake.columns()
    assert times[-1] - times[0] == 590_000_000
    assert all(f.time.max() <= at for f, at in zip(fake.frames, fake.arrived, strict=True))
    fake.close()


def test_faster_than_the_clock_the_last_reading_is_the_services_now(fake):
    Replay(recording(np.arange(0, 86_400, 60.0)), fake.door(), speed=inf).run()
    _, times, _ = fake.columns()
    assert len(times) == 1_440
    assert abs(int(times[-1]) - fake.origin) < 2_000_000


def test_a_service_that_goes_away_is_waited_for_and_nothing_is_lost_or_sent_in_another_order(fake):
    fake.script = [0, 503, 507, 200, 0, 0]
    result = []
    replay = Replay(recording(np.zeros(50_000)), fake.door(), speed=inf, sleep=lambda _: None)
    summary = replay.run(lambda s: result.append(s.waiting))
    _, _, values = fake.columns()
    assert values.tolist() == list(range(50_000))
    assert summary.retries == 3  # a broken connection may only have been idle: it is tried once more before that counts
    assert not summary.failed
    assert any(result)
    assert not summary.waiting


def test_patience_ends(fake):
    fake.script = [503] * 10_000
    replay = Replay(recording([0.0]), fake.door(), speed=inf, patience_s=0.05, sleep=lambda _: time.sleep(0.01))
    with pytest.raises(Away):
        replay.run()
    assert replay.summary.failed


def test_a_frame_that_is_too_large_is_cut(fake):
    fake.script = [413, 413, 200]
    Replay(recording(np.zeros(1_000)), fake.door(), speed=inf).run()
    assert [len(f) for f in fake.frames] == [250] * 4


@pytest.mark.parametrize("status", [400, 401, 403, 415])
def test_a_refusal_for_good_ends_it(fake, status):
    fake.script = [status]
    with pytest.raises(DoorRefused, match=str(status)):
        Replay(recording([0.0]), fake.door(), speed=inf).run()


def test_refused_readings_are_counted_by_reason(fake):
    fake.refuse = 3
    fake.script = [422]
    summary = Replay(recording(np.zeros(10)), fake.door(), speed=inf).run()
    assert (summary.taken, summary.refused) == (7, 3)
    assert summary.reasons == {"time_in_future": 1, "unnamed": 2}


def test_nobody_there_and_no_address():
    with pytest.raises(Away):
        Door("127.0.0.1:9").clock()
    with pytest.raises(ValueError, match="no http address"):
        Door("ftp://x")
