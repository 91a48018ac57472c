"""Small bodies that would expand to large ones: each is answered, and the service's memory does not grow."""

import contextlib
import gzip
import json
import re
import socket
from pathlib import Path

import httpx
import pytest

from tests.support.service import ServiceUnderTest

FRAME = "application/vnd.vitaltwin.frame+msgpack"
JSON, LINES = "application/json", "application/x-ndjson"
READING = b'{"patient":"p","signal":"heart_rate","time":"2026-01-01T00:00:00Z","value":72}'
MOST_MB = 200
"""More than a decompressed body and its 50,000 entries need; without limits each of these bombs took gigabytes."""


def packed(body):
    return gzip.compress(body, 9)


def array(entry, count):
    return b"[" + b",".join([entry] * count) + b"]"


BOMBS = {
    "ones": (JSON, packed(b"[" + b"1," * 16_000_000 + b"1]"), 413),
    "ones as sent": (JSON, array(b"1", 4_000_000), 413),
    "as many ones as may be": (JSON, packed(array(b"1", 50_000)), 422),
    "NaN": (JSON, packed(b"[" + b"NaN," * 1_000_000 + b"1]"), 413),
    "as many NaN as may be": (JSON, packed(array(b"NaN", 50_000)), 422),
    "empty objects": (JSON, packed(array(b"{}", 1_000_000)), 413),
    "one long entry": (JSON, array(array(b"1", 3_900_000), 1), 422),
    "one long object": (JSON, b'{"patient":' + array(b"{}", 2_000_000) + b"}", 422),
    "levels": (JSON, b"[" * 8_000_000, 400),
    "entries of many levels": (JSON, array(b"[" * 500 + b"]" * 500, 8000), 422),
    "strange units": (JSON, array(READING[:-1] + b',"unit":"furlongs a fortnight"}', 50_000), 422),
    "taken back by mistake": (JSON, packed(array(b'{"status":"entered-in-error"}', 50_000)), 422),
    "empty members": (JSON, packed(b"") * 160_000, 400),
    "members of little": (JSON, packed(b"[") + packed(b"1,") * 160_000, 400),
    "a thousand to one": (JSON, packed(b" " * 32_000_000 + READING), 413),
    "lines": (LINES, packed(b"1\n" * 1_000_000), 413),
    "empty lines": (LINES, b"\n" * 8_000_000, 200),
    "one long line": (LINES, array(b"1", 3_900_000), 422),
    "names": (FRAME, b"\x82\xa4type\xa5frame\xa8patients\xdd\x00\x3d\x09\x00" + b"\xa1a" * 4_000_000, 400),
    "a list said to be long": (FRAME, b"\x82\xa4type\xa5frame\xa8patients\xdd\xff\xff\xff\xff", 400),
    "sources": (FRAME, b"\x82\xa4type\xa5frame\xa7sources\xdd\x00\x7a\x12\x00" + b"\xa0" * 8_000_000, 400),
}


@pytest.fixture(scope="module")
def service():
    with ServiceUnderTest() as service:
        service.start()
        yield service


@pytest.fixture(scope="module")
def client(service):
    headers = {"Authorization": f"Bearer {service.key()}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=120) as client:
        client.post("/v1/observations", json=[1, json.loads(READING)])
        yield client


def memory(service, name):
    """A memory figure of the service from the kernel, in MB."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_answered_and_costs_little(service, client, name):
    kind, body, status = BOMBS[name]
    headers = {"Content-Type": kind} | ({"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {})
    Path(f"/proc/{service.pid}/clear_refs").write_text("5")  # resets the peak
    before = memory(service, "VmRSS")
    answer = client.post("/v1/observations", content=body, headers=headers)
    assert answer.status_code == status, answer.text[:500]
    assert memory(service, "VmHWM") - before < MOST_MB
    if status == 422:
        assert len(answer.json()["errors"]) == min(answer.json()["refused"], 1000)
    assert client.get("/health/ready").json()["ready"]


def test_bodies_that_never_end_do_not_add_up(service, client):
    """More bodies at once than there is room for: some get 503, and the service does not grow."""
    before = memory(service, "VmRSS")
    streams = [_Slow(service, client.headers["Authorization"]) for _ in range(40)]
    try:
        for stream in streams:
            stream.send(b" " * (7 << 20))
        assert memory(service, "VmHWM") - before < 400
        assert client.get("/health/ready").json()["ready"]
    finally:
        for stream in streams:
            stream.close()
    assert client.post("/v1/observations", json=[]).status_code == 200


class _Slow:
    """A request with an endless body."""

    def __init__(self, service, key):
        self._socket = socket.create_connection(("127.0.0.1", service.port))
        self._socket.settimeout(30)
        head = f"POST /v1/observations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\nContent-Type: {JSON}\r\n"
        self._socket.sendall(f"{head}Content-Length: 8000000\r\n\r\n".encode())

    def send(self, part):
        with contextlib.suppress(OSError):  # it was answered and closed
            self._socket.sendall(part)

    def close(self):
        self._socket.close()
