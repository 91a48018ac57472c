import pytest

from api.accounts import errors
from api.accounts.throttle import WAITING, Throttle

BROWSER = "00" * 16


class Seconds:
    """Monotonic seconds, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def tries(throttle, name, address, most=200, browser=""):
    """How many wrong attempts are allowed until one is refused."""
    for count in range(most):
        try:
            throttle.check(name, address, browser)
        except errors.TooManyAttempts:
            return count
        throttle.failed(name, address, browser)
    return most


def test_a_name_from_one_address():
    throttle = Throttle()
    assert tries(throttle, "ada", "192.0.2.1") == 5
    assert tries(throttle, "ada", "192.0.2.2") == 5
    assert tries(throttle, "bob", "192.0.2.1") == 5


def test_many_names_from_one_address():
    throttle = Throttle(per_address=[(10, 60)])
    assert sum(tries(throttle, f"name{count}", "192.0.2.1", most=1) for count in range(30)) == 10


def test_one_name_from_many_addresses():
    throttle = Throttle(per_name=[(10, 60)])
    assert sum(tries(throttle, "ada", f"192.0.2.{count}", most=1) for count in range(30)) == 10


def test_one_network_of_addresses_counts_as_one():
    throttle = Throttle()
    assert sum(tries(throttle, "ada", f"2001:db8::{count:x}", most=1) for count in range(30)) == 5
    assert tries(throttle, "ada", "2001:db8:0:1::1") == 5
    assert tries(throttle, "ada", "::ffff:192.0.2.1") == 5
    assert tries(throttle, "ada", "192.0.2.1") == 0


def test_success_clears_the_pair():
    throttle = Throttle()
    tries(throttle, "ada", "192.0.2.1")
    throttle.succeeded("ada", "192.0.2.1")
    assert tries(throttle, "ada", "192.0.2.1") == 5


def test_what_strangers_try_takes_nothing_from_a_browser_that_is_known():
    throttle = Throttle()
    for count in range(20):
        assert tries(throttle, "ada", f"192.0.2.{count}") == 5
    throttle.check("ada", "192.0.2.1", BROWSER)
    assert tries(throttle, "ada", "192.0.2.1", browser=BROWSER) == 10
    throttle.check("ada", "192.0.2.1", "11" * 16)


def test_an_address_one_has_signed_in_from_is_not_locked_by_the_others():
    throttle = Throttle()
    throttle.succeeded("ada", "198.51.100.7")
    for count in range(30):
        tries(throttle, "ada", f"192.0.2.{count}")
    with pytest.raises(errors.TooManyAttempts):
        throttle.check("ada", "203.0.113.1")
    throttle.check("ada", "198.51.100.7")


def test_good_ones_never_count():
    throttle = Throttle()
    for count in range(500):
        throttle.check(f"name{count}", "192.0.2.1")
        throttle.succeeded(f"name{count}", "192.0.2.1")
        throttle.check("ada", "192.0.2.1")
        throttle.succeeded("ada", "192.0.2.1")


def test_links_are_guessed_slowly_too_and_apart_from_passwords():
    throttle = Throttle(per_address=[(10, 60)])
    for _ in range(10):
        throttle.check_link("192.0.2.1")
        throttle.failed_link("192.0.2.1")
    with pytest.raises(errors.TooManyAttempts):
        throttle.check_link("192.0.2.1")
    throttle.check_link("192.0.2.2")
    throttle.check("ada", "192.0.2.1")


def test_the_longest_wait_is_told_and_passes():
    seconds = Seconds()
    throttle = Throttle(per_pair=[(2, 60), (3, 3600)], now=seconds)
    assert tries(throttle, "ada", "not an address " * 100) == 2
    with pytest.raises(errors.TooManyAttempts) as refused:
        throttle.check("ada", "not an address " * 100)
    assert refused.value.retry_after == 60
    seconds.now += 60
    assert tries(throttle, "ada", "not an address " * 100) == 1
    with pytest.raises(errors.TooManyAttempts) as refused:
        throttle.check("ada", "not an address " * 100)
    assert refused.value.retry_after == 3600 - 60


def test_one_address_cannot_have_the_whole_queue():
    throttle = Throttle()
    places = [throttle.queued("192.0.2.1") for _ in range(WAITING)]
    for place in places:
        place.__enter__()
    with pytest.raises(errors.TooManyAttempts), throttle.queued("192.0.2.1"):
        pass
    with throttle.queued("192.0.2.2"), throttle.queued("192.0.2.1", BROWSER):
        pass
    for place in places:
        place.__exit__(None, None, None)
    with throttle.queued("192.0.2.1"):
        pass


def test_what_is_over_takes_no_memory():
    seconds = Seconds()
    throttle = Throttle(now=seconds)
    for count in range(100):
        tries(throttle, f"name{count}", f"192.0.2.{count}")
    seconds.now += 3600
    throttle.sweep()
    assert [len(windows) for windows in (throttle._pairs, throttle._addresses, throttle._names)] == [0, 0, 0]
