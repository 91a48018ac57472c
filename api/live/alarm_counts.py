"""Counts of alarms since the start, for Prometheus: what sounded, what was acknowledged and how soon, and floods now.

Labels are bounded: conditions of a site's rules count together as ``rule``, and beyond ``MOST_WARDS`` wards the others count
together as ``other``. Every door of a distributed service counts all alarms: take the largest, not the sum.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from twins.alarms.burden import FLOOD_OVER, SPAN_US, calls
from twins.records import Outcome, Transition

__all__ = ["MOST_WARDS", "AlarmCounts"]

MOST_WARDS = 200
WAITS_S = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MOST_CALLS = 50_000


class AlarmCounts:
    """Gathers outcomes; ``now`` is the service's time (µs)."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._sounded: Counter[tuple[str, str, str, str]] = Counter()
        self._acknowledged: Counter[tuple[str, str]] = Counter()
        self._waits: dict[str, list[int]] = {}
        self._waited: Counter[str] = Counter()
        self._recent: dict[str, deque[int]] = {}
        self._called: OrderedDict[str, int] = OrderedDict()
        """By alarm that nobody has acknowledged yet, when it called."""

    def heard(self, outcome: Outcome) -> None:
        """Count the transitions of an outcome. The whole state of a partition holds only alarms that sounded before."""
        if outcome.complete:
            return
        for transition in outcome.transitions:
            self._count(transition)

    def _count(self, transition: Transition) -> None:
        what = calls(transition)
        ward = self._ward(transition.ward)
        if what:
            condition = "rule" if transition.condition.startswith("rule.") else transition.condition
            self._sounded[what, transition.priority, condition, ward] += 1
            if what == "alarm":
                self._recent[ward].append(transition.emitted or transition.time)
                self._called[transition.alarm] = transition.time
                while len(self._called) > _MOST_CALLS:
                    self._called.popitem(last=False)
            return
        by_person = transition.presence == "acknowledged" or (transition.presence == "off" and transition.by)
        if by_person and transition.alarm in self._called:
            self._acknowledged[transition.priority, ward] += 1
            wait = (transition.time - self._called.pop(transition.alarm)) / 1e6
            self._waits.setdefault(transition.priority, [0] * (len(WAITS_S) + 1))[bisect_left(WAITS_S, wait)] += 1
            self._waited[transition.priority] += round(wait)
        elif transition.presence == "off":
            self._called.pop(transition.alarm, None)

    def _ward(self, ward: str) -> str:
        if ward not in self._recent and len(self._recent) >= MOST_WARDS:
            ward = "other"
        self._recent.setdefault(ward, deque(maxlen=10_000))
        return ward

    def metrics(self) -> Iterable[Metric]:
        """Every metric under its name."""
        sounded = CounterMetricFamily(
            "vitaltwin_alarms", "Alarms that sounded (what: alarm, or rise of priority)",
            labels=["what", "priority", "condition", "ward"],
        )  # fmt: skip
        for key, count in self._sounded.items():
            sounded.add_metric(key, count)
        answered = CounterMetricFamily(
            "vitaltwin_alarms_acknowledged", "Alarms that somebody acknowledged", labels=["priority", "ward"]
        )
        for pair, count in self._acknowledged.items():
            answered.add_metric(pair, count)
        waits = HistogramMetricFamily(
            "vitaltwin_alarm_acknowledge_seconds", "Time from an alarm to its acknowledgement", labels=["priority"]
        )
        for priority, counts in self._waits.items():
            sums = [sum(counts[: place + 1]) for place in range(len(counts))]
            names = [*map(str, WAITS_S), "+Inf"]
            waits.add_metric([priority], list(zip(names, sums, strict=True)), self._waited[priority])
        recent = GaugeMetricFamily("vitaltwin_alarms_in_10_min", "Alarms of the last 10 min", labels=["ward"])
        flood = GaugeMetricFamily("vitaltwin_alarm_flood", "1 with more than 10 alarms in 10 min", labels=["ward"])
        begin = self._now() - SPAN_US
        for ward, times in self._recent.items():
            while times and times[0] <= begin:
                times.popleft()
            recent.add_metric([ward], len(times))
            flood.add_metric([ward], float(len(times) > FLOOD_OVER))
        return sounded, answered, waits, recent, flood
