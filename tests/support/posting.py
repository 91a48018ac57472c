"""Threads that post to a service until they are stopped."""

import threading
from collections.abc import Callable

__all__ = ["PostingThreads"]


class PostingThreads:
    """``threads`` threads that each run ``carry(number)``, which checks ``ended``; they can be started again after ``stop``."""

    def __init__(self, carry: Callable[[int], None], threads: int) -> None:
        self._carry = carry
        self._count = threads
        self._threads: list[threading.Thread] = []
        self._failure: Exception | None = None
        self.ended = threading.Event()
        self.making = threading.Lock()
        """A lock for what the threads share."""

    def start(self) -> None:
        """Begin."""
        self.ended.clear()
        self._threads = [
            threading.Thread(target=self._guarded, args=(number,), daemon=True) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait until posting has ended; raises the error of a thread."""
        self.ended.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, number: int) -> None:
        try:
            self._carry(number)
        except Exception as error:  # noqa: BLE001 - raised by stop
            self._failure = error
