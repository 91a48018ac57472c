"""A distributed service for tests: real brokers on loopback, workers and doors as child processes."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from api.cli.output import Failure
from streams.settings import Settings
from tests.support.influx import Influx
from tests.support.proxy import Proxy
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest, free_port

__all__ = ["INFRA", "Brokers", "Cluster", "command_of", "figure", "ready", "until"]

INFRA = Path(__file__).resolve().parents[2] / "infra"
"""The scripts that start the real servers; they are part of the sources."""


def command_of(name: str) -> tuple[str, ...]:
    """The command with which a ServiceUnderTest runs ``vitaltwin name``."""
    return ("-c", "from api.cli import main; main()", name)


class Brokers:
    """Kafka brokers started by ``infra/kafka/start`` in a temporary folder."""

    def __init__(self, count: int = 1, session_min_ms: int = 1_000, *, proxied: bool = False) -> None:
        if not (INFRA / "kafka" / "start").exists():
            raise Failure("this benchmark starts Kafka by infra/kafka/start: run it from a checkout of the sources")
        self.count = count
        self.folder = Path(tempfile.mkdtemp(prefix="vitaltwin-kafka-"))
        self._port = _ports(2 * count + 1)
        self._session_min_ms = session_min_ms
        self.proxy = Proxy(free_port(), self._port + 2 * count) if proxied else None
        self.servers = ""

    def start(self, node: int | None = None) -> None:
        """Start all brokers, or restart one; raises ``Failure``."""
        command = [
            str(INFRA / "kafka" / "start"), str(self.folder), "--brokers", str(self.count), "--port", str(self._port),
            "--session-min", str(self._session_min_ms), *(() if node is None else ("--node", str(node))),
            *(() if self.proxy is None else ("--proxied", str(self.proxy.port))),
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failure(f"Kafka could not be started: {ran.stderr[-1000:]}")
        self.servers = ran.stdout.split()[-1]

    def pid(self, node: int = 1) -> int:
        """The process of one broker."""
        return int((self.folder / str(node) / "pid").read_text())

    def kill(self, node: int = 1) -> None:
        """Kill one broker, like a power cut."""
        os.kill(self.pid(node), signal.SIGKILL)

    def stop(self) -> None:
        """Stop all brokers cleanly; their files stay."""
        subprocess.run([str(INFRA / "kafka" / "stop"), str(self.folder)], check=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """Brokers, workers and one door, with topics created; ``settings`` are those of all programs.

    ``behind`` names the program that reaches the broker through a proxy that can be cut: the first ``worker``, or the ``door``.
    """

    def __init__(
        self, *, workers: int = 1, brokers: int = 1, door: bool = True, influx: bool = False, behind: str = "",
        **settings: str,
    ) -> None:  # fmt: skip
        self.brokers = Brokers(brokers, proxied=bool(behind))
        self.influx = Influx() if influx else None
        self._behind = behind
        self._workers = workers
        self._door = door
        self._given = {
            "kafka_partitions": "8",
            "kafka_session_seconds": "3",
            "kafka_replication": str(min(brokers, 3)),
        } | settings
        self._stack = ExitStack()
        self.workers: list[ServiceUnderTest] = []
        self.door: ServiceUnderTest

    @property
    def settings(self) -> Settings:
        """The settings as the programs read them."""
        return Settings.model_validate(self.given)

    @property
    def given(self) -> dict[str, str]:
        """The environment settings of every program."""
        influx = {} if self.influx is None else self.influx.given
        return self._given | {"kafka_servers": self.brokers.servers} | influx

    @property
    def proxy(self) -> Proxy:
        """The proxy that can be cut; raises ``Failure`` if there is none."""
        if self.brokers.proxy is None:
            raise Failure("no program is behind a proxy here")
        return self.brokers.proxy

    def worker(self) -> ServiceUnderTest:
        """One more worker, not started yet."""
        service = self._stack.enter_context(ServiceUnderTest(command_of("worker"), **self.given))
        service.environment |= {"VITALTWIN_INFLUX_SPILL": str(service.folder / "spill")}
        if self._behind == "worker" and not self.workers:
            self._put_behind(service)
        self.workers.append(service)
        return service

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self._stack.enter_context(self.brokers)
        if self.brokers.proxy is not None:
            self._stack.enter_context(self.brokers.proxy)
        if self.influx is not None:
            self._stack.enter_context(self.influx)
        made = ServiceUnderTest(command_of("init"), **self.given)
        with made:
            ran = subprocess.run(
                made.program,
                env=made.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode:
                raise Failure(f"vitaltwin init: {ran.stderr[-1000:]}")
        for _ in range(self._workers):
            self.worker().begin()
        until(lambda: all(ready(worker) for worker in self.workers), 180, "the workers to be ready", self.workers)
        if self._door:
            self.door = self._stack.enter_context(ServiceUnderTest(command_of("api"), **self.given))
            if self._behind == "door":
                self._put_behind(self.door)
            self.door.start()

    def _put_behind(self, service: ServiceUnderTest) -> None:
        service.environment["VITALTWIN_KAFKA_SERVERS"] = f"127.0.0.1:{self.proxy.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


def ready(service: ServiceUnderTest) -> bool:
    """Whether a program says that it is ready."""
    if not service.running:
        raise Failure(f"a program ended:\n{service.said()[-2000:]}")
    try:
        with RawConnection(service.port, timeout_s=5.0) as wire:
            return wire.ask("GET", "/health/ready")[0] == 200
    except OSError:
        return False


def figure(service: ServiceUnderTest, name: str) -> float:
    """A figure from a program's /metrics; 0 if there is none of that name."""
    with RawConnection(service.port, timeout_s=30.0) as wire:
        lines = wire.ask("GET", "/metrics")[1].decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def until(true: Callable[[], bool], seconds: float, what: str, services: list[ServiceUnderTest] | None = None) -> float:
    """Wait until ``true()``; returns the seconds it took. Raises ``Failure`` after ``seconds``."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if true():
            return time.monotonic() - began
        time.sleep(0.05)
    said = "\n".join(service.said()[-1500:] for service in services or ())
    raise Failure(f"waited {seconds:g} s in vain for {what}\n{said}")


def _ports(count: int) -> int:
    """The first of ``count`` free ports in a row."""
    while True:
        first = free_port()
        if first + count < 65_000 and all(_free(first + at) for at in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
