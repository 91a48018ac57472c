"""Work for one sender must not delay others: invalid entries, dead letters, passwords, unread answers."""

import asyncio
import os
import sys
import threading
import time
from collections import Counter

import pytest
from argon2 import PasswordHasher

from api.accounts.passwords import Passwords
from api.http import offload as beside
from api.http.offload import Pace
from api.intake.dead_letters import A_MINUTE
from api.intake.entries import read_json
from api.live import outbox
from api.live.outbox import Closed, Outbox


@pytest.fixture
def rests(monkeypatch):
    """The rests of threads, in seconds."""
    found = []
    monkeypatch.setattr(beside.time, "sleep", found.append)
    return found


def test_a_thread_rests_longer_than_it_works(rests):
    pace = Pace()
    began = time.thread_time()
    while time.thread_time() - began < 0.2:
        pace.breathe()
    assert len(rests) > 20
    assert sum(rests) > 0.4


def test_bad_entries_are_read_with_rests_and_good_ones_without(monkeypatch):
    breaths = []
    monkeypatch.setattr(Pace, "breathe", lambda _: breaths.append(1))
    good = b'{"patient":"p","signal":"heart_rate","time":"2026-01-01T00:00:00Z","value":72}'
    batch = read_json(b"[" + b",".join([good] * 5000) + b"]")
    assert (len(batch), len(breaths)) == (5000, 0)
    batch = read_json(b"[" + b",".join([b"1"] * 5000) + b"]")
    assert (len(batch), len(batch.refusals)) == (0, 5000)
    assert len(breaths) >= 5


def test_letters_of_one_sender_are_bounded_and_the_rest_are_counted(start):
    running = start()
    device, other = running.device(), running.client()
    bodies = A_MINUTE // 1000
    for _ in range(bodies + 2):
        answer = device.post("/v1/observations", json=[1] * 1000)
        assert answer.json()["refused"] == 1000
        assert len(answer.json()["errors"]) == 1000
    letters = Counter(letter.reason for letter in running.letters(20_000))
    assert letters == {"not_an_object": A_MINUTE, "and_more": 2}
    assert b'"not_an_object":1000' in running.letters(1)[0].body
    other.headers["Authorization"] = device.headers["Authorization"]
    person = running.person("root", "admin")
    assert person.post("/v1/observations", json=[1]).status_code == 422
    assert running.letters(1)[0].reason == "not_an_object"  # of another sender


class Watched(PasswordHasher):
    """Records the thread priority and the number of simultaneous calls."""

    def __init__(self):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.now = self.most = 0
        self.nice = set()

    def hash(self, password, **more):
        self.now += 1
        self.most = max(self.most, self.now)
        if sys.platform == "linux":
            self.nice.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        time.sleep(0.01)
        found = super().hash(password, **more)
        self.now -= 1
        return found


@pytest.mark.asyncio
async def test_passwords_are_hashed_one_at_a_time_and_stand_back():
    hasher = Watched()
    passwords = Passwords(hasher)
    await asyncio.gather(*(passwords.hash(f"password {number}") for number in range(10)))
    assert hasher.most == 1
    if sys.platform == "linux":
        ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert min(hasher.nice) > min(ours, 9)


@pytest.mark.asyncio
async def test_who_takes_nothing_of_what_was_asked_for_gets_no_more(monkeypatch):
    monkeypatch.setattr(outbox, "_PATIENCE_S", 0.1)
    box = Outbox(1 << 20)
    box.put("x", 100_000)
    with pytest.raises(Closed, match="4408"):
        await box.eased()
    assert box.slow


@pytest.mark.asyncio
async def test_who_takes_what_was_asked_for_goes_on():
    box = Outbox(1 << 20)
    for _ in range(4):
        box.put("x", 50_000)
    waiting = asyncio.create_task(box.eased())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    for _ in range(3):
        await box.take()
    await waiting
    assert box.closed is None
