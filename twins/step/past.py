"""Episodes of the past: readings that arrived too late to alarm anybody, reported once as history, without a sound.

Readings beyond a limit are stored by their times. The episodes follow from that set alone, so the order of arrival does
not matter. They are reported when nothing more has arrived for ``SETTLE_US``. An episode that turns out to be part of
another, or was based on readings that were wrong, is withdrawn. See docs/time.md.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from twins.alarms import lifecycle
from twins.alarms.conditions import CHANNEL_CONDITIONS, priority_of
from twins.arrays import F8, I8, U1
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.memory import Past, ReportedEpisode
from twins.records import Columns, Status, Transition
from twins.signals import SIGNALS
from twins.step import arrival

__all__ = ["SETTLE_US", "forget", "gather", "settled"]


SETTLE_US = 3_000_000
LATEST_US = 60_000_000
"""They are reported after this time even if more readings keep arriving."""
APART_US = 360_000_000
"""Readings beyond a limit that are farther apart than this, or than the channel may be silent, are two episodes."""
KEEP_US = 8 * 86_400_000_000
"""Readings older than the log's time by more than this are deleted: by default nothing older is accepted."""
MOST = 4096
"""With more readings than this, a channel keeps the ends and the worst of each episode, and enough between to connect
them.
"""
_SHOWN = 8
_TAKEN = (
    Status.ACCEPTED, Status.GATED, Status.REACQUIRED, Status.LATE, Status.DUPLICATE, Status.INSERTED, Status.CORRECTED
)  # fmt: skip


