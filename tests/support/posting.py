"""Threads that post to a service until they are told to end."""

import threading
from collections.abc import Callable

__all__ = ["PostingThreads"]


class PostingThreads:
    """So many ``threads`` that each run ``carry(number)``, which looks at ``ended``; may be started again after ``stop``."""

    def __init__(self, carry: Callable[[int], None], threads: int) -> None:
        self._carry = carry
        self._count = threads
        self._threads: list[threading.Thread] = []
        self._failure: Exception | None = None
        self.ended = threading.Event()
        self.making = threading.Lock()
        """For what the threads share."""

    def start(self) -> None:
        """Begin."""
        self.ended.clear()
        self._threads = [
            threading.Thread(target=self._guarded, args=(number,), daemon=True) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait until nobody posts; raises what went wrong on a thread."""
        self.ended.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, number: int) -> None:
        try:
            self._carry(number)
        except Exception as error:  # noqa: BLE001 - told by stop
            self._failure = error
