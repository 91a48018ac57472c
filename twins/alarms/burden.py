"""How much the alarms of a period demand of the staff: rates, floods, answers, and how they compare with guidelines.

An alarm counts when it calls: when its condition begins, or begins again. An alarm that rises in priority, becomes clearly
worse or reminds calls too; these ``rises`` are counted beside the alarms. What does not sound does not count: past
episodes, and alarms that are grouped under another one.

The guidelines are those of process control, EEMUA 191 and ISA-18.2. No hospital standard has such figures. They are about one
operator; here a ward stands for the operator.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from twins.alarms.table import ANNUNCIATES
from twins.records import Stay, Transition

__all__ = [
    "BANDS", "FLOOD_ENDS", "FLOOD_OVER", "SOON_US", "SPAN_US", "Answers", "Band", "Burden", "Flood", "Group", "Guideline",
    "Source", "Tally", "band_of", "calls", "floods_of", "patient_days",
]  # fmt: skip

SPAN_US = 600_000_000
"""Rates are per 10 min."""
FLOOD_OVER, FLOOD_ENDS = 10, 5
"""A flood begins with more than 10 alarms in 10 min and ends when fewer than 5 come in 10 min (ISA-18.2)."""
SOON_US = 10_000_000
"""An alarm that ends by itself within 10 s needed nobody, or came too early."""
BANDS: tuple[tuple[float, str], ...] = ((1.0, "acceptable"), (2.0, "manageable"), (5.0, "demanding"))
"""Up to so many alarms in 10 min (EEMUA 191); more is ``unacceptable``."""
_DAY_US = 86_400_000_000
_TOP = 10
_AGAIN = ANNUNCIATES - {"began", "recurred"}

Band = Literal["acceptable", "manageable", "demanding", "unacceptable", "unknown"]
Hour = Callable[[int], int]


class Group(msgspec.Struct, kw_only=True):
    """The alarms of one priority, condition, ward, hour or device.

    Of the ``alarms``, ``acknowledged`` were acknowledged and ``ended_soon`` ended by themselves within 10 s. Rates are per
    patient-day (null without patients) and per 10 min.
    """

    name: str
    alarms: int
    rises: int
    acknowledged: int
    ended_soon: int
    per_patient_day: float | None
    per_10_min: float


class Source(msgspec.Struct, kw_only=True):
    """A patient and condition that alarmed often; ``share`` is its share of all alarms."""

    patient: str
    ward: str
    condition: str
    signal: str
    alarms: int
    share: float


class Flood(msgspec.Struct, kw_only=True):
    """More than 10 alarms of a ward within 10 min, until fewer than 5 come in 10 min; times are µs."""

    ward: str
    begin: int
    end: int
    alarms: int


class Answers(msgspec.Struct, kw_only=True):
    """What became of the alarms: shares of all (null without alarms), and the time until somebody acknowledged.

    ``unanswered`` are neither acknowledged nor over at the end of the period.
    """

    acknowledged: int
    acknowledged_share: float | None
    median_s: float | None
    p95_s: float | None
    ended_soon: int
    ended_soon_share: float | None
    unanswered: int


class Guideline(msgspec.Struct, kw_only=True):
    """A figure beside its guideline; ``met`` is null if there is nothing to judge."""

    name: str
    value: float | None
    limit: float
    met: bool | None


class Burden(msgspec.Struct, kw_only=True):
    """The burden of a period, in all and by group; the groups are in descending order of alarms, hours in their order."""

    start: int
    end: int
    patient_days: float
    alarms: int
    rises: int
    grouped: int
    withdrawn: int
    per_patient_day: float | None
    per_10_min: float
    band: Band
    most_in_10_min: int
    most_at: int
    answers: Answers
    by_priority: list[Group]
    by_condition: list[Group]
    by_ward: list[Group]
    by_hour: list[Group]
    by_device: list[Group]
    floods: list[Flood]
    sources: list[Source]
    guidelines: list[Guideline]


class _Call(msgspec.Struct):
    """An alarm since it called, until somebody acknowledges it and it ends."""

    time: int
    keys: tuple[tuple[str, str], ...]
    acknowledged: bool = False
    over: bool = False


def calls(transition: Transition) -> Literal["", "alarm", "rise"]:
    """Whether a transition sounds anew: as an alarm that began or began again, or as one that rose, worsened or reminds.

    A transition that an earlier version stored does not say what caused it: then only the first of an alarm counts.
    """
    event = transition.event
    if transition.past or transition.under:
        return ""
    if event in {"began", "recurred"}:
        return "alarm"
    if event in _AGAIN:
        return "rise"
    return "alarm" if not event and transition.number == 1 and transition.presence == "on" else ""


def band_of(per_10_min: float) -> Band:
    """The band of EEMUA 191 that a rate per 10 min lies in.

    >>> band_of(0.7), band_of(1.5), band_of(4.0), band_of(12.0)
    ('acceptable', 'manageable', 'demanding', 'unacceptable')
    """
    for most, name in BANDS:
        if per_10_min <= most:
            return name  # type: ignore[return-value] # the names in the table are those of the type
    return "unacceptable"


def floods_of(times: Iterable[int], ward: str = "") -> list[Flood]:
    """The floods among sorted times of alarms (µs)."""
    found: list[Flood] = []
    window: deque[int] = deque()
    flood: Flood | None = None
    for time in times:
        window.append(time)
        while window[0] <= time - SPAN_US:
            window.popleft()
        if flood is not None and len(window) < FLOOD_ENDS:
            flood = None
        if flood is not None:
            flood.end, flood.alarms = time, flood.alarms + 1
        elif len(window) > FLOOD_OVER:
            # The last alarms of the flood before may still be in the window.
            fresh = [at for at in window if not found or at > found[-1].end]
            flood = Flood(ward=ward, begin=fresh[0], end=time, alarms=len(fresh))
            found.append(flood)
    return found


def patient_days(stays: Iterable[Stay], start: int, end: int) -> dict[str, float]:
    """Patient-days in [start, end) by ward; a whole stay counts for its last ward."""
    days: dict[str, float] = defaultdict(float)
    for stay in stays:
        from_us, until = max(start, stay.admitted), min(end, stay.discharged or end)
        if until > from_us:
            days[stay.ward] += (until - from_us) / _DAY_US
    return dict(days)


class Tally:
    """Gathers the transitions of [start, end), which must come in order of time, and sums them up.

    ``hour`` gives the hour of the day (0–23) of a time in µs. ``end`` is also the moment at which it is judged whether an alarm
    was answered.
    """

    def __init__(self, start: int, end: int, hour: Hour = lambda time: time // 3_600_000_000 % 24) -> None:
        self._start, self._end, self._hour = start, end, hour
        self._counts: dict[str, Counter[tuple[str, str]]] = {
            name: Counter() for name in ("alarms", "rises", "acknowledged", "ended_soon")
        }
        self._calls: dict[str, _Call] = {}
        self._times: dict[str, list[int]] = defaultdict(list)
        self._sources: Counter[tuple[str, str, str, str]] = Counter()
        self._waits: list[float] = []
        self._grouped = self._withdrawn = 0

    def add(self, transition: Transition) -> None:
        """Count one transition."""
        if not self._start <= transition.time < self._end:
            return
        what = calls(transition)
        if what == "alarm":
            self._called(transition)
        elif what == "rise":
            self._count("rises", self._keys(transition))
        elif transition.event == "grouped":
            self._grouped += 1
        if transition.presence == "off" and "withdrawn" in transition.explanation:
            self._withdrawn += 1
        call = self._calls.get(transition.alarm)
        if call is not None and not what:
            self._answer(call, transition)

    def _called(self, transition: Transition) -> None:
        keys = self._keys(transition)
        self._count("alarms", keys)
        self._times[transition.ward].append(transition.time)
        self._sources[transition.patient, transition.ward, transition.condition, transition.signal] += 1
        self._calls[transition.alarm] = _Call(transition.time, keys)

    def _answer(self, call: _Call, transition: Transition) -> None:
        # An acknowledgement of a latched alarm ends it, so it has no presence of its own.
        answered = transition.presence == "acknowledged" or (
            transition.presence == "off" and bool(transition.by) and transition.event in {"", "acknowledged"}
        )
        if answered and not call.acknowledged:
            call.acknowledged = True
            self._count("acknowledged", call.keys)
            self._waits.append((transition.time - call.time) / 1e6)
        if not transition.standing and not call.over:
            call.over = True
            ended = transition.ended or transition.time
            if not call.acknowledged and ended - call.time <= SOON_US:
                self._count("ended_soon", call.keys)

    def _keys(self, transition: Transition) -> tuple[tuple[str, str], ...]:
        return (
            ("", ""),
            ("priority", transition.priority),
            ("condition", transition.condition),
            ("ward", transition.ward),
            ("hour", f"{self._hour(transition.time):02d}"),
            ("device", str(transition.explanation.get("device", ""))),
        )

    def _count(self, what: str, keys: Iterable[tuple[str, str]]) -> None:
        self._counts[what].update(keys)

    # -- the sum -------------------------------------------------------------------------------------------------

    def sum_up(self, days: Mapping[str, float]) -> Burden:
        """The burden; ``days`` are the patient-days by ward (see ``patient_days``)."""
        alarms = self._counts["alarms"]["", ""]
        whole = self._group("", "", sum(days.values()))
        floods = sorted(
            (flood for ward, times in self._times.items() for flood in floods_of(sorted(times), ward)),
            key=lambda flood: (flood.begin, flood.ward),
        )
        most, most_at = self._busiest()
        sources = [
            Source(patient=key[0], ward=key[1], condition=key[2], signal=key[3], alarms=count, share=count / alarms)
            for key, count in heapq.nsmallest(_TOP, self._sources.items(), key=lambda item: (-item[1], item[0]))
        ]
        by_ward = self._groups("ward", days)
        return Burden(
            start=self._start, end=self._end, patient_days=sum(days.values()),
            alarms=alarms, rises=whole.rises, grouped=self._grouped, withdrawn=self._withdrawn,
            per_patient_day=whole.per_patient_day, per_10_min=whole.per_10_min,
            band=band_of(max((ward.per_10_min for ward in by_ward), default=0.0)) if self._end > self._start else "unknown",
            most_in_10_min=most, most_at=most_at, answers=self._answers(alarms),
            by_priority=self._groups("priority", sum(days.values())),
            by_condition=self._groups("condition", sum(days.values())),
            by_ward=by_ward,
            by_hour=[self._group("hour", f"{hour:02d}", sum(days.values())) for hour in range(24)],
            by_device=self._groups("device", sum(days.values())),
            floods=floods, sources=sources, guidelines=self._guidelines(by_ward, floods, sources),
        )  # fmt: skip

    def _groups(self, of: str, days: float | Mapping[str, float]) -> list[Group]:
        names = {name for counts in self._counts.values() for kind, name in counts if kind == of}
        if not isinstance(days, float | int):
            names |= days.keys()
        found = [
            self._group(of, name, days if isinstance(days, float | int) else days.get(name, 0.0)) for name in names
        ]
        return sorted(found, key=lambda one: (-one.alarms, one.name))

    def _group(self, of: str, name: str, days: float) -> Group:
        counts = {what: count[of, name] for what, count in self._counts.items()}
        spans = (self._end - self._start) / SPAN_US
        return Group(
            name=name,
            per_patient_day=counts["alarms"] / days if days > 0 else None,
            per_10_min=counts["alarms"] / spans if spans > 0 else 0.0,
            **counts,
        )

    def _busiest(self) -> tuple[int, int]:
        """The most alarms of one ward within 10 min, and when the first of them came."""
        most, at = 0, 0
        for times in self._times.values():
            window: deque[int] = deque()
            for time in sorted(times):
                window.append(time)
                while window[0] <= time - SPAN_US:
                    window.popleft()
                if len(window) > most:
                    most, at = len(window), window[0]
        return most, at

    def _answers(self, alarms: int) -> Answers:
        waits = sorted(self._waits)
        acknowledged, soon = self._counts["acknowledged"]["", ""], self._counts["ended_soon"]["", ""]
        return Answers(
            acknowledged=acknowledged,
            acknowledged_share=acknowledged / alarms if alarms else None,
            median_s=_quantile(waits, 0.5),
            p95_s=_quantile(waits, 0.95),
            ended_soon=soon,
            ended_soon_share=soon / alarms if alarms else None,
            unanswered=sum(not (call.acknowledged or call.over) for call in self._calls.values()),
        )

    def _guidelines(self, by_ward: list[Group], floods: list[Flood], sources: list[Source]) -> list[Guideline]:
        """ISA-18.2 and EEMUA 191 beside what was found; rates are those of the busiest ward."""
        length = self._end - self._start
        alarms = self._counts["alarms"]["", ""]
        flooded: Counter[str] = Counter()
        for flood in floods:
            flooded[flood.ward] += flood.end - flood.begin
        share = (
            {name: self._counts["alarms"]["priority", name] / alarms for name in ("high", "medium", "low")}
            if alarms
            else {}
        )
        rate = max((ward.per_10_min for ward in by_ward), default=0.0) if length > 0 else None
        return [
            _guideline("per_10_min", rate, 1.0),
            _guideline("most_in_10_min", float(self._busiest()[0]) if length > 0 else None, float(FLOOD_OVER)),
            _guideline("flooded_share", max(flooded.values(), default=0) / length if length > 0 else None, 0.01),
            _guideline("top_sources_share", sum(source.share for source in sources) if alarms else None, 0.05),
            _guideline("high_share", share.get("high"), 0.05),
            _guideline("medium_share", share.get("medium"), 0.15),
            _guideline("ended_soon_share", self._counts["ended_soon"]["", ""] / alarms if alarms else None, 0.0),
        ]


def _guideline(name: str, value: float | None, limit: float) -> Guideline:
    return Guideline(name=name, value=value, limit=limit, met=None if value is None else value <= limit)


def _quantile(values: list[float], share: float) -> float | None:
    """A quantile of sorted values, interpolated; ``None`` of none."""
    if not values:
        return None
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])
