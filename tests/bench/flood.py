"""``infra/bench flood``: 10,000 sensors fall silent at once; what the dashboard, a socket and an event stream have to take in.

2,000 patients of one ward with five vital signs each, measured once a second, then nothing. A Chromium page shows the ward.
Its main thread's time is the browser's own figure (``TaskDuration`` of the DevTools protocol), by the second.
"""

import http.client
import json
import shutil
import threading
import time
from collections import Counter
from typing import Any

from playwright.sync_api import Page, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api.cli.output import Failure, say
from tests.support.load import FRAME_TYPE, SimulatedWard, requests
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest

__all__ = ["run"]

_PATIENTS = 2_000
_WARD = "flood"
_BATCH = 2_500


def run(*, quick: bool = False) -> dict[str, Any]:
    """Messages and bytes of each subscriber, the page's main thread (ms a second), and whether every alarm was told."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Failure("this benchmark needs Chromium: apt-get install chromium")
    patients = 200 if quick else _PATIENTS
    with ServiceUnderTest(default_ward=_WARD) as service, sync_playwright() as playwright:
        service.start()
        cookie = service.session()
        ward, key = SimulatedWard(patients), service.key()
        _measure_once(service, ward, key)
        socket, stream = _Socket(service, cookie), _Stream(service, cookie)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            name, _, value = cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{service.port}"}])
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{service.port}/#/ward/{_WARD}")
            page.locator(".tile").nth(patients - 1).wait_for(state="attached", timeout=120_000)
            watch = _MainThread(page)
            say(f"{patients * 5:,} sensors send once a second")
            sending = _Sending(service, ward, key)
            sending.start()
            before = watch.follow(8 if quick else 20)
            sending.stop()
            say("now they are silent")
            socket.begin()
            stream.begin()
            flood = watch.follow(75 if quick else 90)
            cards = page.locator(".cards > .card").count()
            causes = page.locator(".cards > .card[data-cause]")
            shown = [causes.nth(at).locator(".why").inner_text() for at in range(min(3, causes.count()))]
        finally:
            browser.close()
        socket.stop()
        stream.stop()
        with RawConnection(service.port, timeout_s=60.0) as wire:
            listed = wire.json("GET", f"/v1/alarms?grouped=true&ward={_WARD}", cookie=cookie)
    return {
        "sensors": patients * 5,
        "alarms": listed["alarms"],
        "entries": len(listed["entries"]),
        "summary": listed["entries"][0]["summary"] if listed["entries"] else "",
        "page": {
            "cards": cards,
            "shown": shown,
            "before_ms_per_s": {"p50": _middle(before), "max": max(before)},
            "flood_ms_per_s": {"p50": _middle(flood), "max": max(flood)},
        },
        "websocket": socket.figures(),
        "sse": stream.figures(),
    }


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _measure_once(service: ServiceUnderTest, ward: SimulatedWard, key: str) -> None:
    with RawConnection(service.port, timeout_s=120.0) as wire:
        for batch in ward.batches(max(1, ward.channels // _BATCH), min(_BATCH, ward.channels)):
            wire.send(requests([batch], FRAME_TYPE, key)[0])


class _Sending:
    """Every sensor once a second, until stopped."""

    def __init__(self, service: ServiceUnderTest, ward: SimulatedWard, key: str) -> None:
        self._given = service, ward, key
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present round."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            _measure_once(*self._given)
            due += 1.0


class _MainThread:
    """The page's main thread: ms of tasks in each second."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)
        # Its own CPU time: what else runs on the machine does not count.
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def follow(self, seconds: int) -> list[float]:
        """Measure for some seconds."""
        found = []
        spent, at = self._spent(), time.monotonic()
        for _ in range(seconds):
            self._page.wait_for_timeout(1000)
            now, moment = self._spent(), time.monotonic()
            found.append(1000 * (now - spent) / (moment - at))
            spent, at = now, moment
        return found

    def _spent(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


class _Subscriber:
    """Counts what arrives by kind, once ``begin`` was called, and the largest second."""

    def __init__(self) -> None:
        self._counting = False
        self._kinds: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._seconds: Counter[int] = Counter()
        self._told = 0
        self.closed = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Count from now on."""
        self._counting = True

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join(10)

    def figures(self) -> dict[str, Any]:
        """Messages and bytes by kind, events told one by one or in digests, the most messages in a second."""
        return {
            **{f"{kind}_messages": count for kind, count in sorted(self._kinds.items())},
            **{f"{kind}_kb": size / 1e3 for kind, size in sorted(self._bytes.items())},
            "events_told": self._told,
            "most_events_in_a_second": max(self._seconds.values(), default=0),
            "closed": self.closed,
        }

    def _take(self, kind: str, text: str) -> None:
        if not self._counting:
            return
        self._kinds[kind] += 1
        self._bytes[kind] += len(text)
        if kind in {"alarm", "digest", "notice"}:
            self._seconds[int(time.monotonic())] += 1
            self._told += json.loads(text)["count"] if kind == "digest" else 1

    def _listen(self) -> None:
        raise NotImplementedError


class _Socket(_Subscriber):
    """Follows the ward on ``/ws`` as the page does."""

    def __init__(self, service: ServiceUnderTest, cookie: str) -> None:
        with RawConnection(service.port) as wire:
            self._ticket = wire.json("POST", "/v1/tickets", {}, cookie)["ticket"]
        self._port = service.port
        super().__init__()

    def _listen(self) -> None:
        with connect(f"ws://127.0.0.1:{self._port}/ws", max_size=None) as line:
            line.send(json.dumps({"type": "auth", "ticket": self._ticket, "id": 1}))
            line.send(json.dumps({"type": "subscribe", "id": 2, "channel": f"ward/{_WARD}", "max_hz": 1}))
            while not self._ended.is_set():
                try:
                    text = str(line.recv(timeout=1.0))
                except TimeoutError:
                    continue
                except ConnectionClosed as closed:
                    self.closed = str(closed.rcvd)
                    return
                self._take(text[9 : text.index('"', 9)], text)


class _Stream(_Subscriber):
    """Follows ``/v1/events``."""

    def __init__(self, service: ServiceUnderTest, cookie: str) -> None:
        self._port, self._cookie = service.port, cookie
        super().__init__()

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120.0)
        connection.request("GET", f"/v1/events?ward={_WARD}", headers={"Cookie": self._cookie})
        answer, kind = connection.getresponse(), ""
        while not self._ended.is_set():
            line = answer.readline().decode()
            if not line:
                self.closed = "the stream ended"
                return
            if line.startswith("event: "):
                kind = line[7:].strip()
            elif line.startswith("data: "):
                self._take(kind, line[6:])
