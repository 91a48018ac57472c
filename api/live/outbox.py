"""What waits to be sent to one client: bounded, in order, taken by the connection's one writer."""

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

    A client that lets more than ``limit`` bytes wait is slow, and is closed with 4408 rather than kept waiting for: it
    comes back, gets every alarm transition it missed and a fresh snapshot. A snapshot larger than that may wait too,
    once over.
    """

    def __init__(self, limit: int, form: Literal["socket", "sse"] = "socket") -> None:
        self.form = form
        self.closed: Closed | None = None
        self.reader = ""
        """The session or device it belongs to, once that is known."""
        self.slow = False
        self.waiting_bytes = 0
        self.pinged = asyncio.get_running_loop().time()
        """When the last heartbeat was put in, on the loop's clock."""
        self._limit = limit
        self._waiting: deque[tuple[str, int]] = deque()
        self._taken = 0
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    def put(self, text: str, size: int, *, whole: bool = False) -> None:
        """Have ``text`` sent; ``whole`` says it is a snapshot, which sets the measure of what may wait."""
        if self.closed is not None:
            return
        if whole:
            self._limit = max(self._limit, 2 * size)
        self._waiting.append((text, size))
        self.waiting_bytes += size
        self._wake.set()
        if self.waiting_bytes > self._limit:
            self._drop()

    def close(self, code: int, reason: str) -> None:
        """Have the connection closed; what waits is not sent any more. Only the first call counts."""
        if self.closed is None:
            self.closed = Closed(code, reason)
            self._waiting.clear()
            self.waiting_bytes = 0
            self._wake.set()
            self._ended.set()

    async def take(self) -> str:
        """The next text; raises ``Closed`` when there will be no more."""
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
        """Wait until little waits for the client; one that takes nothing for ``_PATIENCE_S`` meanwhile is slow.

        Raises:
            Closed: it has been closed.
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
        """Wait until the connection is to be closed, whatever the writer is doing."""
        await self._ended.wait()
        return self.closed or Closed(1000, "")
