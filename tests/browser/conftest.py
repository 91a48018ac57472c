"""A real service as a process, a device key to send readings, and sockets that can be cut."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, WebSocketRoute


@dataclass
class Service:
    """A running ``vitaltwin demo`` and requests to it as the local user."""

    address: str
    pid: int
    patients: int = field(default=0)
    here: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request; returns the answer's content, None if it is empty."""
        place = urlsplit(self.address)
        assert place.hostname
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        headers = {"Origin": self.address, "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {content[:500]!r}"
        return json.loads(content) if content else None

    def wait(self) -> None:
        """Wait until the twins are running: the first start compiles their kernels."""
        place = urlsplit(self.address)
        assert place.hostname
        until = time.monotonic() + 300
        while time.monotonic() < until:
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
            connection.request("GET", "/health/ready")
            ready = connection.getresponse().status == 200
            connection.close()
            if ready:
                return
            time.sleep(0.2)
        raise AssertionError("the service did not become ready")

    def admit(self, ward: str) -> str:
        """A new patient in a bed of their own."""
        self.patients += 1
        patient = f"browser-{self.patients}"
        self.here.append(patient)
        self.ask("POST", "/v1/patients", {"id": patient, "ward": ward, "bed": str(self.patients), "label": patient})
        return patient

    def discharge(self) -> None:
        """Discharge all patients that the test admitted, so that the next test finds the usual ward."""
        while self.here:
            with suppress(AssertionError, OSError):
                self.ask("DELETE", f"/v1/patients/{self.here.pop()}")

    def observe(self, patient: str, name: str, value: float, seconds: int) -> None:
        """One reading a second over the last ``seconds``, up to the service's now."""
        now = datetime.fromisoformat(self.ask("GET", "/v1/clock")["now"])
        moments = [now - timedelta(seconds=ago) for ago in range(seconds - 1, -1, -1)]
        unit = {"unit": "mg/dL"} if name == "glucose" else {}
        self.ask("POST", "/v1/observations", [
            {"patient": patient, "signal": name, "time": at.isoformat(), "value": value, **unit} for at in moments
        ])  # fmt: skip

    def alarms(self, patient: str) -> list[dict[str, Any]]:
        """Every stored transition of a patient's alarms."""
        found: list[dict[str, Any]] = self.ask("GET", f"/v1/alarms?state=all&patient={patient}")["items"]
        return found


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Open "):
            place = urlsplit(line.split()[1])
            return f"{place.scheme}://{place.netloc}"
    raise AssertionError(f"the service ended without an address, exit code {process.wait()}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The demonstration ward on a free port, with an empty database."""
    with demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(autouse=True)
def _empty_beds(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "service" in request.fixturenames:
        request.getfixturevalue("service").discharge()


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Service]:
    """A separate demonstration ward with its file in ``folder``."""
    program = str(Path(sys.executable).with_name("vitaltwin"))
    command = [program, "demo", "--port", "0", "--database", str(folder / "demo.db"), "--no-open", *options]
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    here = Path(__file__).parents[2]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=here) as process,
    ):
        try:
            started = Service(_address(process), process.pid)
            started.wait()
            yield started
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class Cable:
    """The connection between a page and its service: it can be cut, silenced and restored, with faster pings."""

    def __init__(self, page: Page, ping: float | None = None) -> None:
        self._ping = ping
        self._cut = False
        self._quiet = False
        self._health: dict[str, Any] | None = None
        self._open: list[WebSocketRoute] = []
        page.route_web_socket("**/ws", self._opened)

    def _opened(self, near: WebSocketRoute) -> None:
        if self._cut:
            near.close()
            return
        far = near.connect_to_server()
        self._open.append(near)

        def back(message: str | bytes) -> None:
            if not self._quiet:
                near.send(self._hurried(str(message)))

        far.on_message(back)

    def _hurried(self, message: str) -> str:
        """Replace the heartbeat's period in the first answer, and the health in heartbeats."""
        if '"type":"result"' not in message and '"type":"ping"' not in message:
            return message
        told = json.loads(message)
        if self._ping is not None and "ping" in told:
            told["ping"] = self._ping
        if self._health is not None and (told["type"] == "ping" or "ping" in told):
            told["health"] = self._health
        return json.dumps(told)

    def feel(self, **health: Any) -> None:
        """From now on send this health, and the first one at once, as the service does when its health changes."""
        self._health = {"writes": "", "lag_s": 0.1, "clock_apart_s": 0.0, "estimate_age_s": 0.4, "twins": "ok"} | health
        self.tell({"type": "ping", "offset": 0, "health": self._health})

    def tell(self, message: dict[str, Any]) -> None:
        """Send the page a message as if from the service."""
        for near in self._open[-1:]:
            near.send(json.dumps(message))

    def cut(self) -> None:
        """Close the socket, and every further one, until restored."""
        self._cut = True
        for near in self._open:
            near.close()
        self._open.clear()

    def quiet(self) -> None:
        """Keep the socket open and let nothing through, as a dead network does."""
        self._quiet = True

    def mend(self) -> None:
        """Restore the connection."""
        self._cut = self._quiet = False


@pytest.fixture
def cable() -> Callable[..., Cable]:
    """Put a ``Cable`` under a page, before it goes anywhere."""
    return Cable


@pytest.fixture
def calm(page: Page) -> Iterator[list[str]]:
    """Errors of the page itself; the test fails on any."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if _bad(message.type, message.text) else None)
    yield said
    assert said == []


def _bad(kind: str, text: str) -> bool:
    return kind == "error" and "ERR_CONNECTION" not in text and "WebSocket" not in text
