"""Requests of nobody known are begun at a pace; a good key or session never waits for them."""

import threading
import time

import httpx
import pytest

from api.http.strangers import BURST_S, LONGEST_S, Strangers

RATE = 2.0


@pytest.fixture
def paced(start):
    """A service that begins two requests of a stranger a second."""
    running = start(stranger_requests_per_second=RATE)
    running.device().post("/v1/observations", json=[running.reading()])
    return running


def flood(running, count, **headers):
    """What so many requests at once are answered, each on a connection of its own."""
    found = []

    def ask():
        found.append(httpx.get(running.url + "/sign-in", timeout=60, headers=headers).status_code)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer vt_none"}, {"Cookie": "vitaltwin_session=none"}])
def test_who_shows_nothing_good_takes_turns(paced, headers):
    began = time.monotonic()
    statuses = flood(paced, 30, **headers)
    assert set(statuses) == {200, 429}
    # What had been saved up, what came due meanwhile, and those that waited: no more were begun.
    assert statuses.count(200) <= RATE * (BURST_S + LONGEST_S + time.monotonic() - began) + 2


def test_who_is_known_does_not_wait(paced):
    """However many strangers wait at the same address: a wait would be answered with 429 here."""
    device, person = paced.device(), paced.person("root", "admin")
    assert person.get("/v1/session").status_code == 200
    waiting = threading.Thread(target=flood, args=(paced, 30))
    waiting.start()
    for _ in range(40):
        assert device.post("/v1/observations", json=[paced.reading()]).status_code == 200
        assert person.get("/v1/patients").status_code == 200
    waiting.join()


def test_each_address_waits_for_itself():
    strangers = Strangers(None, None, RATE, "cookie")  # only the turns are asked for
    assert [strangers._place("198.51.100.1") for _ in range(int(RATE * BURST_S))] == pytest.approx(
        [-2, -1.5, -1, -0.5], abs=0.2
    )
    assert strangers._place("198.51.100.1") == pytest.approx(0.0, abs=0.2)
    assert strangers._place("198.51.100.1") > 0.2
    assert strangers._place("198.51.100.2") < 0


def test_who_would_wait_for_too_long_takes_no_turn():
    strangers = Strangers(None, None, RATE, "cookie")
    waits = [strangers._place("198.51.100.1") for _ in range(1000)]
    assert max(waits) < LONGEST_S + 1 / RATE + 0.1
