"""A service for tests: a child process on a free loopback port, with a temporary folder."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from api.cli.output import Failure
from tests.support.raw_connection import RawConnection

__all__ = ["ServiceUnderTest", "cpu_s", "free_port"]

_STARTS_WITHIN_S = 180.0
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class ServiceUnderTest:
    """A running ``vitaltwin serve``, or another program that answers HTTP at ``--port``; ``TMPDIR`` selects the disk."""

    def __init__(
        self, command: Sequence[str] = ("-c", "from api.cli import main; main()", "serve"), **settings: str
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vitaltwin-bench-"))
        self.database = self.folder / "vitaltwin.db"
        self.port = free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VITALTWIN_")}
        self.environment |= {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "VITALTWIN_DATABASE": str(self.database),
            "VITALTWIN_NEW_PATIENTS_PER_MINUTE": "1000000",  # a test's patients come all at once; ``settings`` win
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **{f"VITALTWIN_{name.upper()}": value for name, value in settings.items()},
        }
        self.program = [sys.executable, *command]
        self.arguments = ["--port", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: str = "/health/ready") -> float:
        """Start and wait until ``ready`` answers 200; returns the seconds that took.

        Raises:
            Failure: the program ended or did not answer in time.
        """
        began = time.monotonic()
        self.begin()
        while time.monotonic() - began < _STARTS_WITHIN_S:
            if not self.running:
                raise Failure(f"the service ended while starting:\n{self.said()}")
            try:
                with RawConnection(self.port, timeout_s=60.0) as wire:
                    if wire.ask("GET", ready)[0] == 200:
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.005)
        raise Failure(f"the service did not answer within {_STARTS_WITHIN_S:g} s:\n{self.said()}")

    def begin(self) -> None:
        """Start without waiting."""
        with (self.folder / "said").open("ab") as said:
            command = [*self.program, *self.arguments]
            self._process = subprocess.Popen(command, env=self.environment, stdout=said, stderr=said)  # this program

    def said(self) -> str:
        """What the program has written so far."""
        return (self.folder / "said").read_text(errors="replace")

    def key(self) -> str:
        """The device key that the service writes for its user."""
        file = self.folder / "state" / "vitaltwin" / f"{self.port}.key"
        return str(_waited(lambda: file.read_text() if file.exists() else None, "the device key"))

    def session(self) -> str:
        """Follow the one-time sign-in link of the first start; returns the Cookie header of an administrator."""
        link = _waited(lambda: re.search(r"/sign-in\?token=\S+", self.said()), "the sign-in link")
        with RawConnection(self.port) as wire:
            _, headers, _ = wire.exchange("POST", str(link[0]))  # type: ignore[index]
        return headers["set-cookie"].partition(";")[0]

    def cpu_s(self) -> float:
        """CPU seconds, user and system, the program has used so far (Linux)."""
        return cpu_s(self._running.pid)

    def lag(self) -> int:
        """Readings durable but not yet in their twins."""
        with RawConnection(self.port) as wire:
            return int(wire.json("GET", "/health/ready")["parts"]["lag_readings"])

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._running.pid

    def kill(self) -> None:
        """Kill it, like a power cut: SIGKILL."""
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()

    def stop(self) -> None:
        """Stop it cleanly."""
        self._running.send_signal(signal.SIGTERM)
        try:
            self._running.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def running(self) -> bool:
        """Whether the program has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise Failure("the service was not started")
        return self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def free_port() -> int:
    """A free loopback port, below the range that the system gives to clients, so that none of them takes it meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _waited(found: Callable[[], object], what: str) -> object:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if (result := found()) is not None:
            return result
        time.sleep(0.05)
    raise Failure(f"{what} did not appear within 20 s")
