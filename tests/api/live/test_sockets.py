"""``/ws`` and ``/v1/events`` over real connections: tickets, snapshots and deltas, resuming, refusals, slow clients."""

import itertools
import json
import socket
import struct
import time
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.uri import parse_uri

from api.accounts.sessions import LIFETIME_S
from tests.api.conftest import eventually

_numbers = itertools.count(1)


@pytest.fixture
def patient(admin):
    """A new patient of ward A with immediate heart rate alarms outside 50 to 120 /min."""
    name = f"socket-{next(_numbers)}"
    assert admin.post("/v1/patients", json={"id": name, "ward": "A"}).status_code == 201
    limits = {"heart_rate": {"critical_low": 50.0, "low": 55.0, "high": 115.0, "critical_high": 120.0, "delay_s": 0.0}}
    assert admin.put(f"/v1/patients/{name}/limits", json=limits).status_code == 200
    return name


@pytest.fixture
def observe(running, device):
    """Post one heart rate, a little later than the last."""

    def post(patient, value):
        answer = device.post("/v1/observations", json=running.reading(patient=patient, value=value))
        assert answer.json()["taken"] == 1

    return post


@contextmanager
def opened(running, person, ticket=None, **more):
    """A socket whose first message was the ticket."""
    ticket = ticket or person.post("/v1/tickets").json()["ticket"]
    with connect(running.url.replace("http", "ws") + "/ws", max_size=None, **more) as line:
        say(line, type="auth", ticket=ticket, id=1)
        yield line


def say(line, **message):
    line.send(json.dumps(message))


def hear(line, kind, wanted=lambda _: True):
    """The next message of this kind that meets the condition; earlier ones are ignored."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        message = json.loads(line.recv(timeout=15))
        if message["type"] == kind and wanted(message):
            return message
    raise AssertionError(f"no {kind} came")


def follow(line, channel, sub=2, **more):
    say(line, type="subscribe", id=sub, channel=channel, max_hz=10, **more)
    return hear(line, "snapshot", lambda message: message["sub"] == sub)


def ended(line):
    """The service's close code."""
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            line.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


def test_a_snapshot_then_what_changes_then_alarms_in_order(running, admin, patient, observe):
    with opened(running, admin) as line:
        welcome = hear(line, "result")
        assert (welcome["id"], welcome["speed"]) == (1, 1.0)
        snapshot = follow(line, f"patient/{patient}")
        assert snapshot["entries"][patient]["ward"] == "A"
        assert snapshot["entries"][patient]["signals"] == {}
        observe(patient, 75.0)
        state = hear(line, "delta", lambda message: "signals" in message["set"].get(patient, {}))
        assert state["set"][patient]["signals"]["heart_rate"]["v"] == 75.0
        observe(patient, 40.0)
        on = hear(line, "alarm")
        assert (on["alarm"]["condition"], on["alarm"]["presence"]) == ("limit.critical_low", "on")
        assert on["offset"] == snapshot["offset"] + 1
        admin.post(f"/v1/alarms/{on['alarm']['id']}/acknowledge", json={"note": "seen"})
        acknowledged = hear(line, "alarm")
        assert (acknowledged["alarm"]["id"], acknowledged["alarm"]["by"]) == (on["alarm"]["id"], "root")
        assert acknowledged["offset"] == on["offset"] + 1


def test_a_later_snapshot_holds_what_came_since_the_one_before(running, admin, patient, observe):
    with opened(running, admin) as socket:
        follow(socket, f"patient/{patient}")
        observe(patient, 75.0)
        assert hear(socket, "delta")["set"][patient]["signals"]["heart_rate"]["v"] == 75.0
        observe(patient, 76.0)
        eventually(lambda: [one for one in running.view.state(patient) if one.value == 76.0])
        with opened(running, admin) as later:
            snapshot = follow(later, f"patient/{patient}")
            assert snapshot["entries"][patient]["signals"]["heart_rate"]["v"] == 76.0
        observe(patient, 77.0)
        eventually(lambda: [one for one in running.view.state(patient) if one.value == 77.0])
        with opened(running, admin) as later:
            snapshot = follow(later, f"patient/{patient}")
            assert snapshot["entries"][patient]["signals"]["heart_rate"]["v"] == 77.0