class _Episode:
    """Consecutive readings beyond one limit."""

    def __init__(self, which: int, bound: float, times: I8, values: F8) -> None:
        self.which, self.bound, self.times, self.values = which, bound, times, values
        self.onset, self.end = int(times[0]), int(times[-1])
        self.worst = int(values.argmin() if CHANNEL_CONDITIONS[which].side == "low" else values.argmax())
        self.extreme = float(values[self.worst])

    def report(self, changes: int) -> ReportedEpisode:
        """The episode as it is reported."""
        return ReportedEpisode(
            which=self.which, limit=self.bound, onset=self.onset, end=self.end, extreme=self.extreme,
            first=float(self.values[0]), changes=changes,
        )  # fmt: skip

    def is_live(self, ring: F8, past: Past, apart: int) -> bool:
        """Whether present readings continue it, or did: then its alarm is a live one."""
        if any(
            told.live and told.which == self.which and self.onset <= told.onset <= self.end
            for told in past.told.values()
        ):
            return True
        times, values = ring[:, 0], ring[:, 1]
        beyond = values < self.bound if CHANNEL_CONDITIONS[self.which].side == "low" else values > self.bound
        beyond &= (times > self.end) & (times - self.end <= apart)
        return any(int(time) not in past.readings for time in times[beyond].tolist())

    def matches_report(self, told: ReportedEpisode) -> bool:
        """Whether it is unchanged since it was reported."""
        return told == self.report(told.changes)

    def essential_times(self, apart: int) -> set[int]:
        """Times of readings that give the same episode as all of its readings."""
        needed = {self.onset, self.end, int(self.times[self.worst])}
        last = before = self.onset
        for time in self.times.tolist():
            if time - last > apart:
                last = before
                needed.add(last)
            if time - last > apart:
                last = time
                needed.add(last)
            before = time
        return needed

    def shown(self) -> list[list[float]]:
        """The readings around the worst one, in the form of ``twins.alarms.explain``."""
        first = max(0, min(self.worst - _SHOWN // 2, len(self.times) - _SHOWN))
        some = slice(first, first + _SHOWN)
        return [
            [time // 1000, value]
            for time, value in zip(self.times[some].tolist(), self.values[some].tolist(), strict=True)
        ]


def gather(bank: Bank, columns: Columns, numbers: I8, status: U1, received: int) -> None:
    """Store readings of a frame that belong to the past and are beyond a limit; ``numbers`` are its patients'."""
    late = received - layout.FRESH_US
    (places,) = ((columns.time < late) & np.isin(status, _TAKEN)).nonzero()
    rows = arrival.rows_of(bank, columns, numbers)[places]
    places, rows = places[rows >= 0], rows[rows >= 0]
    age = received - columns.time[places] - bank.judged[rows, layout.LAG]
    places, rows = places[age > layout.FRESH_US], rows[age > layout.FRESH_US]
    if not len(places):
        return
    value, codes = columns.value[places], columns.signal[places]
    beyond = _beyond(bank.limit[rows], value)
    beyond &= (value >= layout.PARAMETERS[codes, layout.A_LOW]) & (value <= layout.PARAMETERS[codes, layout.A_HIGH])
    known = np.array([key in bank.past for key in zip(bank.patient_of_row[rows].tolist(), codes.tolist(), strict=True)])
    for at in (beyond | known).nonzero()[0].tolist():
        key = (int(bank.patient_of_row[rows[at]]), int(codes[at]))
        _keep(bank, key, int(columns.time[places[at]]), float(value[at]) if beyond[at] else None)


def _beyond(limit: F8, value: F8) -> npt.NDArray[np.bool_]:
    """Which values are beyond a limit of their rows; a limit that is not set is NaN."""
    with np.errstate(invalid="ignore"):
        low = (value < limit[:, layout.LOW]) | (value < limit[:, layout.CRITICAL_LOW])
        return low | (value > limit[:, layout.HIGH]) | (value > limit[:, layout.CRITICAL_HIGH])


def _keep(bank: Bank, key: tuple[int, int], time: int, value: float | None) -> None:
    past = bank.past.get(key)
    if value is None:
        # It may be the corrected value of a reading that was beyond a limit.
        if past is None or past.readings.pop(time, None) is None:
            return
    else:
        if past is None:
            past = bank.past[key] = Past()
        if past.readings.get(time) == value:
            return
        past.readings[time] = value
    _changed(bank, key, past)


def _changed(bank: Bank, key: tuple[int, int], past: Past) -> None:
    past.began = past.began or bank.time
    past.changed = bank.time
    bank.unsettled.add(key)
    bank.touch(key[0])


def forget(bank: Bank, number: int, code: int, time: int) -> None:
    """The reading at ``time`` was retracted."""
    past = bank.past.get((number, code))
    if past is not None and past.readings.pop(time, None) is not None:
        _changed(bank, (number, code), past)


def settled(bank: Bank, now: int, number: int = -1) -> list[tuple[int, Transition]]:
    """What to report at ``now`` of episodes that have settled, by patient; at once for patient ``number``."""
    told: list[tuple[int, Transition]] = []
    for key in sorted(bank.unsettled):
        past = bank.past[key]
        if not bank.live[key[0]]:
            continue
        if key[0] == number or now - past.changed >= SETTLE_US or now - past.began >= LATEST_US:
            told += [(key[0], transition) for transition in _report(bank, key, past)]
            bank.unsettled.discard(key)
            past.began = past.changed = 0
            bank.touch(key[0])
            if not past.readings and not past.told:
                del bank.past[key]
    return told


def _report(bank: Bank, key: tuple[int, int], past: Past) -> Iterator[Transition]:
    """Changes of the episodes of one channel since the last report."""
    row = int(bank.slot[key])
    if row < 0:
        return
    past.readings = {time: value for time, value in past.readings.items() if time > bank.time - KEEP_US}
    apart = max(APART_US, int(bank.limit[row, layout.SILENCE]))
    found = {_name(bank, key, episode): episode for episode in _episodes(past.readings, bank.limit[row], apart)}
    for name, episode in found.items():
        told = past.told.get(name)
        if episode.is_live(bank.ring[row], past, apart):
            heard = told is not None and not told.withdrawn
            past.told[name] = live = episode.report((told.changes if told else 0) + heard)
            live.live = live.withdrawn = True
            if heard:
                yield _transition(bank, key, name, live, {"withdrawn": "part_of_another"})
            continue
        if told is None or told.withdrawn or not episode.matches_report(told):
            told = past.told[name] = episode.report(told.changes + 1 if told else 1)
            yield _transition(bank, key, name, told, {"observations": episode.shown()})
    for name in [name for name, told in past.told.items() if told.end <= bank.time - KEEP_US]:
        del past.told[name]
    for name, told in past.told.items():
        # An episode reported under another limit keeps that limit.
        if name not in found and not told.withdrawn and told.limit == bank.limit[row, told.which]:
            told.withdrawn = True
            told.changes += 1
            part = any(one.which == told.which and one.onset <= told.onset <= one.end for one in found.values())
            yield _transition(bank, key, name, told, {"withdrawn": "part_of_another" if part else "taken_back"})
    if len(past.readings) > MOST:
        needed = set().union(*(episode.essential_times(apart // 2) for episode in found.values()))
        past.readings = {time: value for time, value in past.readings.items() if time in needed}


def _episodes(readings: dict[int, float], limit: F8, apart: int) -> Iterator[_Episode]:
    """The episodes that readings sorted by time make with the limits, by condition and onset."""
    times = np.array(sorted(readings), np.int64)
    values = np.array([readings[time] for time in times.tolist()])
    for which in range(layout.LIMIT_CONDITIONS):
        low = CHANNEL_CONDITIONS[which].side == "low"
        (beyond,) = (values < limit[which] if low else values > limit[which]).nonzero()
        if len(beyond):
            for run in np.split(beyond, np.flatnonzero(np.diff(times[beyond]) > apart) + 1):
                yield _Episode(which, float(limit[which]), times[run], values[run])


def _name(bank: Bank, key: tuple[int, int], episode: _Episode) -> str:
    """The id of an episode; never equal to that of a live alarm."""
    condition = f"past {CHANNEL_CONDITIONS[episode.which].name}"
    return lifecycle.episode(bank.profile(key[0]).patient, condition, SIGNALS[key[1]].name, episode.onset)


def _transition(
    bank: Bank, key: tuple[int, int], name: str, told: ReportedEpisode, more: dict[str, object]
) -> Transition:
    profile = bank.profile(key[0])
    condition, signal = CHANNEL_CONDITIONS[told.which], SIGNALS[key[1]]
    return Transition(
        id=f"{name}-{told.changes}",
        alarm=name,
        patient=profile.patient,
        ward=profile.ward,
        condition=condition.name,
        signal=signal.name,
        kind=condition.kind,
        priority=priority_of(told.which, key[1], told.extreme),
        presence="off",
        onset=told.onset,
        time=told.end,
        number=told.changes,
        past=True,
        standing=False,
        ended=told.end,
        value=told.extreme,
        onset_value=told.first,
        extreme=told.extreme,
        limit=told.limit,
        explanation={"past": {"from": told.onset // 1000, "to": told.end // 1000}, **more},
    )
