"""Check a sender's time: no reading is filed later than it arrived, and a wrong clock is detected.

A reading dated more than ``AHEAD_US`` after its arrival comes from a clock that is ahead. It is filed as if the newest
reading of its upload had been measured on arrival, so it hides no later reading. The time that the sender *claimed* is
remembered, together with the time under which the reading is filed, for the newest such readings of a channel. A sender
whose readings are again and again old by the same time has a clock that is behind. See docs/time.md.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from twins.arrays import I8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.memory import Clock
from twins.records import Columns, Fact, Frame, Retract
from twins.signals import BY_NAME, SIGNALS
from twins.step.walk import FUTURE_US, extent

__all__ = [
    "AHEAD_US",
    "ClockChange",
    "fact_in_time",
    "frame_in_time",
    "noticed",
    "retraction_in_time",
    "rows_of",
    "settled",
    "unusual",
    "usual",
]


AHEAD_US = 2_000_000
"""How far after its arrival a reading may be dated: clocks that are synchronised differ by less."""
CLAIMS = layout.RING
"""How many claimed times of a channel are remembered."""
QUIET_US = 30_000_000
"""A clock counts as right again when readings came in time, and for this long no others came."""
STEADY_US = 5_000_000
"""A clock is behind if the ages of its readings agree within this; a line that was down gives ages that do not …"""
STEADY_SPARSE_US = 60_000_000
"""… or within this, if a channel may be silent for more than a minute."""
_ENOUGH = ((10, 60_000_000), (3, 600_000_000))
"""An age is steady after this many uploads over this many µs."""


class ClockChange(msgspec.Struct, frozen=True):
    """A sender's clock was found wrong (``apart`` µs, ahead is positive) or right again (0)."""

    number: int
    code: int
    apart: int


def usual(received: int) -> tuple[int, int]:
    """The range of times (µs) of readings that arrive as they should."""
    return received - int(layout.FRESH_US), received + AHEAD_US


def unusual(columns: Columns, received: int) -> bool:
    """Whether any reading is dated ahead of its arrival, or so far back that it may belong to the past."""
    oldest, newest = extent(columns.time)
    begin, end = usual(received)
    return bool(len(columns) and (newest > end or oldest < begin))


def frame_in_time(bank: Bank, frame: Frame, columns: Columns) -> Columns:
    """The readings of ``frame`` under the times at which they are filed; those too far ahead are unchanged."""
    ahead = columns.time > frame.received + AHEAD_US
    if bank.claims:
        ahead |= columns.time < frame.received - int(layout.FRESH_US)
    if not ahead.any():
        return columns
    time = columns.time.copy()
    for places in _uploads(frame, columns, ahead):
        _file(bank, columns, places, frame.received, time)
    time.flags.writeable = False  # as it comes from the wire: a read-only array is another type to the kernels
    return Columns(columns.patients, columns.patient, columns.signal, time, columns.value)


