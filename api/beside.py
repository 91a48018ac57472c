"""Work that would hold up the event loop, done beside it: a little at a time, whoever asks for much."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

__all__ = ["Beside"]

P = ParamSpec("P")
R = TypeVar("R")


class Beside:
    """Runs functions in ``threads`` threads of its own, one at a time for each sender.

    Threads of Python share one interpreter lock with the event loop: the fewer compete for it, the sooner the loop, and
    with it everybody's alarm, has its turn. A sender who sends much waits for himself, not others for him.
    """

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, "beside")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, sender: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``work`` returns or raises."""
        turn = self._turns.setdefault(sender, asyncio.Lock())
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))