def test_who_comes_back_gets_every_transition_missed_and_a_stranger_a_fresh_snapshot(running, admin, patient, observe):
    with opened(running, admin) as line:
        seen = follow(line, "ward/A")
    observe(patient, 75.0)
    observe(patient, 40.0)
    observe(patient, 75.0)
    course = admin.get(f"/v1/alarms?state=all&patient={patient}").json()["items"]
    assert [one["presence"] for one in course] == ["latched"]
    since = {"epoch": seen["epoch"], "offset": seen["offset"]}
    with opened(running, admin) as line:
        say(line, type="subscribe", id=2, channel="ward/A", since=since)
        missed = [hear(line, "alarm") for _ in range(2)]
        assert [one["alarm"]["presence"] for one in missed] == ["on", "latched"]
        assert [one["offset"] for one in missed] == [seen["offset"] + 1, seen["offset"] + 2]
        again = hear(line, "snapshot")
        assert again["recovered"]
        assert [alarm["presence"] for alarm in again["entries"][patient]["alarms"]] == ["latched"]
    for lost in ({"epoch": "another", "offset": 1}, {"epoch": seen["epoch"], "offset": 10**6}):
        with opened(running, admin) as line:
            fresh = follow(line, "ward/A", since=lost)
            assert not fresh["recovered"]
            assert [alarm["presence"] for alarm in fresh["entries"][patient]["alarms"]] == ["latched"]


def test_a_patient_who_leaves_the_ward_leaves_its_channel(running, admin, patient):
    with opened(running, admin) as line:
        assert patient in follow(line, "ward/A")["entries"]
        admin.patch(f"/v1/patients/{patient}", json={"ward": "B"})
        assert hear(line, "delta", lambda message: message["del"])["del"] == [patient]


def test_a_ticket_opens_one_socket(running, admin):
    ticket = admin.post("/v1/tickets").json()["ticket"]
    with opened(running, admin, ticket) as line:
        hear(line, "result")
    with opened(running, admin, ticket) as line:
        assert ended(line) == 4401


NO_JSON = [
    "not json",
    "",
    '{"type":"subscribe","id":9,',
    '{"type":"dance",',
    '{"id":9,"type":"subscribe","channel":5,',
    '{"type":"subscribe","id":9,"channel":"ward/\\ud800"}',
    "[" * 60_000,
    '{"a":' * 10_000,
    '{"type":"dance","steps":' + "[" * 20_000 + "]" * 20_000 + "}",
    '{"type":"auth","ticket":"x","more":' + "[" * 20_000 + "]" * 20_000 + "}",
    b"\x00bytes",
    b'{"type":"subscribe","id":9,"channel":"ward/*"}',
]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"subscribe","id":1,"channel":"ward/*"}', 4401),
        ('{"type":"auth","ticket":"guessed"}', 4401),
        ('{"type":"auth","ticket":7}', 4400),
        ('{"type":"auth","ticket":"x","id":1e400}', 4400),
        ('{"type":"auth","ticket":"x","id":' + "9" * 5000 + "}", 4400),
        ('{"type":"dance"}', 4400),
        ("[]", 4400),
        ("null", 4400),
        ("x" * 70_000, 1009),
        *((text, 4400) for text in NO_JSON),
    ],
)
def test_a_first_message_that_is_no_good_ends_it(running, caplog, first, code):
    with connect(running.url.replace("http", "ws") + "/ws") as line:
        line.send(first)
        assert ended(line) == code
    assert not caplog.records


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_ends_a_socket_of_somebody_signed_in(running, admin, caplog, text):
    with opened(running, admin) as line:
        hear(line, "result")
        line.send(text)
        assert ended(line) == 4400
    assert not caplog.records


