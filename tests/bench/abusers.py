"""Clients that abuse a service, one after the other, from one address, in their own process: ``run NAME PORT …``."""

import gzip
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

import msgspec
import numpy as np
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from streams.log.frame import encode_frame
from tests.support.load import FRAME_TYPE
from twins.records import Columns

__all__ = ["ABUSES", "command"]

_HALVES = 1_000
_STRANGERS = 20_000
_DEAF = 50
_GUESSERS = 8
_PAUSE_S = 0.005


class Target(msgspec.Struct):
    """The address of a service, a device's key and a signed-in person's cookie."""

    port: int
    key: str
    cookie: str
    seconds: float

    def connect(self) -> socket.socket:
        """A connection with a small receive buffer."""
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(5.0)
        line.connect(("127.0.0.1", self.port))
        return line

    def ask(self, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, bytes]:
        """One request on its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def half_requests(target: Target, on: Callable[[], bool]) -> None:
    """A thousand connections with incomplete headers, opened again when they are closed."""
    open_lines: list[socket.socket] = []
    half = b"POST /v1/observations HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Waiting: "
    while on():
        with suppress(OSError):
            line = target.connect()
            line.sendall(half)
            open_lines.append(line)
        if len(open_lines) > _HALVES:
            open_lines.pop(0).close()
        time.sleep(_PAUSE_S if len(open_lines) > _HALVES else _PAUSE_S / 5)
    for line in open_lines:
        line.close()


def bombs(target: Target, on: Callable[[], bool]) -> None:
    """Small compressed bodies that would become large ones, one after the other."""
    json_type, packed = "application/json", {"Content-Encoding": "gzip"}
    reading = b'{"patient":"p","signal":"heart_rate","time":"2026-01-01T00:00:00Z","value":72}'
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (gzip.compress(b"[" + b"1," * 16_000_000 + b"1]", 9), packed),
        (gzip.compress(b"[" + b"NaN," * 8_000_000 + b"1]", 9), packed),
        (gzip.compress(b"[" + b"1," * 49_999 + b"1]", 9), packed),
        (gzip.compress(b"[" + b"NaN," * 49_999 + b"1]", 9), packed),
        (gzip.compress(b"") * 160_000, packed),
        (b"[" * 8_000_000, {}),
        (b"[" + b",".join([b"[" * 60 + b"]" * 60] * 50_000) + b"]", {}),
        (b"[" + b",".join([reading[:-1] + b',"unit":"furlong"}'] * 50_000) + b"]", {}),
    ]
    turn = 0
    while on():
        body, more = bodies[turn % len(bodies)]
        turn += 1
        with suppress(OSError, http.client.HTTPException):
            headers = {"Authorization": f"Bearer {target.key}", "Content-Type": json_type, **more}
            target.ask("/v1/observations", body, headers)


def strangers(target: Target, on: Callable[[], bool]) -> None:
    """A device that sends readings of twenty thousand unknown patients, then twenty thousand others, and so on."""
    number = 0
    while on():
        names = [f"stranger-{number + one}" for one in range(_STRANGERS)]
        number += _STRANGERS
        now = time.time_ns() // 1000  # noqa: TID251 - a device reads its own clock
        frame = encode_frame(
            Columns(
                names, np.arange(_STRANGERS, dtype="<u4"), np.zeros(_STRANGERS, "<u2"),
                np.full(_STRANGERS, now), np.full(_STRANGERS, 70.0),
            )
        )  # fmt: skip
        with suppress(OSError, http.client.HTTPException):
            target.ask("/v1/observations", frame, {"Authorization": f"Bearer {target.key}", "Content-Type": FRAME_TYPE})


def stalled_socket(target: Target, on: Callable[[], bool]) -> None:
    """Signed-in sockets and event streams that subscribe to everything and never read."""
    open_lines: list[socket.socket] = []
    while on():
        with suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            open_lines.append(_deaf_socket(target))
            line = target.connect()
            line.sendall(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {target.cookie}\r\n\r\n".encode())
            open_lines.append(line)
        while len(open_lines) > _DEAF:
            open_lines.pop(0).close()
        time.sleep(0.1)
    for line in open_lines:
        line.close()


def _deaf_socket(target: Target) -> socket.socket:
    origin = f"http://127.0.0.1:{target.port}"
    _, answer = target.ask("/v1/tickets", b"", {"Cookie": target.cookie, "Origin": origin})
    place = urlsplit(origin)
    protocol = ClientProtocol(parse_uri(f"ws://{place.netloc}/ws"))
    protocol.send_request(protocol.connect())
    line = target.connect()
    line.sendall(b"".join(protocol.data_to_send()))
    protocol.receive_data(line.recv(4096))
    protocol.send_text(json.dumps({"type": "auth", "ticket": json.loads(answer)["ticket"], "id": 1}).encode())
    for sub in range(2, 60):
        follow = {"type": "subscribe", "id": sub, "channel": "ward/*", "max_hz": 10}
        protocol.send_text(json.dumps(follow).encode())
    line.sendall(b"".join(protocol.data_to_send()))
    return line


def sign_in_flood(target: Target, on: Callable[[], bool]) -> None:
    """Guesses at passwords and links, from eight threads, each as fast as it gets answers."""
    origin = f"http://127.0.0.1:{target.port}"

    def guess(number: int) -> None:
        turn = 0
        while on():
            turn += 1
            body = json.dumps({"name": f"nurse-{turn % 50}" if number % 2 else "admin", "password": f"guess-{turn}"})
            with suppress(OSError, http.client.HTTPException):
                target.ask("/v1/session", body.encode(), {"Origin": origin, "Content-Type": "application/json"})
                target.ask(f"/sign-in?token={turn}", b"", {}, "GET")

    threads = [Thread(target=guess, args=(number,), daemon=True) for number in range(_GUESSERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ABUSES: dict[str, Callable[[Target, Callable[[], bool]], None]] = {
    abuse.__name__: abuse for abuse in (half_requests, bombs, strangers, stalled_socket, sign_in_flood)
}


def command(name: str, target: Target) -> list[str]:
    """The command that starts an abuser; it ends by itself after the given seconds."""
    return [sys.executable, "-m", __spec__.name, name, msgspec.json.encode(target).decode()]


def _main() -> None:
    target = msgspec.json.decode(sys.argv[2].encode(), type=Target)
    until = time.monotonic() + target.seconds
    ABUSES[sys.argv[1]](target, lambda: time.monotonic() < until)


if __name__ == "__main__":
    _main()
