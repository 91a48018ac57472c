"""Runs long work outside the event loop, a little at a time for senders of large bodies."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

__all__ = ["Offload", "Pace"]

P = ParamSpec("P")
R = TypeVar("R")


_SPELL_S = 0.002
_REST = 3.0


class Pace:
    """The pace of a thread with long work in Python: after each period of work it rests three times as long.

    For one alarm, the event loop and the threads that write and filter need the interpreter lock many times. Without the
    rests they would wait each time.
    """

    def __init__(self) -> None:
        self._began = time.thread_time()

    def breathe(self) -> None:
        """Rest if it is time to. Call it every few milliseconds."""
        spent = time.thread_time() - self._began
        if spent > _SPELL_S:
            time.sleep(_REST * spent)
            self._began = time.thread_time()


class Offload:
    """Runs functions in ``threads`` threads of its own, one at a time for each sender.

    Python threads share one interpreter lock with the event loop. The fewer threads compete for it, the sooner the loop
    can deliver alarms. A sender of much data delays only itself.
    """

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, "beside")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, sender: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return or raise the result of ``work``."""
        turn = self._turns.setdefault(sender, asyncio.Lock())
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))
