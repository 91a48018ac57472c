"""What simple monitors would have done on a recorded file, and what should have been alarmed: the peers of the alarm engine.

Reads the raw file itself and imports nothing of the program, so a mistake in the engine cannot hide here. Times are µs
since 1970; ``limits`` are the low and the high limit of a signal (NaN: none).
"""

import csv
import gzip
import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

__all__ = [
    "DAY_US",
    "SIDES",
    "Event",
    "Outcomes",
    "Raw",
    "alarms",
    "artefact",
    "calibration",
    "events",
    "read",
    "usual_step_us",
]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
SIDES = ("low", "high")
SUSTAINED_US = 60 * SECOND_US
"""Readings beyond a limit for this long are an event, if they come at least every ``DENSE_US`` …"""
DENSE_US = 10 * SECOND_US
ROWS = 2
"""… else this many in a row are."""
WINDOW_US = 30 * 60 * SECOND_US
SPARSE_US = 600 * SECOND_US
"""A prediction says that a reading within ``WINDOW_US`` is beyond the limit; if readings are farther apart than this, that
the next one is …
"""
_LONGEST_NEXT = 1.5
"""… if it comes within this many usual steps."""
_LEAST_NEAR_US, _MOST_NEAR_US = SECOND_US, 150 * SECOND_US


class Event(NamedTuple):
    """A limit was really passed for a while: which (0 low, 1 high), and the first and the last reading beyond it."""

    side: int
    begin: int
    end: int


class Raw(NamedTuple):
    """A recorded file: the stay of each row, in the order of the file, and its readings in order of time.

    A patient who is not measured for a day has another stay from then on. ``series`` has times and values by (stay,
    signal), ``units`` the units by signal, ``spans`` the first and last time of each stay.
    """

    stay: list[str]
    series: dict[tuple[str, str], tuple[list[int], list[float]]]
    units: dict[str, set[str]]
    spans: dict[str, tuple[int, int]]

    @property
    def days(self) -> float:
        """Patient-days."""
        return sum(end - begin for begin, end in self.spans.values()) / DAY_US


def read(path: Path, patients: Collection[str]) -> Raw:
    """The rows of some patients."""
    rows = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        wanted = set(patients)
        moments: dict[str, int] = {}
        for row in csv.DictReader(text):
            if row["patient"] in wanted:
                when = row["time"]
                if when not in moments:
                    moments[when] = round(datetime.fromisoformat(when).timestamp() * SECOND_US)
                rows.append((row["patient"], moments[when], row["signal"], float(row["value"]), row["unit"]))
    return _sorted_into_stays(rows)


def _sorted_into_stays(rows: list[tuple[str, int, str, float, str]]) -> Raw:
    times: dict[str, list[int]] = {}
    for patient, time, *_ in rows:
        times.setdefault(patient, []).append(time)
    begins: dict[str, list[int]] = {}
    for patient, when in times.items():
        when.sort()
        begins[patient] = [when[0]] + [b for a, b in pairwise(when) if b - a > DAY_US]
    raw = Raw([], {}, {}, {})
    for patient, time, signal, value, unit in rows:
        number = bisect_right(begins[patient], time)
        stay = patient if number == 1 else f"{patient}~{number}"
        raw.stay.append(stay)
        first, last = raw.spans.get(stay, (time, time))
        raw.spans[stay] = min(first, time), max(last, time)
        raw.units.setdefault(signal, set()).add(unit)
        when, values = raw.series.setdefault((stay, signal), ([], []))
        when.append(time)
        values.append(value)
    for when, values in raw.series.values():
        order = sorted(range(len(when)), key=when.__getitem__)  # a stable sort: rows of one time keep their order
        when[:], values[:] = [when[i] for i in order], [values[i] for i in order]
    return raw


def usual_step_us(time: Sequence[int]) -> float:
    """The median of the steps between readings; 0 without any."""
    steps = [b - a for a, b in pairwise(time) if b > a]
    return float(median(steps)) if steps else 0.0


def alarms(time: Sequence[int], value: Sequence[float], limits: Sequence[float], delay_us: int = 0) -> list[int]:
    """When a plain threshold monitor begins to sound: every reading counts as it is, each side sounds on its own.

    An alarm begins when readings have been beyond the limit for ``delay_us`` and ends with the first that is not. After
    the last reading nothing begins.
    """
    found: list[int] = []
    for side, limit in enumerate(limits):
        since: int | None = None
        sounds = False
        for when, reading in zip(time, value, strict=True):
            if since is not None and not sounds and when - since >= delay_us:
                sounds = True
                found.append(since + delay_us)
            if not _beyond(reading, limit, side):
                since, sounds = None, False
            elif since is None:
                since = when
                if delay_us == 0:
                    sounds = True
                    found.append(when)
    return sorted(found)


def _beyond(value: float, limit: float, side: int) -> bool:
    return value > limit if side else value < limit


