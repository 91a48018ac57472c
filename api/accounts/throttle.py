"""Slows down the guessing of passwords and links, without locking out the people who know them.

Only wrong attempts count, so any number of people may sign in through one address. A browser that has signed in to an
account before (`browsers.py`) has its own budget for that account: however many guesses others make, it can still sign in
with the right password. All other browsers share the budgets of the address and of the name.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from api.accounts.errors import TooManyAttempts
from api.http.windows import Rate, Windows

PER_PAIR: Sequence[Rate] = ((5, 60), (20, 3600))
"""Wrong attempts at one name from one address: enough for typing errors."""
PER_BROWSER: Sequence[Rate] = ((10, 60), (50, 3600))
"""Wrong attempts at one name from a browser that has signed in under it before."""
PER_ADDRESS: Sequence[Rate] = ((60, 300),)
"""Wrong attempts at any names or links from one address, which may be a whole hospital behind one router."""
PER_NAME: Sequence[Rate] = ((100, 3600),)
"""Wrong attempts at one name from all addresses where it has not signed in: against guessing from many addresses."""
WAITING = 100
"""How many attempts from one address may wait for their password to be checked."""
_PLACES = 8
"""How many addresses are remembered for each name that has signed in."""


class Throttle:
    """Counts wrong attempts in memory, per process. The windows use monotonic time, so clock corrections have no effect."""

    def __init__(
        self,
        *,
        per_pair: Sequence[Rate] = PER_PAIR,
        per_browser: Sequence[Rate] = PER_BROWSER,
        per_address: Sequence[Rate] = PER_ADDRESS,
        per_name: Sequence[Rate] = PER_NAME,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pairs = Windows(per_pair, now)
        self._browsers = Windows(per_browser, now)
        self._addresses = Windows(per_address, now)
        self._names = Windows(per_name, now)
        self._usual: dict[str, list[str]] = {}
        self._waiting: dict[str, int] = {}

    def check(self, name: str, address: str, browser: str = "") -> None:
        """Allow an attempt, or raise `TooManyAttempts` with the seconds to wait. A refused attempt does not prolong the wait.

        `browser` is the number of a browser that has signed in as `name` before, else empty.
        """
        wait = max(windows.wait(key) for windows, key in self._budgets(name, network(address), browser))
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed(self, name: str, address: str, browser: str = "") -> None:
        """Count a wrong attempt."""
        for windows, key in self._budgets(name, network(address), browser):
            windows.add(key)

    def succeeded(self, name: str, address: str, browser: str = "") -> None:
        """Forget the wrong attempts before a right password, and remember the address."""
        place = network(address)
        if browser:
            self._browsers.clear((name, browser))
        else:
            self._pairs.clear((name, place))
        if address:
            usual = [each for each in self._usual.get(name, ()) if each != place]
            self._usual[name] = [*usual, place][-_PLACES:]

    def check_link(self, address: str) -> None:
        """Allow an attempt with a one-time link, or raise `TooManyAttempts`."""
        wait = self._addresses.wait(("link", network(address)))
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed_link(self, address: str) -> None:
        """Count an invalid link."""
        self._addresses.add(("link", network(address)))

    @contextmanager
    def queued(self, address: str, browser: str = "") -> Iterator[None]:
        """Hold a place in the queue; raises `TooManyAttempts` when the address has used all its places."""
        if browser:
            yield
            return
        place = network(address)
        if self._waiting.get(place, 0) >= WAITING:
            raise TooManyAttempts(2)
        self._waiting[place] = self._waiting.get(place, 0) + 1
        try:
            yield
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]

    def sweep(self) -> None:
        """Forget attempts outside all windows."""
        for windows in (self._pairs, self._browsers, self._addresses, self._names):
            windows.sweep()

    def _budgets(self, name: str, place: str, browser: str) -> list[tuple[Windows, tuple[str, ...]]]:
        if browser:
            return [(self._browsers, (name, browser))]
        budgets: list[tuple[Windows, tuple[str, ...]]] = [
            (self._pairs, (name, place)),
            (self._addresses, ("password", place)),
        ]
        if place not in self._usual.get(name, ()):
            budgets.append((self._names, (name,)))
        return budgets


def network(address: str) -> str:
    """The address that is counted: of IPv6 the /64 network, because one customer has a whole /64.

    >>> network("2001:db8::1:2"), network("192.0.2.7"), network("unix")
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
