"""The thread that runs the twins of the embedded service: records come from the log's thread, outcomes and checkpoints go out.

Before the first record it compiles the kernels or loads them from their cache. Until then the twins see nothing, and
``state`` is ``warming``. If the thread ends by an error, the bank may be half updated: no checkpoint of it may be stored.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from streams.log.log import LogEntry
from streams.worker.worker import Saved, Worker
from twins.records import Frame, Outcome
from twins.warm_up import warm

__all__ = ["WorkerThread"]

_logger = structlog.get_logger(__name__)

_SWEEP_S = 1.0
_MOST_READINGS = 2_000_000
"""When the worker is this many readings behind, it makes the log wait, and the log makes the doors wait."""


class WorkerThread:
    """``send`` gets the outcomes of some records, ``keep`` checkpoints, ``died`` the error that ended the thread."""

    def __init__(
        self, worker: Worker, *, checkpoint_seconds: float, send: Callable[[list[Outcome]], None],
        keep: Callable[[Saved], None], died: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self.worker = worker
        self.state = "warming"
        """``warming``, ``ok``, or ``stopped`` with the reason."""
        self.lag_readings = 0
        self._share = min(1.0, _SWEEP_S / checkpoint_seconds)
        self._send = send
        self._keep = keep
        self._died = died
        self._gathered: list[Outcome] = []
        self._queue: queue.SimpleQueue[list[LogEntry] | None] = queue.SimpleQueue()
        self._since: deque[float] = deque()
        """When each commit that is not yet processed was handed over, oldest first."""
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    @property
    def lag_s(self) -> float:
        """Age (s) of the oldest commit that the twins have not processed."""
        with self._changed:
            return time.monotonic() - self._since[0] if self._since else 0.0

    def start(self) -> None:
        """Begin; ``send`` gets every outcome from here on."""
        self.worker.listen(self._gather)
        self._thread.start()

    def hand_over(self, entries: list[LogEntry]) -> None:
        """Take durable records, in order; blocks while too many are waiting."""
        with self._changed:
            if self._ended:
                return
            self.lag_readings += _readings(entries)
            self._since.append(time.monotonic())
            self._queue.put(entries)
            while self.lag_readings > _MOST_READINGS and not self._ended:
                self._changed.wait(1.0)

    def finish(self) -> bool:
        """End when the last records are processed; whether the twins are intact, so that checkpoints can be stored."""
        self._queue.put(None)
        self._thread.join()
        return not self._ended

    def _gather(self, outcome: Outcome) -> None:
        self._gathered.append(outcome)

    def _run(self) -> None:
        try:
            for _ in warm():
                pass
            self.state = "ok"
            self._move()
        except BaseException as error:
            self.state = f"stopped: {error!r}"
            _logger.critical("the twins have stopped", exc_info=error)
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._died(error)

    def _move(self) -> None:
        next_sweep = time.monotonic() + _SWEEP_S
        while True:
            try:
                entries = self._queue.get(timeout=max(0.0, next_sweep - time.monotonic()))
            except queue.Empty:
                entries = []
            else:
                if entries is None:
                    return
                for entry in entries:
                    self.worker.take(entry.partition, entry.offset, entry.record)
                    if isinstance(entry.record, Frame):
                        with self._changed:
                            self.lag_readings -= len(entry.record.signal) // 2
                            self._changed.notify()
                with self._changed:
                    self._since.popleft()
            if self._gathered:
                outcomes, self._gathered = self._gathered, []
                self._send(outcomes)
            if time.monotonic() >= next_sweep:
                self._keep(self.worker.checkpoint(self._share))
                next_sweep = time.monotonic() + _SWEEP_S


def _readings(entries: list[LogEntry]) -> int:
    return sum(len(entry.record.signal) // 2 for entry in entries if isinstance(entry.record, Frame))
