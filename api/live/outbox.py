"""The queue of messages for one client: bounded, in order, emptied by the connection's only writer."""

import asyncio
from collections import deque
from typing import Literal

__all__ = ["Closed", "Outbox"]


_LITTLE = 64 << 10
_LOOK_S = 0.02
_PATIENCE_S = 5.0


class Closed(Exception):
    """The connection is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Outbox:
    """A queue of texts for one client.

    A client with more than ``limit`` waiting bytes is slow and is closed with 4408. It reconnects, and gets every missed
    alarm transition and a new snapshot. If a snapshot is larger than that, the limit becomes twice its size.
    """

    def __init__(self, limit: int, form: Literal["socket", "sse"] = "socket") -> None:
        self.form = form
        self.closed: Closed | None = None
        self.reader = ""
        """The session or device of the client, once it is known."""
        self.slow = False
        self.waiting_bytes = 0
        self.pinged = asyncio.get_running_loop().time()
        """When the last heartbeat was added, on the loop's clock."""
        self._limit = limit
        self._waiting: deque[tuple[str, int]] = deque()
        self._taken = 0
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    def put(self, text: str, size: int, *, whole: bool = False) -> None:
        """Add ``text`` to the queue; ``whole`` marks a snapshot, which may raise the limit."""
        if self.closed is not None:
            return
        if whole:
            self._limit = max(self._limit, 2 * size)
        self._waiting.append((text, size))
        self.waiting_bytes += size
        self._wake.set()
        if self.waiting_bytes > self._limit:
            self._drop()

    def make_room(self, size: int) -> None:
        """Raise the limit for ``size`` bytes that come at once and were asked for."""
        self._limit = max(self._limit, self.waiting_bytes + 2 * size)

    def close(self, code: int, reason: str) -> None:
        """Close the connection; waiting messages are not sent any more. Only the first call counts."""
        if self.closed is None:
            self.closed = Closed(code, reason)
            self._waiting.clear()
            self.waiting_bytes = 0
            self._wake.set()
            self._ended.set()

    async def take(self) -> str:
        """The next text; raises ``Closed`` when the connection is to be closed."""
        while not self._waiting:
            if self.closed is not None:
                raise self.closed
            self._wake.clear()
            await self._wake.wait()
        text, size = self._waiting.popleft()
        self.waiting_bytes -= size
        self._taken += 1
        return text

    async def eased(self) -> None:
        """Wait until the queue is short. A client that takes nothing for ``_PATIENCE_S`` meanwhile is slow.

        Raises:
            Closed: the connection is to be closed.
        """
        loop = asyncio.get_running_loop()
        taken, since = self._taken, loop.time()
        while self.waiting_bytes > _LITTLE:
            await asyncio.sleep(_LOOK_S)
            if taken != self._taken:
                taken, since = self._taken, loop.time()
            elif loop.time() - since > _PATIENCE_S:
                self._drop()
        if self.closed is not None:
            raise self.closed

    def _drop(self) -> None:
        self.slow = True
        self.close(4408, "slow")

    async def ended(self) -> Closed:
        """Wait until the connection is to be closed, independently of the writer."""
        await self._ended.wait()
        return self.closed or Closed(1000, "")
