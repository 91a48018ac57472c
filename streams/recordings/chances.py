"""Score the chances that channels state on a recording, and the warnings that follow from them.

A chance is read after a reading, at most once a minute for each channel, and judged as ``crossings`` defines it. Warnings
are the alarms of a predicted crossing. A warning while a limit alarm of the same patient is on tells less, because
somebody is called already; so these are counted apart from *first* warnings.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.recordings.crossings import NEXT, SIDES, WINDOW_US, WITHIN, Judged, beyond, judged, usual_step_us
from twins.arrays import F4, F8, I8, U1
from twins.bank import layout
from twins.bank.bank import Bank
from twins.fitting.chances import NOTHING, Reliability, reliability, total
from twins.models.channel.chances import chances
from twins.records import Columns, Transition
from twins.signals import FILTERED, SIGNALS

__all__ = [
    "KINDS",
    "Bin",
    "ChanceScores",
    "Channel",
    "Predicted",
    "Side",
    "Stated",
    "Warned",
    "Warnings",
    "channels_of",
    "scores_of",
    "sides_of",
]  # fmt: skip

KINDS: tuple[str, str] = ("within_30_min", "next_reading")
_EVERY_US = 60_000_000
_UNKNOWN = 255
_PREDICTED = {"predicted.low": 0, "predicted.high": 1}
_MINUTE_US = 60_000_000


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a reliability table; ``begin`` and ``end`` are its edges. Means are NaN where it is empty."""

    begin: float
    end: float
    count: int
    stated: float
    true: float


class ChanceScores(msgspec.Struct, frozen=True, kw_only=True):
    """How good the stated chances of one side were; ``kind`` as in ``KINDS``.

    ``count`` chances were judged, ``events`` of them came true. ``stated`` is the mean stated chance and ``true`` the share
    that came true. ``skill`` is the Brier skill against the base rate (``true``), ``ece`` the expected calibration error.
    """

    kind: str
    count: int
    events: int
    stated: float
    true: float
    brier: float
    skill: float
    ece: float
    bins: tuple[Bin, ...]


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Warnings: how many were raised, how many could be judged, and how many came true, how much ahead (median).

    A warning raised when the newest reading is already beyond the limit is never true.
    """

    raised: int
    judged: int
    true: int
    lead_min: float


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: the stated chances together and by kind, crossings and how many were warned of, and the warnings.

    ``together.kind`` is the kind of most chances.

    A crossing is a reading beyond the limit after one that is not, with none beyond it in the 30 min before. It was
    warned of if a warning was raised within 30 min before it (readings that are sparse: within 1.5 usual steps).
    """

    side: str
    limit: float
    together: ChanceScores
    chances: list[ChanceScores]
    crossings: int
    warned: int
    first: Warned
    beside: Warned


class Predicted(NamedTuple):
    """An alarm of a predicted crossing: effective time (µs), and whether a limit alarm of the patient was on."""

    patient: str
    signal: str
    side: int
    time: int
    beside: bool


class Channel(NamedTuple):
    """The plausible readings of one channel: patient, times (µs), values, and the places of the readings in the file."""

    patient: str
    time: I8
    value: F8
    places: npt.NDArray[np.intp]


class Stated:
    """What channels stated after their readings: ``raw`` and ``stated`` (readings, low and high side), and ``kind``.

    NaN where nothing was stated or read.
    """

    def __init__(self, readings: int) -> None:
        self.raw: F4 = np.full((readings, 2), np.nan, np.float32)
        self.stated: F4 = np.full((readings, 2), np.nan, np.float32)
        self.kind: U1 = np.full(readings, _UNKNOWN, np.uint8)
        self._read: I8 = np.zeros(0, np.int64)

    def note(self, bank: Bank, rows: I8, places: npt.NDArray[np.intp], time: I8) -> None:
        """Read what ``rows`` state after the readings at ``places``, if it was not read within the last minute."""
        if len(self._read) < len(bank.state):
            self._read = np.append(self._read, np.zeros(len(bank.state) - len(self._read), np.int64))
        due = time - self._read[rows] >= _EVERY_US
        rows, places = rows[due], places[due]
        if not len(rows):
            return
        self._read[rows] = time[due]
        raw, stated, kind = np.empty((len(rows), 2)), np.empty((len(rows), 2)), np.empty(len(rows), np.uint8)
        chances(
            rows, bank.signal_of_row, bank.state, bank.watch, bank.ring, bank.limit, bank.phase, bank.offsets,
            layout.PARAMETERS, raw, stated, kind,
        )  # fmt: skip
        self.raw[places], self.stated[places], self.kind[places] = raw, stated, kind


class Warnings:
    """The warnings among transitions, in the order in which they were raised."""

    def __init__(self) -> None:
        self.raised: list[Predicted] = []
        self._on: dict[str, set[tuple[str, str]]] = {}

    def note(self, changes: Iterable[Transition]) -> None:
        """Take what one record changed."""
        for change in changes:
            running = self._on.setdefault(change.patient, set())
            if change.condition.startswith("limit."):
                (running.add if change.standing else running.discard)((change.signal, change.condition))
            elif change.condition in _PREDICTED and change.presence == "on":
                side = _PREDICTED[change.condition]
                self.raised.append(Predicted(change.patient, change.signal, side, change.time, bool(running)))


class _Parts(NamedTuple):
    """What one channel adds to the scores of a side."""

    tables: tuple[Reliability, Reliability]
    crossings: int
    warned: int
    warnings: list[tuple[bool, bool | None, int]]


