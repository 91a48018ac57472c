"""The rate of requests from unknown clients is limited; a valid key or session never waits for them."""

import threading
import time

import httpx
import pytest

from api.http.strangers import BURST_S, LONGEST_S, Strangers

RATE = 2.0


@pytest.fixture
def paced(start):
    """A service that allows two requests a second from unknown clients."""
    running = start(stranger_requests_per_second=RATE)
    running.device().post("/v1/observations", json=[running.reading()])
    return running


def flood(running, count, **headers):
    """The answers to several simultaneous requests, each on its own connection."""
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
    # Not more than the burst, the requests due meanwhile, and the waiting ones were begun.
    assert statuses.count(200) <= RATE * (BURST_S + LONGEST_S + time.monotonic() - began) + 2


def test_who_is_known_does_not_wait(paced):
    """However many unknown clients wait at the same address: a wait would end with 429 here."""
    device, person = paced.device(), paced.person("root", "admin")
    assert person.get("/v1/session").status_code == 200
    waiting = threading.Thread(target=flood, args=(paced, 30))
    waiting.start()
    for _ in range(40):
        assert device.post("/v1/observations", json=[paced.reading()]).status_code == 200
        assert person.get("/v1/patients").status_code == 200
    waiting.join()


def test_each_address_waits_for_itself():
    strangers = Strangers(None, None, RATE, "cookie")  # only the turns are computed
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
