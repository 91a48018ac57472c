"""What the alarm engine and simple monitors did on a recorded file, scored against what really happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from tests.bench import alarms_reference as reference
from tests.bench.alarms_run import Run, sounds_anew
from twins.signals import BY_NAME

__all__ = ["Truth"]

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_DELAY_US = 10 * _SECOND_US
_PREDICTED = {"predicted.low": 0, "predicted.high": 1}


class _Standing(NamedTuple):
    """While a limit's alarm stood, in the file's times (µs)."""

    begin: int
    end: int


class Truth:
    """What really happened in one file, and the scores of monitors against it."""

    def __init__(self, name: str, raw: reference.Raw) -> None:
        self.name = name
        self.raw = raw
        self.events: dict[tuple[str, str], list[reference.Event]] = {}
        self.critical: dict[tuple[str, str], list[reference.Event]] = {}
        for (stay, signal), (time, value) in raw.series.items():
            entry = BY_NAME[signal]
            if entry.filtered:
                bounds = entry.limits
                self.events[stay, signal] = reference.events(time, value, (bounds.low, bounds.high), entry.plausible)
                self.critical[stay, signal] = reference.events(
                    time, value, (bounds.critical_low, bounds.critical_high), entry.plausible
                )

    def monitor(self, delay_us: int) -> dict[str, Any]:
        """A simple monitor at the default limits. It catches every event that lasts as long as its delay."""
        count: Counter[str] = Counter()
        caught: list[int] = []
        on_artefacts = 0
        for (stay, signal), events in self.events.items():
            time, value = self.raw.series[stay, signal]
            limits = (BY_NAME[signal].limits.low, BY_NAME[signal].limits.high)
            for side, limit in enumerate(limits):
                only = (limit, float("nan")) if side == 0 else (float("nan"), limit)
                begins = reference.alarms(time, value, only, delay_us)
                count[f"{signal}.{reference.SIDES[side]}"] += len(begins)
                values = dict(zip(time, value, strict=True))
                on_artefacts += sum(
                    reference.artefact(self.name, signal, values.get(begin - delay_us, float("nan")))
                    for begin in begins
                )
                caught += self._delays(
                    [event for event in events if event.side == side],
                    [_Standing(begin, 0) for begin in begins],
                    simple=True,
                )
        return {
            "alarms": count.total(),
            "alarms_per_day": count.total() / self.raw.days,
            **self._caught(caught, self.events),
            "on_artefacts": on_artefacts,
            "by_signal": _a_day(count, self.raw.days),
        }

    def _delays(
        self, events: Iterable[reference.Event], standing: Sequence[_Standing], *, simple: bool = False
    ) -> list[int]:
        """For each event during which an alarm stood, how long after its begin the alarm came (µs)."""
        delays = []
        for event in events:
            if simple:
                meets = [one for one in standing if event.begin <= one.begin <= event.end + _DELAY_US]
                before = [one for one in standing if one.begin < event.begin]
                meets = meets or before[-1:]
            else:
                meets = [one for one in standing if one.begin <= event.end + _MINUTE_US and one.end >= event.begin]
            if meets:
                delays.append(max(min(one.begin for one in meets) - event.begin, 0))
        return delays

    @staticmethod
    def _caught(delays: list[int], events: dict[tuple[str, str], list[reference.Event]]) -> dict[str, Any]:
        return {
            "events": sum(map(len, events.values())),
            "caught": len(delays),
            "median_delay_s": median(delays) / _SECOND_US if delays else float("nan"),
            "p95_delay_s": float(np.percentile(delays, 95)) / _SECOND_US if delays else float("nan"),
        }

    def engine(self, made: Run) -> dict[str, Any]:
        """The alarm engine."""
        days, anew = self.raw.days, [change for change in made.transitions if sounds_anew(change)]
        count = Counter(change.condition for change in anew)
        of_signal = Counter(f"{change.signal} {change.condition}" for change in anew if change.signal)
        standing, critical = (self._standing(made, prefix) for prefix in ("limit.", "limit.critical"))
        physiological = [change for change in anew if change.kind == "physiological" and change.value is not None]
        return {
            "alarms": len(anew),
            "alarms_per_day": len(anew) / days,
            **self._matched(self.events, standing),
            "on_artefacts": sum(
                reference.artefact(self.name, change.signal, change.value or 0.0) for change in physiological
            ),
            "rises_per_day": sum(change.event == "rose" and not change.under for change in made.transitions) / days,
            "limit_alarms_per_day": sum(change.condition.startswith("limit.") for change in anew) / days,
            "by_priority": _a_day(Counter(change.priority for change in anew), days),
            "by_condition": _a_day(count, days),
            "by_signal": _a_day(of_signal, days),
            "critical": self._matched(self.critical, critical),
            "predicted": self._predicted(made),
        }

    def _matched(
        self,
        events: dict[tuple[str, str], list[reference.Event]],
        standing: dict[tuple[str, str, int], list[_Standing]],
    ) -> dict[str, Any]:
        delays = []
        for (stay, signal), some in events.items():
            for side in range(2):
                of_side = [event for event in some if event.side == side]
                delays += self._delays(of_side, standing.get((stay, signal, side), []))
        return self._caught(delays, events)

    @staticmethod
    def _standing(made: Run, prefix: str) -> dict[tuple[str, str, int], list[_Standing]]:
        """By stay, signal and side, while an alarm stood whose condition begins with ``prefix``."""
        begun: dict[str, int] = {}
        found: dict[tuple[str, str, int], list[_Standing]] = {}
        place = {}
        for change in made.transitions:
            stands = change.standing and change.condition.startswith(prefix)
            side = 1 if change.condition.endswith("high") else 0
            when = change.emitted + made.shift[change.patient]
            if stands and change.alarm not in begun:
                begun[change.alarm] = when
                place[change.alarm] = (change.patient, change.signal, side)
            elif not stands and change.alarm in begun:
                begin = begun.pop(change.alarm)
                found.setdefault(place[change.alarm], []).append(_Standing(begin, when))
        for alarm, begin in begun.items():
            found.setdefault(place[alarm], []).append(_Standing(begin, np.iinfo(np.int64).max))
        return found

    def _predicted(self, made: Run) -> dict[str, Any]:
        """How many predictions came true, how much ahead, and whether their stated chances were true."""
        outcomes: dict[tuple[str, str], reference.Outcomes] = {}
        judged: dict[str, list[tuple[float, bool]]] = {}
        count: Counter[str] = Counter()
        leads = []
        for change in made.transitions:
            if change.condition not in _PREDICTED or not sounds_anew(change):
                continue
            side, entry = _PREDICTED[change.condition], BY_NAME[change.signal]
            name = f"{change.signal} {reference.SIDES[side]}"
            count[name] += 1
            channel = change.patient, change.signal
            if channel not in outcomes:
                outcomes[channel] = reference.Outcomes(*self.raw.series[channel], entry.plausible)
            limit = entry.limits.high if side else entry.limits.low
            came, after_us = outcomes[channel].came_true(limit, side, change.time + made.shift[change.patient])
            if came is not None:
                judged.setdefault(name, []).append((change.explanation["forecast"]["probability"], came))
                leads += [after_us / _MINUTE_US] if came else []
        together = [one for some in judged.values() for one in some]
        return {
            "count": count.total(),
            **_precision(together),
            "lead_min": median(leads) if leads else float("nan"),
            "by_signal": {name: {"count": count[name], **_precision(judged.get(name, []))} for name in sorted(count)},
        }


def _precision(judged: list[tuple[float, bool]]) -> dict[str, Any]:
    error, tenths = reference.calibration(judged)
    return {
        "judged": len(judged),
        "precision": sum(came for _, came in judged) / len(judged) if judged else float("nan"),
        "ece": error,
        "tenths": tenths,
    }


def _a_day(count: Counter[str], days: float) -> dict[str, float]:
    return {name: number / days for name, number in count.most_common()}
