"""The connections of one server: their number, and how long one may make the server wait.

A *waiting* connection has no complete request: it is new, idle between two requests, or in the middle of a head or a body.
The number of waiting connections of one address is limited. When there is one more, the one that has waited longest is
closed, so a thousand incomplete requests keep nobody out. A connection that does not read its answers is closed after a
time too, in any phase.
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
"""How long a closing connection may take to read the rest."""
BODY_S, BODY_RATE = 20.0, 4096.0
"""A body may take so many seconds, plus one second for every so many bytes received."""


class Phase(IntEnum):
    """The phase of a connection."""

    HEAD = 0
    """New, or in the middle of a request's head."""
    BODY = 1
    SERVED = 2
    """The request is complete and being answered, or the connection is a signed-in socket."""
    IDLE = 3
    """Answered, and may send another request."""


class Connection(Protocol):
    """The interface of a protocol whose connections are registered."""

    phase: Phase
    began: float
    """When the phase began, on the loop's clock."""
    stalled: float
    """Since when the client reads nothing; 0 while it reads."""
    closing: float
    """Since when it is closing; 0 while it is open."""
    transport: asyncio.Transport
    client: tuple[str, int] | None
    place: str
    """The client's address, as the register counts it."""

    def overdue(self, now: float) -> bool:
        """Whether it has made the server wait for too long."""

    def turn_away(self, slug: str) -> None:
        """Answer with this problem, if nothing was answered yet, and close."""


class Connections:
    """The register of one server's connections; for one event loop."""

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

    # -- reports of a connection ---------------------------------------------------------------------------------

    def enter(self, connection: Connection) -> bool:
        """Register a new connection. If there are too many, another one is closed, or this one if no other can be."""
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
        """The connection waits for its client."""
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
        """Its request is complete."""
        batches = self._waiting.get(connection.place)
        if batches is not None:
            batches[0].pop(connection, None)
            batches[1].pop(connection, None)
            if not batches[0] and not batches[1]:
                del self._waiting[connection.place]

    def leave(self, connection: Connection) -> None:
        """The connection is gone, or another protocol has taken it over."""
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

    # -- checks --------------------------------------------------------------------------------------------------

    def _is_proxy(self, connection: Connection) -> bool:
        """A trusted proxy stands for many clients; the proxy limits the connections of each."""
        if not self._exempt or not connection.client:
            return False
        return any(ip_address(connection.client[0]) in proxy for proxy in self._exempt)

    def _evict(self, victim: Connection) -> None:
        self.evicted += 1
        self.go_on(victim)
        victim.turn_away("too-many-connections")

    def _look(self) -> None:
        """Close overdue connections, checking a slice at a time."""
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
    """An address; of IPv6 the network of one subscriber.

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
    """The connection that has waited longest: first among those without any request, then among the idle."""
    return next((one for batch in batches for one in batch if one is not but), None)
