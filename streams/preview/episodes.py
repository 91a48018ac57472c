"""Alarms of a run as episodes, and which of two runs has which."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from streams.preview.course import Course
from streams.preview.job import Counts, Episode
from twins.alarms.burden import calls
from twins.alarms.conditions import RANK
from twins.alarms.lifecycle import episode
from twins.arrays import F8, I8
from twins.records import Transition
from twins.signals import BY_NAME

__all__ = ["SUSTAINED_US", "Episodes", "counts_of", "only_in", "sustained", "with_readings"]

SUSTAINED_US = 60_000_000
_AROUND_US = 120_000_000
_AROUND_LEAST, _AROUND_MOST = 4, 120

Key = tuple[str, str, str]


class Episodes:
    """Gathers the episodes of a run from ``start`` (µs) on."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._open: dict[Key, Episode] = {}
        self.found: list[Episode] = []
        self.rises = 0

    def take(self, transitions: Iterable[Transition]) -> None:
        """Add some transitions, in order."""
        for one in transitions:
            self._take(one)

    def _take(self, one: Transition) -> None:
        key = (one.patient, one.family or one.condition, one.signal)
        what = calls(one)
        held = self._open.get(key)
        if what and held is None:
            self._begin(key, one)
        elif held is not None:
            if what == "rise" or RANK[one.priority] > RANK[held.priority]:
                held.condition, held.priority, held.limit = one.condition, one.priority, one.limit
                held.explanation = one.explanation
                self.rises += what == "rise" and one.time >= self._start
            held.extreme = one.extreme
            if not one.standing:
                held.end = one.ended or one.time
                del self._open[key]

    def _begin(self, key: Key, one: Transition) -> None:
        made = Episode(
            id=episode(*key, one.time), patient=one.patient, ward=one.ward, family=key[1], condition=one.condition,
            signal=one.signal, priority=one.priority, onset=one.time, value=one.value, extreme=one.value, limit=one.limit,
            explanation=one.explanation,
        )  # fmt: skip
        self._open[key] = made
        if one.time >= self._start:
            self.found.append(made)


def sustained(one: Episode, until: int) -> bool:
    """Whether an episode was true for at least 60 s; one that went on is judged at ``until`` (µs).

    The time for which a limit must not be passed before its alarm ends does not count.
    """
    cleared_s = one.explanation.get("limit", {}).get("clear_s", 0.0) if one.end else 0.0
    return (one.end or until) - one.onset - cleared_s * 1e6 >= SUSTAINED_US


def counts_of(episodes: Episodes, until: int) -> Counts:
    """The figures of a run that ended at ``until`` (µs)."""
    found = episodes.found
    return Counts(
        alarms=len(found),
        rises=episodes.rises,
        sustained=sum(sustained(one, until) for one in found),
        true_s=sum((one.end or until) - one.onset for one in found) / 1e6,
        by_priority=dict(Counter(one.priority for one in found).most_common()),
        by_condition=dict(Counter(one.condition for one in found).most_common()),
    )


def only_in(some: Iterable[Episode], others: Iterable[Episode], until: int) -> list[Episode]:
    """Those of ``some`` that none of ``others`` of the same patient, family and signal overlaps, by time."""
    spans: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for one in others:
        spans[one.patient, one.family, one.signal].append((one.onset, one.end or until))
    starts = {key: np.array([begin for begin, _ in own], np.int64) for key, own in spans.items()}
    ends = {key: np.array([end for _, end in own], np.int64) for key, own in spans.items()}
    found = []
    for one in some:
        key = (one.patient, one.family, one.signal)
        if key not in starts or not np.any((starts[key] <= (one.end or until)) & (ends[key] >= one.onset)):
            found.append(one)
    return sorted(found, key=lambda one: (one.onset, one.id))


def with_readings(episodes: Iterable[Episode], course: Course) -> None:
    """Add the readings around the beginning of each episode: two minutes before and after, at least some, not too many."""
    columns: dict[tuple[str, str], tuple[I8, F8]] = {}
    numbers = {patient: number for number, patient in enumerate(course.patients)}
    for one in episodes:
        if one.signal not in BY_NAME:
            continue
        channel = (one.patient, one.signal)
        if channel not in columns:
            mine = (course.patient == numbers[one.patient]) & (course.signal == BY_NAME[one.signal].code)
            time, value = course.time[mine], course.value[mine]
            order = np.argsort(time, kind="stable")
            columns[channel] = time[order], value[order]
        time, value = columns[channel]
        place = int(np.searchsorted(time, one.onset))
        first = min(int(np.searchsorted(time, one.onset - _AROUND_US)), max(0, place - _AROUND_LEAST))
        last = max(int(np.searchsorted(time, one.onset + _AROUND_US)), min(len(time), place + _AROUND_LEAST))
        step = -(-(last - first) // _AROUND_MOST) or 1
        one.readings = list(zip(time[first:last:step].tolist(), value[first:last:step].tolist(), strict=True))