def channels_of(columns: Columns) -> dict[int, list[Channel]]:
    """By signal code, the followed channels with at least two plausible readings; ``columns`` are in order of time."""
    low, high = np.array([signal.plausible for signal in SIGNALS]).T
    code = columns.signal
    usable = np.flatnonzero(FILTERED[code] & (columns.value >= low[code]) & (columns.value <= high[code]))
    channel = code[usable].astype(np.int64) * len(columns.patients) + columns.patient[usable]
    order = np.argsort(channel, kind="stable")
    found: dict[int, list[Channel]] = {}
    for places in np.split(usable[order], np.flatnonzero(np.diff(channel[order])) + 1):
        if len(places) > 1:
            patient = columns.patients[int(columns.patient[places[0]])]
            one = Channel(patient, columns.time[places], columns.value[places], places)
            found.setdefault(int(code[places[0]]), []).append(one)
    return found


def sides_of(channels: Sequence[Channel], code: int, stated: Stated, warnings: Sequence[Predicted]) -> list[Side]:
    """The scores of each limit of a signal over its channels; sides without a limit are left out."""
    signal = SIGNALS[code]
    raised: dict[tuple[str, int], list[Predicted]] = {}
    for one in warnings:
        if one.signal == signal.name:
            raised.setdefault((one.patient, one.side), []).append(one)
    sides = []
    for side, limit in enumerate((signal.limits.low, signal.limits.high)):
        if np.isfinite(limit):
            parts = [_parts(one, side, limit, stated, raised.get((one.patient, side), [])) for one in channels]
            sides.append(_side_of(parts, side, limit))
    return sides


def _side_of(parts: Sequence[_Parts], side: int, limit: float) -> Side:
    within, following = (total(part.tables[kind] for part in parts) for kind in (WITHIN, NEXT))
    most = KINDS[NEXT] if following.statements > within.statements else KINDS[WITHIN]
    warnings = [warning for part in parts for warning in part.warnings]
    return Side(
        side=SIDES[side],
        limit=limit,
        together=scores_of(within + following, most),
        chances=[
            scores_of(table, kind) for table, kind in zip((within, following), KINDS, strict=True) if table.statements
        ],
        crossings=sum(part.crossings for part in parts),
        warned=sum(part.warned for part in parts),
        first=_warned([one for one in warnings if not one[0]]),
        beside=_warned([one for one in warnings if one[0]]),
    )


def scores_of(table: Reliability, kind: str) -> ChanceScores:
    """The scores of judged chances."""
    bins = len(table.count)
    return ChanceScores(
        kind=kind,
        count=table.statements,
        events=table.events,
        stated=table.mean_stated,
        true=table.base_rate,
        brier=table.brier,
        skill=table.skill,
        ece=table.ece,
        bins=tuple(
            Bin(begin=at / bins, end=(at + 1) / bins, count=count, stated=mean, true=true)
            for at, (count, mean, true) in enumerate(zip(table.count, table.stated, table.true, strict=True))
        ),
    )


def _parts(channel: Channel, side: int, limit: float, stated: Stated, raised: list[Predicted]) -> _Parts:
    _, time, value, places = channel
    chance, kinds = stated.stated[places, side], stated.kind[places]
    known = np.isfinite(chance)
    outcomes = [judged(time, value, limit, side, kind) for kind in (WITHIN, NEXT)]
    tables = []
    for kind, (origin, came, _) in enumerate(outcomes):
        counts = known[origin] & (kinds[origin] == kind)
        tables.append(reliability(chance[origin[counts]], came[counts]) if counts.any() else NOTHING)
    warnings = [_judge(one, time, kinds, outcomes, beyond(value, limit, side)) for one in raised]
    crossed = _crossings(time, value, limit, side)
    sparse = bool(np.count_nonzero(kinds == NEXT) > np.count_nonzero(kinds == WITHIN))
    ahead_us = 1.5 * usual_step_us(time) if sparse else WINDOW_US
    when = np.array([one.time for one in raised], np.int64)
    early = (crossed[:, None] > when) & (crossed[:, None] - when <= ahead_us)
    return _Parts((tables[0], tables[1]), len(crossed), int(early.any(axis=1).sum()), warnings)


def _judge(
    one: Predicted, time: I8, kinds: U1, outcomes: Sequence[Judged], out: npt.NDArray[np.bool_]
) -> tuple[bool, bool | None, int]:
    """Of a warning: whether it was beside a limit alarm, whether it came true (``None``: unknown), how much ahead (µs)."""
    at = int(np.searchsorted(time, one.time, side="right")) - 1
    if at < 0:
        return one.beside, None, 0
    if out[at]:
        return one.beside, False, 0
    read = kinds[: at + 1][kinds[: at + 1] != _UNKNOWN]
    origin, came, after_us = outcomes[int(read[-1]) if len(read) else WITHIN]
    found = int(np.searchsorted(origin, at))
    if found == len(origin) or origin[found] != at:
        return one.beside, None, 0
    return one.beside, bool(came[found]), int(after_us[found])


def _warned(warnings: list[tuple[bool, bool | None, int]]) -> Warned:
    leads = [after_us / _MINUTE_US for _, true, after_us in warnings if true]
    return Warned(
        raised=len(warnings),
        judged=sum(true is not None for _, true, _ in warnings),
        true=len(leads),
        lead_min=float(np.median(leads)) if leads else float("nan"),
    )


def _crossings(time: I8, value: F8, limit: float, side: int) -> I8:
    """Times of readings beyond a limit after one that is not, with none beyond it in the 30 min before."""
    out = beyond(value, limit, side)
    turned = np.flatnonzero(out[1:] & ~out[:-1]) + 1
    crossed = time[out]
    before = np.append(crossed, 0)[np.searchsorted(crossed, time[turned]) - 1]
    first = np.searchsorted(crossed, time[turned]) == 0
    result: I8 = time[turned][first | (time[turned] - before > WINDOW_US)]
    return result