def raw_text(line, content):
    """A text frame with any content (RFC 6455, 5.2), with a mask of zeros."""
    line.socket.sendall(bytes([0x81, 0x80 | len(content)]) + b"\0\0\0\0" + content)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b'{"type":"auth","ticket":"\xff"}', b'{"type":"subscribe\xed\xa0\x80"}']
)
def test_a_text_that_is_not_utf8(running, admin, caplog, content, signed_in):
    with connect(running.url.replace("http", "ws") + "/ws") as line:
        if signed_in:
            say(line, type="auth", ticket=admin.post("/v1/tickets").json()["ticket"], id=1)
            hear(line, "result")
        raw_text(line, content)
        assert ended(line) == 4400
    assert not caplog.records


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_client_that_vanishes_leaves_no_traceback(running, admin, caplog, capfd, signed_in):
    for _ in range(5):
        with connect(running.url.replace("http", "ws") + "/ws") as line:
            if signed_in:
                say(line, type="auth", ticket=admin.post("/v1/tickets").json()["ticket"], id=1)
                say(line, type="subscribe", id=2, channel="ward/*", max_hz=10)
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
            line.socket.close()
    eventually(lambda: admin.get("/metrics").text.count("vitaltwin_websocket_connections 0.0"))
    assert not caplog.records
    assert "Traceback" not in "".join(capfd.readouterr())


def test_another_sites_page_gets_no_socket(running):
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(running.url.replace("http", "ws") + "/ws", origin="http://elsewhere.example"),
    ):
        pass


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "subscribe", "id": 9, "channel": "bed/1"}, "unknown_channel"),
        ({"type": "subscribe", "id": 9, "channel": "patient/nobody"}, "unknown_patient"),
        ({"type": "subscribe", "id": 2, "channel": "ward/*"}, "already"),
        ({"type": "subscribe", "id": 9, "channel": "ward/*", "max_hz": 0}, "malformed"),
        ({"type": "subscribe", "id": 9, "channel": 5}, "malformed"),
        ({"type": "unsubscribe", "id": 9, "sub": 77}, "unknown_sub"),
        ({"type": "auth", "id": 9, "ticket": "x"}, "already"),
        ({"type": "dance", "id": 9}, "unknown_type"),
        ({"type": "subscribe", "id": 2**53, "channel": "ward/*"}, "malformed"),
        ({"type": "subscribe", "id": 10**400, "channel": "ward/*"}, "malformed"),
        ({"type": "subscribe", "id": 9.5, "channel": "ward/*"}, "malformed"),
        ({"type": "subscribe", "id": 9, "channel": "x" * 600}, "malformed"),
        ({"type": "subscribe", "id": 9, "channel": "ward/*", "since": {"epoch": 1, "offset": []}}, "malformed"),
        ({"type": ["subscribe"], "id": 9}, "unknown_type"),
        ({}, "unknown_type"),
        (["no", "object"], "malformed"),
    ],
)
def test_a_wrong_request_is_answered_and_the_socket_goes_on(running, admin, message, reason):
    with opened(running, admin) as line:
        follow(line, "ward/*")
        line.send(json.dumps(message))
        assert hear(line, "error")["reason"] == reason
        say(line, type="unsubscribe", id=3, sub=2)
        assert hear(line, "result")["id"] == 3


def test_a_ward_that_is_not_ones_own_is_not_seen(running, admin, patient):
    person = running.person(f"viewer-{next(_numbers)}", "viewer", wards=("B",))
    with opened(running, person) as line:
        say(line, type="subscribe", id=2, channel="ward/A")
        assert hear(line, "error")["reason"] == "forbidden"
        say(line, type="subscribe", id=3, channel=f"patient/{patient}")
        assert hear(line, "error")["reason"] == "unknown_patient"
        assert patient not in follow(line, "ward/*", sub=4)["entries"]


def test_signing_out_ends_the_socket(running):
    person = running.person(f"leaver-{next(_numbers)}", "viewer")
    with opened(running, person) as line:
        follow(line, "ward/*")
        assert person.delete("/v1/session").status_code == 204
        assert ended(line) == 4401


