"""Clients that use room and time: incomplete requests, endless heads, clients that never read or have signed out."""

import contextlib
import json
import re
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from api.accounts.sessions import LIFETIME_S
from tests.api.conftest import eventually

GOOD = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def patience():
    """Limits of the services in this module: short and small."""
    return {"head_seconds": 1.0, "stall_seconds": 1.0, "max_waiting_connections": 30}


@pytest.fixture
def strict(start, patience):
    return start(**patience)


class Line:
    """A raw connection without a client library."""

    def __init__(self, running, *, buffer=0):
        place = urlsplit(running.url)
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect((place.hostname, place.port))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def say(self, *parts):
        for part in parts:
            self.socket.sendall(part)

    def answer(self):
        """The status and the problem's type of the next answer; (0, "") when the connection was closed without."""
        with contextlib.suppress(ConnectionError):
            found = b""
            while more := self.socket.recv(65536):
                found += more
                head, _, body = found.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length and len(body) >= int(length[1]):
                    told = json.loads(body)
                    return int(head.split()[1]), told.get("type", "")
        return 0, ""

    def over(self):
        """Whether the service has ended the connection; further bytes are ignored."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


def figure(running, name):
    """A figure of /metrics."""
    text = httpx.get(running.url + "/metrics", timeout=60).text
    return float(re.search(rf"^vitaltwin_{name} (\S+)$", text, re.MULTILINE)[1])


HEADS = {
    "many headers": (b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 101 + b"\r\n", 431, "/problems/headers-too-large"),
    "a long header": (b"GET / HTTP/1.1\r\nCookie: " + b"a" * 40_000 + b"\r\n\r\n", 431, "/problems/headers-too-large"),
    "long headers": (b"GET / HTTP/1.1\r\n" + (b"a:" + b"b" * 2000 + b"\r\n") * 20, 431, "/problems/headers-too-large"),
    "a long address": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "/problems/address-too-long"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "/problems/bad-request"),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_past_its_bounds(running, name, caplog):
    head, status, problem = HEADS[name]
    with Line(running) as line:
        line.say(head)
        assert line.answer() == (status, problem)
        assert line.over()
    assert not caplog.records


def test_as_many_headers_as_may_be_and_a_long_cookie(running):
    with Line(running) as line:
        line.say(GOOD[:-2], b"a:b\r\n" * 98, b"Cookie: " + b"c" * 8000 + b"\r\n\r\n")
        assert line.answer()[0] == 200


ENDLESS = {
    "a header that never ends": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 8192),
    "headers that never end": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:b\r\n" * 1000),
    "an address that never ends": (b"GET /", b"a" * 8192),
    "trailers that never end": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1000),
    "a trailer that never ends": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"a" * 8192),
    "an extension that never ends": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", b"a" * 8192),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_ended(running, name, caplog):
    begin, more = ENDLESS[name]
    sent = 0
    with Line(running) as line:
        line.say(begin)
        with contextlib.suppress(ConnectionError):
            while sent < 200_000_000:
                line.say(more)
                sent += len(more)
    assert sent < 20_000_000  # the size between the two limits
    assert httpx.get(running.url + "/health/live").status_code == 200
    assert not caplog.records


@pytest.mark.parametrize("half", [b"", b"GET /hea", GOOD[:-2], b"\r\n"])
def test_half_a_head_is_not_waited_for(strict, half):
    with Line(strict) as line:
        line.say(half)
        assert line.answer() == (408, "/problems/request-timeout")
        assert line.over()
    assert figure(strict, "connections_overdue_total") == 1


@pytest.mark.parametrize("path", ["/v1/session", "/v1/observations"])
def test_half_a_body_is_not_waited_for(strict, path, caplog):
    key = strict.device().headers["Authorization"]
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
    with Line(strict) as line:
        line.say(f"{head}Content-Length: 100\r\n\r\n[".encode())
        assert line.answer() == (408, "/problems/request-timeout")
        assert line.over()
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


def test_a_second_request_that_stays_half_is_not_waited_for_either(strict):
    with Line(strict) as line:
        line.say(GOOD)
        assert line.answer()[0] == 200
        line.say(GOOD[:-2])
        assert line.answer() == (408, "/problems/request-timeout")


def test_a_thousand_half_requests_keep_nobody_out(strict):
    with contextlib.ExitStack() as held:
        kept = held.enter_context(Line(strict))
        kept.say(GOOD)
        assert kept.answer()[0] == 200
        for _ in range(1000):
            held.enter_context(Line(strict)).say(GOOD[:-2])
        kept.say(GOOD)
        assert kept.answer()[0] == 200  # a connection that was served before is closed last
        assert httpx.get(strict.url + "/health/live").status_code == 200
        assert figure(strict, "connections_open") <= 32
        assert figure(strict, "connections_evicted_total") > 900


def test_there_are_only_so_many_connections(start):
    running = start(max_connections=20)
    with contextlib.ExitStack() as held:
        for _ in range(60):
            held.enter_context(Line(running)).say(GOOD[:-2])
        assert httpx.get(running.url + "/health/live").status_code == 200
        assert figure(running, "connections_open") <= 21


def test_where_none_can_go_the_newest_is_told(start):
    running = start(max_connections=3)
    admin = running.person("root", "admin")
    with contextlib.ExitStack() as held:
        answers = [held.enter_context(admin.stream("GET", "/v1/events")) for _ in range(3)]
        assert {answer.status_code for answer in answers} <= {200, 503}
        with Line(running) as line:
            line.say(GOOD)
            assert line.answer() == (503, "/problems/too-many-connections")


def test_who_takes_nothing_of_an_answer_is_let_go(strict):
    """More answers than all buffers hold, requested on one connection and never read."""
    with Line(strict, buffer=4096) as line:
        asking = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(400):
                line.say(asking)
        eventually(lambda: figure(strict, "connections_stalled_total") == 1)


def test_who_takes_nothing_of_his_events_is_let_go_when_they_end(strict):
    key = strict.person("root", "admin")
    cookie = "; ".join(f"{name}={value}" for name, value in key.cookies.items())
    with Line(strict, buffer=4096) as line:
        line.say(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        eventually(lambda: strict.hub.counters()["connections"])

        def pour():
            for outbox in list(strict.hub._clients):
                for _ in range(20):
                    outbox.put("x" * 1_000_000, 1_000_000, whole=True)

        strict.loop.call_soon_threadsafe(pour)
        key.delete("/v1/session")
        eventually(lambda: not strict.hub.counters()["connections"])
        eventually(lambda: figure(strict, "connections_open") <= 2)


@pytest.fixture
def followed(running):
    """Opens an event stream of a client and returns a function that waits for its end."""

    @contextlib.contextmanager
    def open_stream(client):
        with client.stream("GET", "/v1/events", timeout=60) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            assert next(lines) == "retry: 2000"

            def until_the_end():
                deadline = time.monotonic() + 60
                for _ in lines:  # at least a heartbeat, as long as the stream is open
                    assert time.monotonic() < deadline

            yield until_the_end

    return open_stream


def test_events_end_with_the_sign_out(running, followed):
    person = running.person("leaver", "viewer")
    with followed(person) as until_the_end:
        with httpx.Client(base_url=running.url, cookies=person.cookies, headers={"Origin": running.url}) as elsewhere:
            assert elsewhere.delete("/v1/session").status_code == 204
        until_the_end()


def test_events_end_with_the_account(running, followed, admin):
    person = running.person("dismissed", "viewer")
    with followed(person) as until_the_end:
        assert admin.patch("/v1/accounts/dismissed", json={"disabled": True}).status_code == 200
        until_the_end()


def test_events_end_with_the_devices_key(running, followed, admin):
    made = admin.post("/v1/devices", json={"name": "wall display", "scopes": ["patients:read"], "wards": ["*"]})
    assert made.status_code == 201, made.text
    with followed(running.client(Authorization=f"Bearer {made.json()['key']}")) as until_the_end:
        assert admin.delete(f"/v1/devices/{made.json()['device']['id']}").status_code in {200, 204}
        until_the_end()


def test_events_end_when_the_session_has_lasted_its_time(start, followed, monkeypatch):
    running = start()
    person = running.person("forgetful", "viewer")
    with followed(person) as until_the_end:
        sessions = running.accounts._sessions
        monkeypatch.setattr(sessions, "_real", lambda real=sessions._real: real() + LIFETIME_S)
        until_the_end()
        eventually(lambda: not running.hub.counters()["connections"])
    assert person.get("/v1/events").status_code == 401
