import pytest

from api.accounts import errors
from api.accounts.throttle import Throttle


def attempts(throttle, name, address, most=200):
    for count in range(most):
        try:
            throttle.attempt(name, address)
        except errors.TooManyAttempts:
            return count
    return most


def test_a_name_from_one_address():
    throttle = Throttle()
    assert attempts(throttle, "ada", "192.0.2.1") == 5
    assert attempts(throttle, "ada", "192.0.2.2") == 5
    assert attempts(throttle, "bob", "192.0.2.1") == 5


def test_many_names_from_one_address():
    throttle = Throttle(per_address="10/minute")
    assert sum(attempts(throttle, f"name{count}", "192.0.2.1", most=1) for count in range(30)) == 10


def test_one_name_from_many_addresses():
    throttle = Throttle(per_name="10/minute")
    assert sum(attempts(throttle, "ada", f"192.0.2.{count}", most=1) for count in range(30)) == 10


def test_one_network_of_addresses_counts_as_one():
    throttle = Throttle()
    assert sum(attempts(throttle, "ada", f"2001:db8::{count:x}", most=1) for count in range(30)) == 5
    assert attempts(throttle, "ada", "2001:db8:0:1::1") == 5
    assert attempts(throttle, "ada", "::ffff:192.0.2.1") == 5
    assert attempts(throttle, "ada", "192.0.2.1") == 0


def test_success_clears_the_pair():
    throttle = Throttle()
    attempts(throttle, "ada", "192.0.2.1")
    throttle.succeeded("ada", "192.0.2.1")
    assert attempts(throttle, "ada", "192.0.2.1") == 5


def test_the_longest_wait_is_told():
    throttle = Throttle(per_pair="1/minute")
    throttle.attempt("ada", "not an address " * 100)
    with pytest.raises(errors.TooManyAttempts) as refused:
        throttle.attempt("ada", "not an address " * 100)
    assert 50 < refused.value.retry_after <= 61
