"""``infra/bench latency``: time from the POST of a reading to its estimate, and its alarm, at a WebSocket client."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from api.cli.output import Failure, say
from streams.log.frame import encode_frame
from tests.support.cluster import Cluster
from tests.support.load import FRAME_TYPE, SimulatedWard, post_all, requests
from tests.support.probing import CYCLE
from tests.support.raw_connection import RawConnection, post
from tests.support.service import ServiceUnderTest
from twins.records import Columns
from twins.signals import BY_NAME

__all__ = ["background", "run"]

LOADS = (1_000, 10_000)
"""Background readings per second."""
_WARD = "latency"
_PROBES = 16
_EVERY_S = 1.15
"""A patient's estimates go out at most once a second, so each probe waits a little longer between its readings."""
_CODE = BY_NAME["heart_rate"].code
_NORMAL, _CROSSING = 86.0, 93.0
"""Close enough together that neither counts as a sensor fault."""


def run(*, quick: bool = False, runtime: str = "embedded") -> dict[str, Any]:
    """Milliseconds from before the POST until the message is parsed in the client, p50 and p99, at each load.

    A probe sends three readings of 86 and one of 93 /min, repeatedly, around a critical limit of 90 without delay. Crossing
    readings are timed until the alarm, all readings until the estimate. Probes are posted one by one beside the load.
    """
    if runtime not in _RUNTIMES:
        raise Failure(f"there is no runtime {runtime!r}; known: {', '.join(_RUNTIMES)}")
    figures: dict[str, Any] = {"probes": _PROBES, "runtime": runtime}
    for load in LOADS:
        with _RUNTIMES[runtime]() as service:
            figures[str(load)] = asyncio.run(_at(service, load, 8 if quick else 45))
    return figures


@contextmanager
def _embedded() -> Iterator[ServiceUnderTest]:
    with ServiceUnderTest(default_ward="background") as service:
        service.start()
        yield service


@contextmanager
def _on_kafka() -> Iterator[ServiceUnderTest]:
    """One broker, one worker and one door."""
    with Cluster(default_ward="background") as cluster:
        yield cluster.door


_RUNTIMES = {"embedded": _embedded, "kafka": _on_kafka}


async def _at(service: ServiceUnderTest, load: int, seconds: float) -> dict[str, Any]:
    cookie, key = service.session(), service.key()
    probes = [f"probe-{number:02d}" for number in range(_PROBES)]
    with RawConnection(service.port) as wire:
        for probe in probes:
            wire.json("POST", "/v1/patients", {"id": probe, "ward": _WARD, "label": probe}, cookie)
            limits = {"heart_rate": {"high": 89.0, "critical_high": 90.0, "delay_s": 0.0}}
            wire.json("PUT", f"/v1/patients/{probe}/limits", limits, cookie)
        ticket = wire.json("POST", "/v1/tickets", {}, cookie)["ticket"]
    say(f"{load} readings a second beside the probes, {seconds:g} s")
    with background(service.port, key, load):
        async with connect(f"ws://127.0.0.1:{service.port}/ws", max_size=None) as socket:
            await socket.send(json.dumps({"type": "auth", "ticket": ticket, "id": 1}))
            await socket.send(json.dumps({"type": "subscribe", "id": 2, "channel": f"ward/{_WARD}", "max_hz": 100}))
            seen = _Seen()
            listening = asyncio.create_task(seen.listen(socket))
            sent = await _probe(service.port, key, probes, seconds)
            await asyncio.sleep(1.0)
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
    return _figures(sent, seen, load)


class _Sent(msgspec.Struct):
    at: float
    crosses: bool
    answered: float = 0.0


class _Seen:
    """When the client first got the estimate and the alarm of a (patient, time in ms)."""

    def __init__(self) -> None:
        self.estimates: dict[tuple[str, int], float] = {}
        self.alarms: dict[tuple[str, int], float] = {}

    async def listen(self, socket: ClientConnection) -> None:
        """Take messages until cancelled."""
        async for text in socket:
            message = msgspec.json.decode(text)
            now = time.monotonic()
            if message["type"] == "error":
                raise Failure(f"the socket was refused: {message}")
            for patient, entry in (message.get("set") or {}).items():
                state = entry.get("signals", {}).get("heart_rate")
                if state:
                    self.estimates.setdefault((patient, state["t"]), now)
            alarm = message.get("alarm")
            if alarm and alarm["presence"] == "on" and alarm["condition"] == "limit.critical_high":
                self.alarms.setdefault((alarm["patient"], alarm["time"]), now)


async def _probe(port: int, key: str, probes: list[str], seconds: float) -> dict[tuple[str, int], _Sent]:
    """Post the probes' readings in turn, evenly spaced, each on a keep-alive connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent: dict[tuple[str, int], _Sent] = {}
    loop = asyncio.get_running_loop()
    due = loop.time()
    turns = int(seconds / _EVERY_S) * _PROBES
    for turn in range(turns):
        probe = probes[turn % _PROBES]
        crosses = (turn // _PROBES) % CYCLE == CYCLE - 1
        await asyncio.sleep(max(0.0, due - loop.time()))
        due += _EVERY_S / _PROBES
        moment = time.time_ns() // 1_000_000  # noqa: TID251 - a device reads its own clock
        one = Columns(
            [probe], np.zeros(1, "<u4"), np.array([_CODE], "<u2"), np.array([moment * 1000], "<i8"),
            np.array([_CROSSING if crosses else _NORMAL]),
        )  # fmt: skip
        request = post("/v1/observations", FRAME_TYPE, key, encode_frame(one))
        mark = sent[probe, moment] = _Sent(time.monotonic(), crosses)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        mark.answered = time.monotonic()
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failure(f"a probe was refused: {body[:300]!r}")
    writer.close()
    return sent


@contextmanager
def background(port: int, key: str, load: int) -> Iterator[None]:
    """Ten requests a second with together ``load`` readings a second of 1,000 patients."""
    stop = threading.Event()
    ward = SimulatedWard(max(200, load // 10))
    post_all(port, requests(ward.batches(-(-ward.channels // 1_000), 1_000), FRAME_TYPE, key), 4)

    def carry() -> None:
        with RawConnection(port) as wire:
            due = time.monotonic()
            while not stop.is_set():
                wire.send(requests(ward.batches(1, load // 10), FRAME_TYPE, key)[0])
                due += 0.1
                stop.wait(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _figures(sent: dict[tuple[str, int], _Sent], seen: _Seen, load: int) -> dict[str, Any]:
    probed = list(sent.items())[_PROBES * 2 :]
    estimates = [seen.estimates[key] - one.at for key, one in probed if key in seen.estimates]
    crossings = [(key, one) for key, one in probed if one.crosses]
    alarms = [seen.alarms[key] - one.at for key, one in crossings if key in seen.alarms]
    if len(estimates) < 0.98 * len(probed) or len(alarms) < 0.98 * len(crossings):
        raise Failure(
            f"at {load} readings a second only {len(estimates)} of {len(probed)} estimates and {len(alarms)} of "
            f"{len(crossings)} alarms were seen"
        )
    return {
        "estimate_ms": _percentiles(estimates),
        "alarm_ms": _percentiles(alarms),
        "answer_ms": _percentiles([one.answered - one.at for _, one in probed]),
        "estimates": len(estimates),
        "alarms": len(alarms),
        "unseen": len(probed) - len(estimates) + len(crossings) - len(alarms),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = 1000 * np.array(seconds)
    return {name: float(np.percentile(ordered, rank)) for name, rank in (("p50", 50), ("p99", 99), ("max", 100))}