def _uploads(frame: Frame, columns: Columns, wanted: npt.NDArray[np.bool_]) -> Iterator[I8]:
    """The places of each channel's readings from one sender, for the uploads that contain one of the ``wanted``."""
    source = np.frombuffer(frame.source, "<u2") if frame.source else np.zeros(len(columns), np.uint16)
    within = (columns.patient < len(columns.patients)) & (columns.signal < len(SIGNALS))
    within &= columns.time <= frame.received + FUTURE_US
    key = (columns.patient.astype(np.int64) << 32) | (columns.signal.astype(np.int64) << 16) | source
    chosen = within & np.isin(key, key[wanted & within])
    (places,) = chosen.nonzero()
    order = places[np.argsort(key[places], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if len(part):
            yield part


def _file(bank: Bank, columns: Columns, places: I8, received: int, time: I8) -> None:
    """Write the times under which one channel's readings of one upload are filed."""
    code = int(columns.signal[places[0]])
    number = bank.index.get(columns.patients[columns.patient[places[0]]], -1)
    claims = bank.claims.get((number, code), {})
    if not claims and int(columns.time[places].max()) - received <= AHEAD_US:
        return
    claimed = columns.time[places].tolist()
    fresh = [moment for moment in claimed if moment not in claims]
    lead = max(fresh, default=0) - received
    row = int(bank.slot[number, code]) if number >= 0 else -1
    held = set(bank.ring[row, :, 0].tolist()) if row >= 0 else set()
    for place, moment in zip(places.tolist(), claimed, strict=True):
        known = claims.get(moment)
        if known is not None:
            # A claimed time that has already passed may belong to another sender, whose clock is right.
            if moment > received + AHEAD_US or (moment < received - layout.FRESH_US and moment not in held):
                time[place] = known
        elif lead > AHEAD_US:
            filed = moment - lead
            while filed in held or filed in claims.values():
                filed += 1
            time[place] = filed
            if number >= 0 and bank.live[number]:
                claims[moment] = filed
                bank.claims[number, code] = claims
    while len(claims) > CLAIMS:
        del claims[next(iter(claims))]


def retraction_in_time(bank: Bank, command: Retract) -> Retract:
    """``command`` with the time under which its reading is filed."""
    signal = BY_NAME.get(command.signal)
    number = bank.index.get(command.patient, -1)
    if signal is None or number < 0:
        return command
    filed = bank.claims.get((number, signal.code), {}).get(command.time)
    row = int(bank.slot[number, signal.code])
    if filed is None or (row >= 0 and command.time in bank.ring[row, :, 0]):
        return command
    return msgspec.structs.replace(command, time=filed)


def fact_in_time(fact: Fact, now: int) -> Fact:
    """``fact``, with a time no later than ``now``, when it arrived."""
    return msgspec.structs.replace(fact, time=now) if fact.time > now else fact


def noticed(bank: Bank, frame: Frame, numbers: I8, filed: Columns) -> list[ClockChange]:
    """What an upload shows about its senders' clocks; ``numbers`` are those of its patients, -1 if not admitted."""
    sent = frame.columns.time
    odd = (sent > frame.received + AHEAD_US) & (sent <= frame.received + FUTURE_US)
    odd |= sent < frame.received - int(layout.FRESH_US)
    (places,) = odd.nonzero()
    if not len(places):
        return []
    rows = rows_of(bank, filed, numbers)
    own = np.unique(rows[places])
    own = own[own >= 0]
    newest = np.full(len(own), np.iinfo(np.int64).min)
    here = np.isin(rows, own) & (sent <= frame.received + FUTURE_US)
    np.maximum.at(newest, np.searchsorted(own, rows[here]), sent[here])
    turned = [
        _notice(bank, row, moment, frame.received) for row, moment in zip(own.tolist(), newest.tolist(), strict=True)
    ]
    return [one for one in turned if one is not None]


def rows_of(bank: Bank, columns: Columns, numbers: I8) -> I8:
    """The channel's row of each reading, -1 if no twin follows it."""
    rows = np.full(len(columns), -1)
    (known,) = ((columns.patient < len(numbers)) & (columns.signal < len(SIGNALS))).nonzero()
    number = numbers[columns.patient[known]]
    rows[known] = np.where(number >= 0, bank.slot[number, columns.signal[known]], -1)
    return rows


def _notice(bank: Bank, row: int, moment: int, received: int) -> ClockChange | None:
    number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
    age = received - moment
    dense = SIGNALS[code].silence_s <= 60.0
    if 0 <= age <= (layout.FRESH_US if dense else bank.recent_us(row)):
        return None
    clock = bank.clocks.get((number, code))
    if clock is None or (clock.least < 0) != (age < 0):
        was = clock is not None and clock.told
        clock = bank.clocks[number, code] = Clock(first=received, least=age, most=age, told=was)
    tolerance = STEADY_US if dense else STEADY_SPARSE_US
    if not clock.most - tolerance <= age <= clock.least + tolerance:
        clock.first, clock.least, clock.most, clock.uploads = received, age, age, 0
    clock.least, clock.most = min(clock.least, age), max(clock.most, age)
    clock.uploads += received > clock.seen
    clock.seen = received
    if age > 0:
        steady = any(clock.uploads >= many and received - clock.first >= span for many, span in _ENOUGH)
        if not steady:
            return None
        bank.judged[row, layout.LAG] = clock.least
    if clock.told:
        return None
    clock.told = True
    return ClockChange(number, code, -age)


def settled(bank: Bank, now: int) -> list[ClockChange]:
    """The clocks that are right again at ``now``; they are removed from those known to be wrong."""
    found = []
    for (number, code), clock in list(bank.clocks.items()):
        row = int(bank.slot[number, code])
        heard = bank.watch[row, layout.RECEIVED] if row >= 0 else 0.0
        if not bank.live[number]:
            continue
        if row < 0 or (heard > clock.seen and now - clock.seen >= QUIET_US):
            del bank.clocks[number, code]
            if row >= 0:
                bank.judged[row, layout.LAG] = 0.0
            if clock.told:
                found.append(ClockChange(number, code, 0))
    return found
