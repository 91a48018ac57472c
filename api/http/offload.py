"""Work that would hold up the event loop, done beside it: a little at a time, whoever asks for much."""

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
    """Of a thread that has much to do in Python: after each spell of work it rests for three times as long.

    The event loop and the threads that write and filter want the interpreter lock many times for one alarm, and each time
    would wait for its turn.
    """

    def __init__(self) -> None:
        self._began = time.thread_time()

    def breathe(self) -> None:
        """Rest, if it is time to; to be called every few milliseconds."""
        spent = time.thread_time() - self._began
        if spent > _SPELL_S:
            time.sleep(_REST * spent)
            self._began = time.thread_time()


class Offload:
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
