"""Probes: patients whose readings cross a critical limit in turn, timed from the POST to the alarm at a WebSocket client."""

import asyncio
import json
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Self

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streams.log.frame import encode_frame
from tests.support.load import FRAME_TYPE
from tests.support.raw_connection import RawConnection, post
from tests.support.service import ServiceUnderTest
from twins.records import Columns
from twins.signals import BY_NAME

__all__ = ["CYCLE", "Probes"]

_WARD = "probes"
_PATIENTS = 80
_EVERY_S = 1.15
_CODE = BY_NAME["heart_rate"].code
_NORMAL, _CROSSING = 86.0, 93.0
"""Close enough together that neither counts as a sensor fault."""
CYCLE = 4
"""One reading in this many crosses: with alternating readings a critical limit is clear 3 s after the last crossing."""
_GIVEN_UP_S = 30.0


class Probes:
    """Some patients of a running service, and a WebSocket that follows them.

    Errors are handled as a monitor handles them: a refused reading is sent again, a lost connection is opened again, and
    the time runs from the first attempt. An alarm that does not come within 30 s counts as 30 s.
    """

    def __init__(self, service: ServiceUnderTest) -> None:
        self._port = service.port
        self._key = service.key()
        self._cookie = service.session()
        self._names = [f"probe-{number:02d}" for number in range(_PATIENTS)]
        self._seen: dict[tuple[str, int], float] = {}
        self._more = asyncio.Event()
        self._turn = 0
        with RawConnection(self._port) as wire:
            for name in self._names:
                wire.json("POST", "/v1/patients", {"id": name, "ward": _WARD, "label": name}, self._cookie)
                limits = {"heart_rate": {"high": 89.0, "critical_high": 90.0, "delay_s": 0.0}}
                wire.json("PUT", f"/v1/patients/{name}/limits", limits, self._cookie)

    @property
    def cookie(self) -> str:
        """The Cookie header of the probes' administrator."""
        return self._cookie

    @property
    def key(self) -> str:
        """The device key for the probes' readings."""
        return self._key

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening

    async def measure(self, seconds: float) -> list[float]:
        """Seconds from the POST of each crossing reading until its alarm is parsed."""
        sent: dict[tuple[str, int], float] = {}
        loop = asyncio.get_running_loop()
        line = _Line(self._port)
        due = loop.time()
        for _ in range(int(seconds / _EVERY_S) * _PATIENTS):
            name, crosses = self._names[self._turn % _PATIENTS], (self._turn // _PATIENTS) % CYCLE == CYCLE - 1
            self._turn += 1
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due + _EVERY_S / _PATIENTS, loop.time() - _EVERY_S)
            moment = time.time_ns() // 1_000_000  # noqa: TID251 - a device reads its own clock
            one = Columns(
                [name], np.zeros(1, "<u4"), np.array([_CODE], "<u2"), np.array([moment * 1000], "<i8"),
                np.array([_CROSSING if crosses else _NORMAL]),
            )  # fmt: skip
            began = time.monotonic()
            await line.post(post("/v1/observations", FRAME_TYPE, self._key, encode_frame(one)))
            if crosses:
                sent[name, moment] = began
        await line.close()
        deadline = loop.time() + _GIVEN_UP_S
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._all_seen(sent.keys())
        return [min(self._seen.get(which, np.inf) - began, _GIVEN_UP_S) for which, began in sent.items()]

    async def _all_seen(self, wanted: AbstractSet[tuple[str, int]]) -> None:
        while not wanted <= self._seen.keys():
            self._more.clear()
            await self._more.wait()

    async def _listen(self) -> None:
        while True:
            with suppress(OSError, ConnectionClosed, TimeoutError):
                with RawConnection(self._port) as wire:
                    ticket = wire.json("POST", "/v1/tickets", {}, self._cookie)["ticket"]
                async with connect(f"ws://127.0.0.1:{self._port}/ws", max_size=None) as socket:
                    await socket.send(json.dumps({"type": "auth", "ticket": ticket, "id": 1}))
                    await socket.send(json.dumps({"type": "subscribe", "id": 2, "channel": f"ward/{_WARD}"}))
                    await self._hear(socket)
            await asyncio.sleep(0.2)

    async def _hear(self, socket: ClientConnection) -> None:
        async for text in socket:
            message = msgspec.json.decode(text)
            if message["type"] == "alarm":
                self._note(message["alarm"])
            for entry in (message.get("entries") or {}).values():
                for alarm in entry["alarms"]:
                    self._note(alarm)

    def _note(self, alarm: dict[str, object]) -> None:
        if alarm["presence"] == "on" and alarm["condition"] == "limit.critical_high":
            self._seen.setdefault((str(alarm["patient"]), int(str(alarm["time"]))), time.monotonic())
            self._more.set()


class _Line:
    """A keep-alive connection of a device that does not give up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> None:
        """Return once the reading is taken, or after a time-out."""
        deadline = time.monotonic() + _GIVEN_UP_S
        while time.monotonic() < deadline:
            with suppress(OSError, asyncio.IncompleteReadError):
                if self._line is None:
                    self._line = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._line
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
                if head.startswith(b"HTTP/1.1 200"):
                    return
                await asyncio.sleep(0.1)
                continue
            await self.close()
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line[1].close()
            self._line = None