def test_a_session_that_has_lasted_its_time_ends_the_socket(start, monkeypatch):
    running = start()
    person = running.person("forgetful", "viewer")
    with opened(running, person) as line:
        follow(line, "ward/*")
        sessions = running.accounts._sessions
        monkeypatch.setattr(sessions, "_real", lambda real=sessions._real: real() + LIFETIME_S)
        assert ended(line) == 4401


class Deaf:
    """A client that sends and never reads, like one whose machine sleeps or whose network drops everything."""

    def __init__(self, running, ticket):
        place = urlsplit(running.url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((place.hostname, place.port))
        self._protocol = ClientProtocol(parse_uri(f"ws://{place.netloc}/ws"))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        self._protocol.receive_data(self._socket.recv(4096))
        self.say(type="auth", ticket=ticket, id=1)

    def say(self, **message):
        self._protocol.send_text(json.dumps(message).encode())
        self._flush()

    def _flush(self):
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def close(self):
        self._socket.close()


def test_a_client_that_does_not_read_is_let_go_and_keeps_nobody_waiting(running, admin, patient, observe):
    for _ in range(40):
        admin.post("/v1/patients", json={"id": f"crowd-{next(_numbers)}", "ward": "A", "label": "x" * 100})
    before = slow_clients(admin)
    with opened(running, admin) as brisk, closing(Deaf(running, admin.post("/v1/tickets").json()["ticket"])) as deaf:
        follow(brisk, f"patient/{patient}")
        with suppress(OSError):  # its further requests are not read any more
            for turn in range(100):
                for sub in range(2, 62):
                    deaf.say(type="subscribe", id=turn * 100 + sub, channel="ward/A")
                for sub in range(2, 62):
                    deaf.say(type="unsubscribe", id=sub, sub=turn * 100 + sub)
        eventually(lambda: slow_clients(admin) == before + 1)
        observe(patient, 75.0)
        assert hear(brisk, "delta")["set"][patient]["signals"]["heart_rate"]["v"] == 75.0


def slow_clients(admin):
    """How many connections were closed for being slow, from /metrics."""
    return sum(
        float(line.split()[-1])
        for line in admin.get("/metrics").text.splitlines()
        if "slow" in line and not line.startswith("#")
    )


def events(lines):
    """Server-sent events as (event, id, parsed content); comments are ignored."""
    found = {}
    for line in lines:
        if not line and found:
            if "data" in found:
                yield found.get("event"), found.get("id"), json.loads(found["data"])
            found = {}
        elif line and not line.startswith(":"):
            name, _, text = line.partition(": ")
            found[name] = text


def test_alarms_as_server_sent_events_go_on_where_they_were(running, admin, patient, observe):
    with admin.stream("GET", "/v1/events?ward=A", timeout=15) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = events(answer.iter_lines())
        assert next(stream)[0] == "snapshot"
        observe(patient, 75.0)
        observe(patient, 40.0)
        event, last, alarm = next(stream)
        assert (event, alarm["patient"], alarm["presence"]) == ("alarm", patient, "on")
    observe(patient, 75.0)
    with admin.stream("GET", "/v1/events?ward=A", headers={"Last-Event-ID": last}, timeout=15) as answer:
        event, _, alarm = next(events(answer.iter_lines()))
        assert (event, alarm["patient"], alarm["presence"]) == ("alarm", patient, "latched")
    with admin.stream("GET", "/v1/events?ward=A", headers={"Last-Event-ID": "lost:1"}, timeout=15) as answer:
        event, _, held = next(events(answer.iter_lines()))
        assert event == "snapshot"
        assert (patient, "latched") in {(one["patient"], one["presence"]) for one in held["alarms"]}


def test_events_are_for_those_who_may_read(running):
    assert httpx.get(f"{running.url}/v1/events").status_code == 401
    person = running.person(f"viewer-{next(_numbers)}", "viewer", wards=("B",))
    assert person.get("/v1/events?ward=A").status_code == 403
