"""A real InfluxDB for the session, a bucket for every test, and functions to fill both kinds of history."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streams.history.influx import InfluxHistory, prepare
from streams.settings import Settings
from tests.conftest import ROOT, require

INFRA = ROOT / "infra" / "influxdb"


class Server:
    """InfluxDB in a folder, always on the same port."""

    def __init__(self, folder: Path) -> None:
        require("curl", "apt-get install curl")
        where = subprocess.run([INFRA / "build", "--where"], capture_output=True, text=True, check=True).stdout.strip()
        require(Path(where), "infra/influxdb/build makes it, once, with Go and Rust (some minutes)")
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]

    def start(self) -> None:
        started = subprocess.run(
            [INFRA / "start", self.folder, "--port", str(self.port)], check=False, capture_output=True, text=True
        )
        assert started.returncode == 0, started.stderr
        self.url = started.stdout.strip()
        self.token = (self.folder / "token").read_text()

    def stop(self) -> None:
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)

    def call(self, path: str, body: object = None) -> dict:
        """The JSON answer of InfluxDB's own API."""
        request = urllib.request.Request(
            self.url + path, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def settings(self, spill: Path, **options) -> Settings:
        """Settings with an own bucket and a spill folder."""
        given = {
            "influx_url": self.url, "influx_token": self.token, "influx_bucket": "test " + uuid.uuid4().hex[:12],
            "influx_spill": spill,
        }  # fmt: skip
        return Settings(**given | options)


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share."""
    server = Server(tmp_path_factory.mktemp("influx"))
    server.start()
    yield server
    subprocess.run([INFRA / "stop", server.folder], check=True)


@pytest.fixture
def own_influx(tmp_path: Path) -> Iterator[Server]:
    """A server that the test can stop."""
    server = Server(tmp_path / "influx")
    server.start()
    yield server
    subprocess.run([INFRA / "stop", server.folder], check=True)


@pytest.fixture
async def settings(influx: Server, tmp_path: Path) -> Settings:
    """Settings with their buckets created."""
    given = influx.settings(tmp_path / "spill")
    await prepare(given)
    return given


@pytest.fixture
async def history(settings: Settings) -> AsyncIterator[InfluxHistory]:
    """A history that writes."""
    opened = InfluxHistory(settings, writes=True)
    yield opened
    opened.close()


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until ``true()``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true"
        await asyncio.sleep(0.02)