def events(
    time: Sequence[int], value: Sequence[float], limits: Sequence[float], plausible: tuple[float, float]
) -> list[Event]:
    """The sustained events of a channel: plausible readings that are beyond a limit for ``SUSTAINED_US``, or ``ROWS`` rows.

    An implausible reading is left out: it neither makes an event nor ends one. A reading that is not beyond ends it, and
    so does a pause longer than ``DENSE_US`` where readings are dense.
    """
    kept = [(t, v) for t, v in zip(time, value, strict=True) if plausible[0] <= v <= plausible[1]]
    dense = 0.0 < usual_step_us(time) <= DENSE_US
    found = []
    for side, limit in enumerate(limits):
        run: list[int] = []
        for when, reading in kept:
            if run and (not _beyond(reading, limit, side) or (dense and when - run[-1] > DENSE_US)):
                found += _event(side, run, dense=dense)
                run = []
            if _beyond(reading, limit, side):
                run.append(when)
        found += _event(side, run, dense=dense)
    return sorted(found, key=lambda event: (event.begin, event.side))


def _event(side: int, run: list[int], *, dense: bool) -> list[Event]:
    if not run:
        return []
    lasts = run[-1] - run[0] >= SUSTAINED_US if dense else len(set(run)) >= ROWS
    return [Event(side, run[0], run[-1])] if lasts else []


class Outcomes:
    """What became of predictions about one channel: its plausible readings, in order of time."""

    def __init__(self, time: Sequence[int], value: Sequence[float], plausible: tuple[float, float]) -> None:
        kept = [(t, v) for t, v in zip(time, value, strict=True) if plausible[0] <= v <= plausible[1]]
        self.time = [t for t, _ in kept]
        self.value = [v for _, v in kept]
        self.step_us = usual_step_us(self.time)

    def came_true(self, limit: float, side: int, at: int) -> tuple[bool | None, int]:
        """Whether a prediction made at ``at`` came true (``None``: the recording does not show it), and how much later.

        A prediction while the newest reading is beyond the limit is never true. Whether it can be judged does not depend
        on what came: a reading near the end of the window is needed in either case.
        """
        following = bisect_right(self.time, at)
        if following == 0:
            return None, 0
        if _beyond(self.value[following - 1], limit, side):
            return False, 0
        last = self._last_that_counts(following, at)
        if last is None:
            return None, 0
        for place in range(following, last):
            if _beyond(self.value[place], limit, side):
                return True, self.time[place] - at
        return False, 0

    def _last_that_counts(self, following: int, at: int) -> int | None:
        """The place after the last reading that counts for a prediction; ``None`` if the recording has a gap there."""
        time, step = self.time, self.step_us
        if step > SPARSE_US:
            late = following == len(time) or time[following] - time[following - 1] > _LONGEST_NEXT * step
            return None if late else following + 1
        near = min(max(step / 2, _LEAST_NEAR_US), _MOST_NEAR_US)
        closing = bisect_left(time, at + WINDOW_US - near)
        if closing == len(time) or time[closing] > at + WINDOW_US + near:
            return None
        return bisect_right(time, at + WINDOW_US)


def calibration(stated: Iterable[tuple[float, bool]]) -> tuple[float, list[list[float]]]:
    """The expected calibration error of chances with their outcomes, and by tenths [count, mean stated, share true].

    >>> calibration([(0.75, True), (0.75, False), (0.25, False)])
    (0.25, [[1, 0.25, 0.0], [2, 0.75, 0.5]])
    """
    tenths: dict[int, list[tuple[float, bool]]] = {}
    for chance, came in stated:
        tenths.setdefault(min(int(chance * 10), 9), []).append((chance, came))
    rows = [
        [len(part), sum(chance for chance, _ in part) / len(part), sum(came for _, came in part) / len(part)]
        for _, part in sorted(tenths.items())
    ]
    total = sum(row[0] for row in rows)
    if not total:
        return math.nan, []
    return sum(count * abs(mean - true) for count, mean, true in rows) / total, rows


def artefact(file: str, signal: str, value: float) -> bool:
    """Whether the README of the recordings names such a value as an artefact, or as a zero that means "no signal"."""
    pressure = signal.endswith("_bp")
    if file.startswith("mimic2"):
        zero = value == 0 and (signal in ("oxygen_saturation", "pulse_rate") or signal.startswith("arterial_"))
        return zero or (signal, value) in {("respiratory_rate", 110.9), ("pulse_rate", 277.0)}
    if file.startswith("bidmc"):
        return signal == "respiratory_rate" and value == 0
    if file.startswith("challenge2012"):
        return value == 0 or (signal == "body_temperature" and value < 0)
    if file.startswith("mimic4_demo"):
        return signal.endswith("mean_bp") and value in (-19.0, 801.0)
    if file.startswith("eicu"):
        return value == 0 or (file == "eicu_demo_nibp" and pressure and not 3 < value <= 240)
    return False
