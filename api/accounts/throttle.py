"""Slows down the guessing of passwords and links, without locking out who knows them.

Only wrong tries count, so any number of people may sign in through one address. A browser that has signed in as an
account before (`browsers.py`) has a budget of its own there: whatever strangers try, from however many addresses, it
still gets in with the right password. Everybody else shares the budgets of the address and of the name.
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
"""Wrong tries at one name from one address: what a person mistyping needs."""
PER_BROWSER: Sequence[Rate] = ((10, 60), (50, 3600))
"""Wrong tries at one name from a browser that has signed in under it before."""
PER_ADDRESS: Sequence[Rate] = ((60, 300),)
"""Wrong tries at any names, or with any links, from one address, which may be a whole hospital behind one router."""
PER_NAME: Sequence[Rate] = ((100, 3600),)
"""Wrong tries at one name from all addresses it has not signed in from: against guessing from many at once."""
WAITING = 100
"""Most tries from one address that wait for their password to be looked at."""
_PLACES = 8
"""Addresses remembered for each name it has signed in from."""


class Throttle:
    """Counts wrong tries in this process's memory; the windows move in real time that no clock correction touches."""

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
        """Let a try pass; raises `TooManyAttempts` with the seconds to wait. What is refused does not prolong the wait.

        `browser` is that of a browser known to have signed in as `name`, empty for all others.
        """
        wait = max(windows.wait(key) for windows, key in self._budgets(name, network(address), browser))
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed(self, name: str, address: str, browser: str = "") -> None:
        """Count a wrong try."""
        for windows, key in self._budgets(name, network(address), browser):
            windows.add(key)

    def succeeded(self, name: str, address: str, browser: str = "") -> None:
        """Forget the wrong tries of who did know the password, and remember where from."""
        place = network(address)
        if browser:
            self._browsers.clear((name, browser))
        else:
            self._pairs.clear((name, place))
        if address:
            usual = [each for each in self._usual.get(name, ()) if each != place]
            self._usual[name] = [*usual, place][-_PLACES:]

    def check_link(self, address: str) -> None:
        """Let a try with a one-time link pass; raises `TooManyAttempts`."""
        wait = self._addresses.wait(("link", network(address)))
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed_link(self, address: str) -> None:
        """Count a link that was none."""
        self._addresses.add(("link", network(address)))

    @contextmanager
    def queued(self, address: str, browser: str = "") -> Iterator[None]:
        """Hold a place among those who wait; raises `TooManyAttempts` when one address has them all."""
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
        """Let go of what no window holds any more."""
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
    """One IPv6 customer holds a whole /64, so that is what counts as an address.

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
