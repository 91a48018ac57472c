"""A frame of readings: its walk in arrival order, and the rare cases that need more."""

from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twins.alarms import channel_conditions
from twins.arrays import I8
from twins.bank import layout
from twins.bank.bank import BLOCK
from twins.models.deterioration import facts
from twins.records import (
    Columns,
    Frame,
    Status,
)  # fmt: skip
from twins.signals import FILTERED
from twins.step import arrival, devices, emission, past, retraction, site_models, walk
from twins.step.correction import judge_anew
from twins.step.effects import Effects
from twins.step.emission import emit
from twins.step.ownership import foreign, name_sources, revision, sources_of
from twins.step.restate import restate
from twins.step.stays import of_this_stay

__all__ = ["walk_frame"]


_FILTERED = FILTERED.astype(np.uint8)
_NONE: I8 = np.empty(0, np.int64)
_CORRECTED, _FOREIGN, _UNFILTERED = int(Status.CORRECTED), int(Status.FOREIGN), int(Status.UNFILTERED)
"""As plain numbers, because a search in bytes with an enumeration is slower."""


class _Checked(NamedTuple):
    """A frame's readings as they are filed, without patients for those outside the stay, and what else was noticed."""

    columns: Columns
    of_stay: Columns
    early: npt.NDArray[np.bool_] | None
    """Which readings are from before the stay, if there may be any."""
    others: I8
    """The places of readings at moments that another source owns."""
    unusual: bool


def walk_frame(effects: Effects, frame: Frame) -> None:
    """Walk a frame's readings in arrival order."""
    bank = effects.bank
    columns = frame.columns
    find = bank.index.get
    numbers = np.fromiter(map(find, columns.patients or [""], repeat(-1)), np.int64)
    bank.filed = columns
    name_sources(bank, frame)
    checked = _Checked(columns, columns, None, _NONE, False)
    if not walk.usual(
        columns.patient, columns.signal, columns.time, *arrival.usual(frame.received), numbers, bank.active, bank.live,
        bank.begin, bank.slot, _FILTERED, *sources_of(frame), bank.writer,
    ) or bank.others:  # fmt: skip
        checked = _check(effects, frame, numbers)
        columns = bank.filed = checked.columns
    patient, others = checked.of_stay.patient, checked.others
    if len(others):
        patient = patient.copy()
        patient[others] = len(numbers)
        patient.flags.writeable = False
    status = np.zeros(len(columns), np.uint8)
    touched = np.zeros(len(bank.active), np.uint8)
    at = 0
    while at < len(columns):
        at = walk.frame(
            at, patient, columns.signal, columns.time, columns.value, frame.received, numbers, bank.slot,
            bank.state, bank.watch, bank.ring, bank.kept, bank.limit, bank.judged, bank.mark, bank.shown, bank.phase,
            bank.since, bank.due, bank.forecasts, bank.made, bank.stretch, bank.recent, bank.tried, bank.awaiting, bank.stated,
            bank.offsets,
            layout.PARAMETERS, status, touched, effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()
    if checked.early is not None:
        status[checked.early] = Status.BEFORE_STAY
    if len(others):
        status[others] = Status.FOREIGN
        _judge_untaken(effects, columns, numbers, others, frame.received)
    # The statuses that occur are found by a search in the bytes, which takes no time for those that do not.
    told = effects.outcome.status = status.tobytes()
    if bank.models:
        touched[site_models.take(bank, columns, numbers, status)] = 1
    if _CORRECTED in told or _FOREIGN in told:
        _revise(effects, frame, columns, numbers, status)
    if checked.unusual:
        effects.clocks(arrival.noticed(bank, frame, numbers, checked.of_stay))
        past.gather(bank, columns, numbers, status, frame.received)
    if _UNFILTERED in told:
        _measured(effects, checked.of_stay, numbers, touched)
    (moved,) = touched.view(np.bool_).nonzero()
    bank.dirty.update(np.flatnonzero(np.bincount(moved // BLOCK)).tolist())
    emit(effects, emission.due(bank, moved, effects.urgent, effects.now))


def _check(effects: Effects, frame: Frame, numbers: I8) -> "_Checked":
    """Apply the rules of times, stays and sources to a frame; opens the channels that are missing."""
    bank = effects.bank
    columns = frame.columns
    unusual = arrival.unusual(columns, frame.received)
    if unusual:
        columns = arrival.frame_in_time(bank, frame, columns)
    patient, early = of_this_stay(bank, columns, numbers)
    for place in walk.missing(patient, columns.signal, numbers, bank.slot, _FILTERED).tolist():
        bank.open_channel(int(numbers[columns.patient[place]]), int(columns.signal[place]))
    of_stay = Columns(columns.patients, patient, columns.signal, columns.time, columns.value)
    return _Checked(columns, of_stay, early, foreign(bank, frame, of_stay, numbers), unusual)


def _revise(effects: Effects, frame: Frame, columns: Columns, numbers: I8, status: npt.NDArray[np.uint8]) -> None:
    """Judge channels again after corrections of their readings, and report what was done or refused."""
    bank = effects.bank
    for place in (status == Status.CORRECTED).nonzero()[0].tolist():
        row = int(bank.slot[numbers[columns.patient[place]], columns.signal[place]])
        retraction.note(bank, row, int(columns.time[place]), within=True)
        effects.wrong[int(bank.patient_of_row[row]), int(bank.signal_of_row[row])] = "corrected"
    for place in np.isin(status, (Status.CORRECTED, Status.FOREIGN)).nonzero()[0].tolist():
        effects.outcome.revisions.append(revision(frame, columns, place, int(status[place])))
    for number, code in list(effects.wrong):
        judge_anew(effects, int(bank.slot[number, code]), "corrected")


def _measured(effects: Effects, columns: Columns, numbers: I8, touched: npt.NDArray[np.uint8]) -> None:
    """Take what devices report about oxygen, consciousness and batteries; marks patients whose profile changes."""
    devices.take_batteries(effects, columns, numbers)
    for number in facts.take(effects.bank, columns, columns.patient, numbers):
        restate(effects, number)
        touched[number] = 1


def _judge_untaken(effects: Effects, columns: Columns, numbers: I8, others: I8, received: int) -> None:
    """Let the limits see present readings that are not taken because another source owns their moments."""
    bank = effects.bank
    rows = arrival.rows_of(bank, columns, numbers)[others]
    fresh = (rows >= 0) & (received - columns.time[others] - bank.judged[rows, layout.LAG] <= layout.FRESH_US)
    for row, place in zip(rows[fresh].tolist(), others[fresh].tolist(), strict=True):
        effects.counts[0] = channel_conditions.after_late(
            row, float(columns.time[place]), float(received), float(columns.value[place]),
            layout.PARAMETERS[columns.signal[place]], bank.state[row], bank.watch[row], bank.ring[row], bank.limit[row],
            bank.judged, bank.mark[row], bank.phase[row], bank.since[row], effects.events, 0,
        )  # fmt: skip
        effects.raised()
