"""Invalid input: status, reason and position of each, valid neighbours accepted, a dead letter stored, service still alive."""

import asyncio
import gzip
import json
import math

import msgspec
import numpy as np
import pytest

from streams.errors import LogUnavailable, Overloaded
from streams.log.frame import encode_frame
from twins.records import Columns

FRAME = "application/vnd.vitaltwin.frame+msgpack"


@pytest.fixture(autouse=True)
def _still_answers(running, device):
    yield
    assert device.post("/v1/observations", json=running.reading()).json()["taken"] == 1
    assert device.get("/health/ready").json()["ready"] is True


def send(client, content, kind="application/json", **headers):
    return client.post("/v1/observations", content=content, headers={"Content-Type": kind, **headers})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": math.nan}, "not_finite"),
        ({"value": math.inf}, "not_finite"),
        ({"value": "72"}, "wrong_type"),
        ({"signal": "mood"}, "unknown_signal"),
        ({"unit": "furlong"}, "unknown_unit"),
        ({"patient": ""}, "bad_patient_id"),
        ({"patient": "x" * 129}, "bad_patient_id"),
        ({"patient": " p"}, "bad_patient_id"),
        ({"patient": "a\x00b"}, "bad_patient_id"),
        ({"patient": "a/b"}, "bad_patient_id"),
        ({"time": "2026-01-01T00:00:00"}, "time_without_zone"),
        ({"time": "1970-01-01T00:00:00Z"}, "time_too_old"),
        ({"time": "next week"}, "time_unreadable"),
    ],
)
def test_one_bad_entry_in_json(running, device, change, reason):
    entries = [running.reading(value=71.0), running.reading(**change), running.reading(value=73.0)]
    answer = send(device, json.dumps(entries).encode())
    assert answer.status_code == 200
    told = answer.json()
    assert (told["taken"], told["refused"]) == (2, 1)
    assert (told["errors"][0]["index"], told["errors"][0]["reason"]) == (1, reason)
    assert told["errors"][0]["detail"]
    letter = running.letters(1)[0]
    assert (letter.reason, letter.where, letter.source) == (reason, "entry 1", "monitor")
    assert letter.body


def test_next_week(running, device):
    answer = device.post("/v1/observations", json=[running.reading(), running.reading(time=running.now(7 * 86_400))])
    assert answer.json()["taken"] == 1
    assert answer.json()["errors"][0]["reason"] == "time_in_future"


def test_an_hour_out_of_order_is_taken(running, device):
    newer, older = running.reading(patient="late"), running.reading(patient="late", time=running.now(-3600))
    assert device.post("/v1/observations", json=[newer]).json()["taken"] == 1
    assert device.post("/v1/observations", json=[older]).json()["taken"] == 1


def test_the_same_reading_twice_is_taken_and_counts_once(running, device, admin):
    reading = running.reading(patient="twice")
    for _ in range(3):
        assert device.post("/v1/observations", json=[reading, reading]).json()["taken"] == 2
    running.call(_settled(running))
    history = admin.get("/v1/patients/twice/history", params={"signal": "heart_rate"}).json()
    assert history["value"] == [72.0]


async def _settled(running):
    for _ in range(500):
        if running.service.counters()["worker_lag_readings"] == 0:
            return
        await asyncio.sleep(0.01)


def test_nothing_taken_is_a_problem_with_the_counts(running, device):
    answer = device.post("/v1/observations", json=[running.reading(signal="mood")] * 2)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == "/problems/nothing-taken"
    assert (told["taken"], told["refused"], len(told["errors"])) == (0, 2, 2)


def test_more_refused_than_are_told(running, device):
    answer = send(device, b"[" + b"1," * 4999 + json.dumps(running.reading()).encode() + b"]").json()
    assert (answer["taken"], answer["refused"], len(answer["errors"])) == (1, 4999, 1000)
    newest = running.letters(1)[0]
    assert newest.reason == "and_more"
    assert msgspec.json.decode(newest.body) == {"not_an_object": 4999}


WHOLE = [
    (b"[1", "application/json", {}, 400, "malformed_json"),
    (b'{"a":' * 200_000, "application/json", {}, 400, "too_deep"),
    (b"[" * 500_000, "application/json", {}, 400, "too_deep"),
    (b'{"patient":"p\xff"', "application/json", {}, 400, None),
    (b"\xff\xfe\x00", "application/json", {}, 400, None),
    (b"not gzip", "application/json", {"Content-Encoding": "gzip"}, 400, "malformed_gzip"),
    (
        gzip.compress(b"[]" * 1000, mtime=0)[:-12],
        "application/json",
        {"Content-Encoding": "gzip"},
        400,
        "malformed_gzip",
    ),
    (b"[]", "application/json", {"Content-Encoding": "br"}, 415, "unsupported_media_type"),
    (b"<xml/>", "application/xml", {}, 415, "unsupported_media_type"),
    (b"\x85\xa4type", FRAME, {}, 400, "malformed_frame"),
    (b"", FRAME, {}, 400, "malformed_frame"),
    (b"\x91" * 100_000, FRAME, {}, 400, "malformed_frame"),
]


