"""Readings for benchmarks: 1 Hz vital signs of many patients, as frames and as JSON, and connections that post them."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from streams.clock import Clock
from streams.log.frame import encode_frame
from tests.support.raw_connection import RawConnection, post
from twins.records import Columns
from twins.signals import BY_NAME, SIGNALS

__all__ = ["COURSE", "FRAME_TYPE", "JSON_TYPE", "SimulatedWard", "as_json", "post_all", "requests"]

FRAME_TYPE = "application/vnd.vitaltwin.frame+msgpack"
JSON_TYPE = "application/json"

COURSE = {
    "heart_rate": (78.0, 3.0),
    "respiratory_rate": (16.0, 1.5),
    "oxygen_saturation": (97.0, 0.8),
    "systolic_bp": (122.0, 4.0),
    "body_temperature": (37.0, 0.1),
}
"""Mean and spread of each signal."""
_ROUND_US = 10_000


class SimulatedWard:
    """Patients with some vital signs each, measured round by round; the last round is measured now."""

    def __init__(self, patients: int, seed: int = 1, course: Mapping[str, tuple[float, float]] = COURSE) -> None:
        self.patients = [f"bench-{number:05d}" for number in range(patients)]
        self.channels = patients * len(course)
        self._signals = np.array([BY_NAME[name].code for name in course], np.uint16)
        self._course = np.array(list(course.values()))
        self._rng = np.random.default_rng(seed)
        self._place = 0
        self._time_us = 0

    def batches(self, batches: int, count: int) -> list[Columns]:
        """The next ``batches`` × ``count`` readings, channel by channel, then the next round."""
        places = self._place + np.arange(batches * count)
        rounds = places // self.channels + (self._place == 0)
        moments = self._time_us + _ROUND_US * rounds
        # A round that has begun keeps its time; later rounds are shifted so that the last one is measured now.
        moments[rounds > 0] += max(0, Clock().now() - int(moments[-1]))
        self._place = int(places[-1] + 1) % self.channels
        self._time_us = int(moments[-1])
        patient, which = np.divmod(places % self.channels, len(self._signals))
        values = np.round(self._course[which, 0] + self._course[which, 1] * self._rng.standard_normal(len(places)), 1)
        return [
            self._columns(patient[part], which[part], moments[part], values[part])
            for part in (slice(at, at + count) for at in range(0, len(places), count))
        ]

    def _columns(
        self, patient: npt.NDArray[np.int64], which: npt.NDArray[np.int64], moments: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
    ) -> Columns:  # fmt: skip
        named, entry = np.unique(patient, return_inverse=True)
        return Columns(
            [self.patients[number] for number in named.tolist()],
            entry.astype("<u4"), self._signals[which].astype("<u2"), moments.astype("<i8"), values,
        )  # fmt: skip


def requests(batches: Iterable[Columns], kind: str, key: str) -> list[bytes]:
    """Each batch as a complete POST request."""
    encode = {FRAME_TYPE: encode_frame, JSON_TYPE: as_json}[kind]
    return [post("/v1/observations", kind, key, encode(columns)) for columns in batches]


def as_json(columns: Columns) -> bytes:
    """The same readings as a JSON array, with units."""
    rows = zip(
        columns.patient.tolist(), columns.signal.tolist(), columns.time.tolist(), columns.value.tolist(), strict=True
    )
    return msgspec.json.encode([
        {
            "patient": columns.patients[patient],
            "signal": SIGNALS[signal].name,
            "time": datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "value": value,
            "unit": SIGNALS[signal].unit,
        }
        for patient, signal, moment, value in rows
    ])  # fmt: skip


def post_all(
    port: int, prepared: Sequence[bytes], connections: int, done: Callable[[int, int], None] | None = None
) -> float:
    """Post all prepared requests over several connections at once; returns the seconds until the last answer.

    ``done(number, status)`` is called after each, on the thread that sent it.
    """
    left = iter(range(len(prepared)))
    taking = threading.Lock()
    broken: list[BaseException] = []

    def carry() -> None:
        try:
            with RawConnection(port) as wire:
                while not broken:
                    with taking:
                        number = next(left, -1)
                    if number < 0:
                        return
                    status = wire.send(prepared[number])
                    if done is not None:
                        done(number, status)
        except OSError as error:
            broken.append(error)

    began = time.monotonic()
    _together([threading.Thread(target=carry, daemon=True) for _ in range(connections)])
    if broken:
        raise broken[0]
    return time.monotonic() - began


def _together(threads: Iterable[threading.Thread]) -> None:
    threads = list(threads)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
