"""Requests of nobody known, begun at a bounded pace, each address for itself.

A request costs the event loop about a millisecond, whatever comes of it. A thousand guesses at passwords a second, or
reads of the sign-in page, would leave it little time for alarms. Signed-in browsers and devices with a good key do not wait.
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
"""What an address may have saved up: a browser that opens a page asks for many files at once."""
LONGEST_S = 5.0
"""Nobody waits longer: beyond, the answer is 429."""
_REMEMBERED_S = 10.0
_MOST = 10_000


class Strangers:
    """ASGI middleware: ``rate`` requests a second of those who have not shown who they are, from one address."""

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
                detail = "this address asks for too much without saying who it is"
                await answer(Problem("too-many-attempts", detail, headers=headers), scope["path"])(scope, receive, send)
                return
            if wait > 0.0 and not await _lingered(scope, wait):
                return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        """Whether a good key or session comes with it; looked up once in ten seconds."""
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
        """Seconds until it is this request's turn; one that would have to wait for too long takes no turn."""
        now = time.monotonic()
        turn = max(self._next.get(address, 0.0), now - BURST_S)
        if turn - now <= LONGEST_S:
            if len(self._next) >= _MOST:
                self._next = {each: at for each, at in self._next.items() if at > now - BURST_S}
            self._next[address] = turn + self._every_s
        return turn - now


async def _lingered(scope: Scope, seconds: float) -> bool:
    """Wait; the connection is one of those that may have to go meanwhile. Whether it has stayed."""
    connection: Any = scope.get("state", {}).get("connection")
    if connection is None:  # the server is not ours
        await asyncio.sleep(seconds)
        return True
    connection.linger()
    await asyncio.sleep(seconds)
    return bool(connection.proceed())
