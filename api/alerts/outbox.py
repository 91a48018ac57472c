"""Takes notices out of outcomes and writes them into the outbox, in the background and in order."""

import asyncio
import contextlib
from collections import deque
from itertools import islice

import structlog

from api.accounts import Accounts
from api.accounts.errors import StoreUnavailable
from api.accounts.notices import KeptNotices
from twins.records import Outcome

__all__ = ["NoticeWriter"]

_GATHER_S = 0.05
_AGAIN_S = 1.0
_AT_ONCE = 200

log = structlog.get_logger(__name__)


class NoticeWriter:
    """What cannot be written waits: after a restart the twins' whole state says again what is pending."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._waiting: deque[KeptNotices] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Outcomes whose notices are not written yet."""
        return len(self._waiting)

    def heard(self, outcome: Outcome) -> None:
        """Queue the notices of an outcome, and with a partition's whole state everything that is pending there."""
        if outcome.notices or outcome.complete:
            self._waiting.append(
                KeptNotices(outcome.partition, outcome.time, list(outcome.notices), whole=outcome.complete)
            )
            self._wake.set()

    def open(self) -> None:
        """Begin to write; the accounts are open."""
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def close(self) -> None:
        """Write what waits, with one attempt."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable):
            await self._flush()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_GATHER_S)
            try:
                await self._flush()
            except StoreUnavailable as error:
                log.warning("notices not written", waiting=len(self._waiting), reason=str(error))
                await asyncio.sleep(_AGAIN_S)
                self._wake.set()

    async def _flush(self) -> None:
        while self._waiting:
            some = list(islice(self._waiting, _AT_ONCE))
            await self._accounts.notices.keep(some)
            for _ in some:
                self._waiting.popleft()
