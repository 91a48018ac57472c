"""A real service behind a real server on a free port, and clients of several kinds."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher

from api.accounts import Accounts
from api.accounts.passwords import Passwords
from api.app import create_app
from api.cli.serve import accounts_url
from api.http.answers import iso
from api.http.server import configuration
from api.live.hub import Hub
from api.live.state import LiveState
from streams.embedded.service import EmbeddedService
from streams.settings import Settings
from tests.support.postgres import Server

PASSWORD = "correct horse battery staple"


def eventually(look: Callable[[], Any]) -> Any:
    """The result of ``look`` as soon as it is true."""
    deadline = time.monotonic() + 240  # the first reading may have to compile kernels on a busy machine
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@dataclass
class Running:
    """One running application."""

    url: str
    service: EmbeddedService
    accounts: Accounts
    view: LiveState
    hub: Hub
    loop: asyncio.AbstractEventLoop
    clients: list[httpx.Client] = field(default_factory=list)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def client(self, **headers: str) -> httpx.Client:
        made = httpx.Client(base_url=self.url, headers=headers, timeout=90)
        self.clients.append(made)
        return made

    def device(self, **rights: Any) -> httpx.Client:
        """A client with a new device key; by default for all wards, and allowed to admit."""
        rights = {"may_admit": True} | ({} if {"wards", "patients"} & rights.keys() else {"wards": ("*",)}) | rights
        made = self.call(self.accounts.create_device(self.accounts.system_actor(), "monitor", **rights))
        return self.client(Authorization=f"Bearer {made.key}")

    def person(self, name: str, role: str, wards: tuple[str, ...] = ("*",)) -> httpx.Client:
        """A client signed in with a new account."""
        self.call(
            self.accounts.create_account(self.accounts.system_actor(), name, role, wards=wards, password=PASSWORD)
        )
        client = self.client(Origin=self.url)
        answer = client.post("/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client

    def reading(self, **changes: Any) -> dict[str, Any]:
        """A valid reading with the present time."""
        return {"patient": "p1", "signal": "heart_rate", "time": self.now(), "value": 72.0} | changes

    def now(self, ahead_s: float = 0.0) -> str:
        return iso(self.service.clock.now() + int(ahead_s * 1e6))

    def letters(self, count: int = 10) -> list[Any]:
        """The newest dead letters."""
        return [letter for _, letter in self.call(self.service.dead_letters(None, count))]


@contextmanager
def serving(database: Path, **settings: Any) -> Iterator[Running]:
    """Start everything, stop everything."""
    chosen = Settings(database=database, **settings)
    service = EmbeddedService(chosen)
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts = Accounts(
        accounts_url(chosen), clock=service.clock, passwords=cheap, audit_days=chosen.audit_retention_days
    )
    view = LiveState()
    hub = Hub(view, service.clock)
    app = create_app(service, accounts, view, hub, chosen)
    config = configuration(app, chosen, host="127.0.0.1", port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while service.health()["twins"] == "warming":
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        running = Running(f"http://127.0.0.1:{port}", service, accounts, view, hub, loops[0])
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for a module."""
    with serving(tmp_path_factory.mktemp("service") / "vitaltwin.db") as started:
        yield started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts services with the test's own settings."""
    opened = []

    def begin(**settings: Any) -> Running:
        manager = serving(tmp_path / f"{len(opened)}.db", **settings)
        opened.append(manager)
        return manager.__enter__()

    yield begin
    for manager in reversed(opened):
        manager.__exit__(None, None, None)


@pytest.fixture(scope="module")
def device(running: Running) -> httpx.Client:
    """A device that may send for all patients."""
    return running.device()


@pytest.fixture(scope="module")
def admin(running: Running) -> httpx.Client:
    """An administrator, signed in."""
    return running.person("root", "admin")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The PostgreSQL most tests share."""
    server = Server(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Server]:
    """A PostgreSQL that the test may stop."""
    server = Server(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()
