"""The connections of one server: how many there may be, and how long one may keep it waiting.

A connection that is *waiting* has not yet said what it wants: it is new, idle between two requests, or in the middle of
a head or a body. Of those an address may have a number; the one that has waited longest goes when there is one more, so that
a thousand half requests keep nobody out. A connection that takes nothing of what it is sent goes after a time too,
whatever it is for.
"""

import asyncio
from collections import OrderedDict
from enum import IntEnum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Protocol

from streams.settings import Settings

__all__ = ["Connection", "Connections", "Phase"]

_LOOK_EVERY_S = 1.0
_SLICE = 500
CLOSING_S = 5.0
"""A connection that was closed gets so long to take what was still to be sent."""
BODY_S, BODY_RATE = 20.0, 4096.0
"""A body may take so many seconds, and one more for as many bytes as came of it."""


class Phase(IntEnum):
    """What a connection is doing."""

    HEAD = 0
    """It is new, or in the middle of a request's head."""
    BODY = 1
    SERVED = 2
    """A request is complete and being answered, or the connection is a signed-in socket."""
    IDLE = 3
    """It was answered and may ask again."""


class Connection(Protocol):
    """What is asked of a protocol that takes part."""

    phase: Phase
    began: float
    """When the phase began, on the loop's clock."""
    stalled: float
    """Since when it takes nothing of what it is sent; 0 while it does."""
    closing: float
    """Since when it has been closing, 0 while it is not."""
    transport: asyncio.Transport
    client: tuple[str, int] | None
    place: str
    """Where it comes from, as the register counts it."""

    def overdue(self, now: float) -> bool:
        """Whether it has kept the server waiting for too long."""

    def turn_away(self, slug: str) -> None:
        """Answer with this problem, if nothing was answered yet, and close."""


class Connections:
    """The register of one server; for one event loop."""

    def __init__(self, settings: Settings, most: int = 0) -> None:
        self.head_s = settings.head_seconds
        self.stall_s = settings.stall_seconds
        self.head_bytes = settings.max_head_bytes
        self.headers = settings.max_headers
        self.evicted = self.refused = self.overdue = self.stalled = 0
        self._most = min(settings.max_connections, most or settings.max_connections)
        self._waiting_most = settings.max_waiting_connections
        self._exempt = [ip_network(proxy) for proxy in getattr(settings, "trusted_proxies", ())]
        self._all: set[Connection] = set()
        self._waiting: dict[str, tuple[OrderedDict[Connection, None], OrderedDict[Connection, None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    # -- what a connection tells ---------------------------------------------------------------------------------

    def enter(self, connection: Connection) -> bool:
        """Take in a new connection; another has to go if there are too many, or, where none can, this one."""
        self._all.add(connection)
        connection.place = _place(connection.client[0]) if connection.client else ""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)
        self.wait(connection)
        if len(self._all) <= self._most:
            return True
        crowd = max(self._waiting.values(), key=lambda batches: len(batches[0]) + len(batches[1]), default=None)
        victim = _oldest(crowd, but=connection) if crowd else None
        if victim is None:
            self.refused += 1
            connection.turn_away("too-many-connections")
            return False
        self._evict(victim)
        return True

    def wait(self, connection: Connection) -> None:
        """It is its turn to say something."""
        batches = self._waiting.setdefault(connection.place, (OrderedDict(), OrderedDict()))
        idle = connection.phase == Phase.IDLE
        batches[not idle].pop(connection, None)
        batch = batches[idle]
        batch[connection] = None
        batch.move_to_end(connection)
        if len(batches[0]) + len(batches[1]) > self._waiting_most and not self._is_proxy(connection):
            victim = _oldest(batches, but=connection)
            if victim is not None:
                self._evict(victim)

    def go_on(self, connection: Connection) -> None:
        """It has said what it wants."""
        batches = self._waiting.get(connection.place)
        if batches is not None:
            batches[0].pop(connection, None)
            batches[1].pop(connection, None)
            if not batches[0] and not batches[1]:
                del self._waiting[connection.place]

    def leave(self, connection: Connection) -> None:
        """It is gone, or has become another's."""
        self._all.discard(connection)
        self.go_on(connection)

    def counters(self) -> dict[str, int]:
        """Figures for /metrics."""
        return {
            "open": len(self._all),
            "evicted": self.evicted,
            "refused": self.refused,
            "overdue": self.overdue,
            "stalled": self.stalled,
        }

    # -- what is looked after ------------------------------------------------------------------------------------

    def _is_proxy(self, connection: Connection) -> bool:
        """A proxy that was named stands for many; how many each of them may have is for the proxy to say."""
        if not self._exempt or not connection.client:
            return False
        return any(ip_address(connection.client[0]) in proxy for proxy in self._exempt)

    def _evict(self, victim: Connection) -> None:
        self.evicted += 1
        self.go_on(victim)
        victim.turn_away("too-many-connections")

    def _look(self) -> None:
        """Let go of those that are overdue, a slice at a time."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_EVERY_S, self._look) if self._all else None
        found = list(self._all)
        for start in range(0, len(found), _SLICE):
            loop.call_soon(self._look_at, found[start : start + _SLICE])

    def _look_at(self, some: list[Connection]) -> None:
        now = asyncio.get_running_loop().time()
        for connection in some:
            if connection not in self._all:
                continue
            if connection.transport.is_closing():
                connection.closing = connection.closing or now
                if now - connection.closing > CLOSING_S:
                    self.stalled += 1
                    connection.transport.abort()
            elif connection.stalled and now - connection.stalled > self.stall_s:
                self.stalled += 1
                connection.transport.abort()
            elif connection.overdue(now):
                self.overdue += 1
                connection.turn_away("request-timeout")


def _place(address: str) -> str:
    """An address, of IPv6 the network that one subscriber has.

    >>> _place("10.0.0.7"), _place("2001:db8::1:2"), _place("::ffff:10.0.0.7")
    ('10.0.0.7', '2001:db8::/64', '10.0.0.7')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def _oldest(
    batches: tuple[OrderedDict[Connection, None], OrderedDict[Connection, None]], but: Connection
) -> Connection | None:
    """Who has waited longest: first of those that never said anything, then of the idle."""
    return next((one for batch in batches for one in batch if one is not but), None)
