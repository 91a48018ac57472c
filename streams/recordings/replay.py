"""Send a recorded file to a running service over HTTP, at the speed of its clock.

All effective times are shifted by the same amount, so that every interval stays. At the speed of the service's clock (or
slower) the first reading becomes the service's now. At a higher speed the last reading would be in the future. So then
the *last* reading becomes the service's now at the moment it is sent: the file arrives as history.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from math import inf
from typing import TypeVar

import msgspec
import numpy as np

from streams.log.frame import encode_frame
from streams.recordings.client import Away, Door, DoorRefused
from streams.recordings.recording import Recording, cut
from twins.records import Columns

__all__ = ["Replay", "Summary"]

T = TypeVar("T")

_FRAME = 20_000
"""Most readings in one frame."""

_BEAT_S = 0.25
"""Wall seconds between frames while replay waits for the clock."""

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

_SYNC_S = 15.0
"""The service's clock is read again this often, and whenever the service was away."""


class Summary(msgspec.Struct, kw_only=True):
    """What a replay has done so far; ``away_s`` is how long the service could not be reached."""

    readings: int
    patients: int
    speed: float = 0.0
    sent: int = 0
    taken: int = 0
    refused: int = 0
    reasons: dict[str, int] = {}
    retries: int = 0
    away_s: float = 0.0
    wall_s: float = 0.0
    recorded_s: float = 0.0
    waiting: str = ""

    @property
    def failed(self) -> bool:
        """Whether nothing was taken, or not everything could be sent."""
        return self.sent < self.readings or self.taken == 0


class Replay:
    """One replay of a recording to a service.

    ``speed`` is recorded seconds per wall second: ``None`` follows the service's clock, ``inf`` is as fast as the service
    takes it. If the service goes away, replay waits for it up to ``patience_s``. A frame without an answer is sent again;
    readings that the service has already are duplicates and change nothing.
    """

    def __init__(
        self,
        recording: Recording,
        door: Door,
        *,
        speed: float | None = None,
        patience_s: float = 300.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._columns = recording.by_time().columns
        self._door = door
        self._patience_s = patience_s
        self._sleep = sleep
        self._speed = speed
        self._largest = _FRAME
        self._tell: Callable[[Summary], None] = lambda _: None
        self.summary = Summary(readings=len(recording), patients=len(recording.columns.patients))

    def run(self, tell: Callable[[Summary], None] = lambda _: None) -> Summary:
        """Send everything; ``tell`` is called at every step. Raises ``Away`` after ``patience_s``, ``DoorRefused``."""
        self._tell = tell
        times = self._columns.time
        pace = _Pace(int(times[0]), int(times[-1]), self._door.clock(), self._speed)
        self.summary.speed = pace.speed
        started = time.monotonic()
        while self.summary.sent < len(times):
            due = int(np.searchsorted(times, pace.reach(), side="right"))
            if due > self.summary.sent:
                self._send(due, pace.shift)
            else:
                self._sleep(_BEAT_S)
            if pace.stale or self.summary.waiting:
                pace.follow(self._patiently(self._door.clock))
                self.summary.waiting = ""
            self.summary.wall_s = time.monotonic() - started
            tell(self.summary)
        return self.summary

    def _send(self, due: int, shift: int) -> None:
        """Send the next frame of readings, at most up to ``due``."""
        summary, times = self.summary, self._columns.time
        last = min(due, summary.sent + self._largest)
        part = cut(self._columns, summary.sent, last)
        frame = encode_frame(Columns(part.patients, part.patient, part.signal, part.time + shift, part.value))
        try:
            answer = self._patiently(lambda: self._door.post(frame))
            while (
                answer.again_s
            ):  # the service limits how fast patients are admitted; readings it took already are duplicates
                summary.waiting = "new patients come faster than the key may admit them"
                self._tell(summary)
                self._sleep(answer.again_s)
                answer = self._patiently(lambda: self._door.post(frame))
        except DoorRefused as error:
            if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or self._largest == 1:
                raise
            self._largest = max(1, (last - summary.sent) // 2)
            return
        summary.sent = last
        summary.taken += answer.taken
        summary.refused += answer.refused
        for reason, count in answer.reasons.items():
            summary.reasons[reason] = summary.reasons.get(reason, 0) + count
        summary.recorded_s = (int(times[last - 1]) - int(times[0])) / 1e6

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask again, at growing intervals, while the service is away."""
        pause = _FIRST_PAUSE_S
        since = time.monotonic()
        while True:
            try:
                return ask()
            except Away as error:
                if time.monotonic() - since > self._patience_s:
                    raise
                self.summary.waiting = str(error)
                self.summary.retries += 1
                self._tell(self.summary)
                wait = max(pause, error.retry_after_s)
                self._sleep(wait)
                self.summary.away_s += wait
                pause = min(pause * 2.0, _LONGEST_PAUSE_S)


class _Pace:
    """How far into the recording (µs, in its own time) readings are due now, and the shift to the service's time."""

    def __init__(self, first: int, last: int, clock: tuple[int, float], speed: float | None) -> None:
        now, clock_speed = clock
        self.speed = speed or clock_speed
        self.shift = now - first
        self._first, self._last = first, last
        self._ahead = self.speed > clock_speed
        if self._ahead:
            # When the last reading is sent, the service's clock shows `now` plus the time that passes until then.
            self.shift += int((last - first) / self.speed * clock_speed) - (last - first)
        self._started = time.monotonic()
        self.follow(clock)

    def follow(self, clock: tuple[int, float]) -> None:
        """Use the service's clock as just read."""
        self._now, self._clock_speed = clock
        self._read = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether the service's clock should be read again."""
        return not self._ahead and time.monotonic() - self._read > _SYNC_S

    def reach(self) -> int:
        """The effective time, in the recording, up to which readings are due."""
        if self.speed == inf:
            return self._last
        if self._ahead:
            return self._first + int((time.monotonic() - self._started) * 1e6 * self.speed)
        service_now = self._now + (time.monotonic() - self._read) * 1e6 * self._clock_speed
        return self._first + int((service_now - self.shift - self._first) * self.speed / self._clock_speed)