@pytest.mark.parametrize(("content", "kind", "headers", "status", "reason"), WHOLE)
def test_a_body_that_cannot_be_read(running, device, content, kind, headers, status, reason):
    answer = send(device, content, kind, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["detail"]
    letter = running.letters(1)[0]
    assert letter.body == content[: 64 << 10]
    if reason:
        assert letter.reason == reason
    if status == 400:
        assert told["errors"][0]["field"] == letter.where


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_hundred_megabytes(running, device, encoding):
    body = b"[" + b" " * 100_000_000 + b"]"
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    answer = send(device, gzip.compress(body, 1) if encoding else body, **headers)
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/body-too-large"
    assert running.letters(1)[0].reason == "body_too_large"


def test_a_hundred_megabytes_that_do_not_say_so(running, device):
    sent = 0

    def pieces():
        nonlocal sent
        for _ in range(1600):
            sent += 1 << 16
            yield b" " * (1 << 16)

    answer = send(device, pieces())
    assert answer.status_code == 413
    assert sent < 60_000_000  # the refusal came early
    assert len(running.letters(1)[0].body) == 64 << 10


def test_every_cut_of_a_frame(running, device):
    whole = encode_frame(
        Columns(["p1"], np.zeros(3, "u4"), np.zeros(3, "u2"), np.full(3, running.service.clock.now()), np.full(3, 70.0))
    )
    for length in range(0, len(whole), 7):
        answer = send(device, whole[:length], FRAME)
        assert answer.status_code == 400, length
        assert answer.json()["errors"][0]["reason"] == "malformed_frame"
    assert send(device, whole, FRAME).json()["taken"] == 3


@pytest.mark.parametrize("column", ["patient", "signal", "time", "value"])
def test_columns_of_unequal_length(running, device, column):
    columns = {"patient": b"\0" * 8, "signal": b"\0" * 4, "time": b"\0" * 16, "value": b"\0" * 16}
    columns[column] = columns[column][: len(columns[column]) // 2]
    body = msgspec.msgpack.encode({"type": "frame", "version": 1, "patients": ["p1"], **columns})
    answer = send(device, body, FRAME)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["reason"] == "malformed_frame"
    assert running.letters(1)[0].body == body


def test_bad_rows_of_a_frame(running, device):
    now = running.service.clock.now()
    week = 8 * 86_400_000_000
    body = encode_frame(
        Columns(
            ["p1", " bad"],
            np.array([0, 0, 0, 0, 0, 7, 1, 0], "u4"),
            np.array([0, 0, 99, 0, 0, 0, 0, 0], "u2"),
            np.array([now, now, now, now + week, now - week, now, now, now]),
            np.array([70, np.nan, 70, 70, 70, 70, 70, -np.inf]),
        )
    )
    answer = send(device, body, FRAME).json()
    assert (answer["taken"], answer["refused"]) == (1, 7)
    assert {one["index"]: one["reason"] for one in answer["errors"]} == {
        1: "not_finite",
        2: "unknown_signal",
        3: "time_in_future",
        4: "time_too_old",
        5: "malformed_frame",
        6: "bad_patient_id",
        7: "not_finite",
    }
    assert [one["index"] for one in answer["errors"]] == list(range(1, 8))
    assert len({letter.where for letter in running.letters(7)}) == 7


@pytest.mark.slow
def test_a_million_patients_in_one_frame(start):
    running = start(max_new_patients_per_request=500)
    device = running.device()
    count = 1_000_000
    names = [f"m{n}" for n in range(count)]
    body = encode_frame(
        Columns(
            names,
            np.arange(count, dtype="u4"),
            np.zeros(count, "u2"),
            np.full(count, running.service.clock.now()),
            np.full(count, 70.0),
        )
    )
    answer = send(device, gzip.compress(body, 1), FRAME, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["taken"], told["refused"]) == (500, count - 500)
    assert {one["reason"] for one in told["errors"]} == {"too_many_new_patients"}
    assert len(running.service.registry) == 500


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (LogUnavailable("database or disk is full"), 507, "storage-full"),
        (LogUnavailable("attempt to write a readonly database"), 503, "log-unavailable"),
        (Overloaded(3.0), 503, "overloaded"),
    ],
)
def test_what_cannot_be_kept_is_not_acknowledged(running, device, monkeypatch, error, status, slug):
    async def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(running.service, "observe", fail)
        answer = device.post("/v1/observations", json=[running.reading(), running.reading(signal="mood")])
    assert answer.status_code == status
    assert answer.json()["type"] == f"/problems/{slug}"
    assert int(answer.headers["retry-after"]) >= 1
