"""Slows down the guessing of passwords, per name and address."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Sequence

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from api.accounts.errors import TooManyAttempts

PER_PAIR = "5/minute;20/hour"
"""One name from one address: what a person mistyping needs."""
PER_ADDRESS = "60/5minutes"
"""Any names from one address, which may be a whole hospital behind one router."""
PER_NAME = "100/hour"
"""One name from anywhere.

Against guessing from many addresses, wide enough that a stranger hardly locks a nurse out.
"""


class Throttle:
    """Counts sign-in attempts in this process's memory; the windows move in real time."""

    def __init__(self, per_pair: str = PER_PAIR, per_address: str = PER_ADDRESS, per_name: str = PER_NAME) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_pair = parse_many(per_pair)
        self._per_address = parse_many(per_address)
        self._per_name = parse_many(per_name)

    def attempt(self, name: str, address: str) -> None:
        """Count an attempt.

        Raises `TooManyAttempts` with the seconds to wait. Attempts that are refused do not prolong the wait.
        """
        rules = self._rules(name, _network(address))
        for item, key in rules:
            if not self._limiter.test(item, *key):
                reset = self._limiter.get_window_stats(item, *key).reset_time
                wait = reset - time.time()  # noqa: TID251  the library's windows are on the wall clock
                raise TooManyAttempts(max(1, math.ceil(wait)))
        for item, key in rules:
            self._limiter.hit(item, *key)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the attempts of a person who did know the password."""
        for item in self._per_pair:
            self._limiter.clear(item, "pair", name, _network(address))

    def _rules(self, name: str, network: str) -> Sequence[tuple[RateLimitItem, tuple[str, ...]]]:
        return [
            *((item, ("pair", name, network)) for item in self._per_pair),
            *((item, ("address", network)) for item in self._per_address),
            *((item, ("name", name)) for item in self._per_name),
        ]


def _network(address: str) -> str:
    """One IPv6 customer holds a whole /64, so that is what counts as an address.

    >>> _network("2001:db8::1:2"), _network("192.0.2.7"), _network("unix")
    ('2001:db8::/64', '192.0.2.7', 'unix')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
