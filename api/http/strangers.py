"""Limits the rate of requests from unknown clients, for each address.

Every request costs the event loop about a millisecond. A thousand password guesses a second, or requests for the sign-in
page, would leave little time for alarms. Signed-in browsers and devices with a valid key do not wait.
"""

import asyncio
import time
from typing import Any

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.accounts import Accounts
from api.accounts.throttle import network
from api.http.problems import Problem, answer

__all__ = ["Strangers"]

BURST_S = 2.0
"""The burst allowed after a pause: a browser that opens a page requests many files at once."""
LONGEST_S = 5.0
"""The longest wait; a request that would wait longer is answered with 429."""
_REMEMBERED_S = 10.0
_MOST = 10_000


class Strangers:
    """ASGI middleware: at most ``rate`` requests a second of unknown clients from one address."""

    def __init__(self, app: ASGIApp, accounts: Accounts, rate: float, cookie: str) -> None:
        self._app = app
        self._accounts = accounts
        self._every_s = 1.0 / rate
        self._cookie = cookie
        self._known: dict[bytes, float] = {}
        self._next: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and not self._knows(scope):
            client = scope.get("client")
            wait = self._place(network(client[0]) if client else "")
            if wait > LONGEST_S:
                headers = {"Retry-After": str(round(LONGEST_S)), "Connection": "close"}
                detail = "too many requests without authentication from this address"
                await answer(Problem("too-many-attempts", detail, headers=headers), scope["path"])(scope, receive, send)
                return
            if wait > 0.0 and not await _lingered(scope, wait):
                return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        """Whether it carries a valid key or session; looked up once in ten seconds."""
        key = cookies = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                key = value
            elif name == b"cookie":
                cookies = value
        shown = key or cookies
        if not shown:
            return False
        now = time.monotonic()
        if self._known.get(shown, 0.0) > now:
            return True
        if not self._accounts.knows(key.decode("latin-1"), cookie_parser(cookies.decode("latin-1")).get(self._cookie)):
            return False
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[shown] = now + _REMEMBERED_S
        return True

    def _place(self, address: str) -> float:
        """Seconds until this request's turn. A request that would wait too long takes no turn."""
        now = time.monotonic()
        turn = max(self._next.get(address, 0.0), now - BURST_S)
        if turn - now <= LONGEST_S:
            if len(self._next) >= _MOST:
                self._next = {each: at for each, at in self._next.items() if at > now - BURST_S}
            self._next[address] = turn + self._every_s
        return turn - now


async def _lingered(scope: Scope, seconds: float) -> bool:
    """Wait; meanwhile the connection may be closed to make room. Returns whether it is still open."""
    connection: Any = scope.get("state", {}).get("connection")
    if connection is None:  # another server than ours, without these methods
        await asyncio.sleep(seconds)
        return True
    connection.linger()
    await asyncio.sleep(seconds)
    return bool(connection.proceed())
