"""Which forecasts the history keeps: of each channel the first of every minute of effective time, as it was told.

The quantiles are worked out when the estimate goes out, by the ``fan`` that every reader uses, and never again: a later
version may foretell otherwise, and a history that changed what it had said would not be worth looking at.

What was kept is remembered in memory only, and follows from the log and where its reading began. A worker that begins
from checkpoints takes it that each channel's forecast was kept in the minute of its newest reading, so it does not replace
what its predecessor said; if that had not come to it, a minute goes without. A minute that is told again at another second,
by a worker that read the log from elsewhere, adds a forecast that was as true: duplicates are harmless.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.history.base import FORETOLD_MIN, FORETOLD_QUANTILES
from twins.arrays import F4, I8, U2, U4
from twins.bank.bank import Bank
from twins.bank.layout import LAST
from twins.models.channel.fan import fan
from twins.records import Estimates
from twins.signals import SIGNALS

__all__ = ["Foretold", "Kept"]

_MINUTE_US = 60_000_000
_NEVER = -(1 << 62)
_SIGNALS = len(SIGNALS)
_USED = ("patient", "signal", "time", "belief")
_AHEAD_US: I8 = np.array(FORETOLD_MIN, np.int64) * _MINUTE_US


class Kept(NamedTuple):
    """Forecasts to be kept, as columns; ``patient`` indexes ``patients``."""

    patients: list[str]
    patient: U4
    signal: U2
    time: I8
    quantiles: F4


class Foretold:
    """When the next forecast of each channel of a bank is due, by patient and signal."""

    def __init__(self, bank: Bank) -> None:
        """``bank`` as restored: what its channels have read was told of."""
        self._bank = bank
        self._due: I8 = np.full(max(64, bank.patients) * _SIGNALS, _NEVER, np.int64)
        rows = np.flatnonzero(bank.patient_of_row[: bank.rows] >= 0)
        places = bank.patient_of_row[rows] * _SIGNALS + bank.signal_of_row[rows]
        self._note(places, bank.state[rows, LAST].astype(np.int64))

    def of(self, estimates: Estimates, rows: dict[str, npt.NDArray[Any]]) -> Kept | None:
        """The forecasts of ``estimates`` that are to be kept, if any, which are then no longer due."""
        bank = self._bank
        if bank.patients * _SIGNALS > len(self._due):
            self._due = np.concatenate([self._due, np.full(2 * bank.patients * _SIGNALS, _NEVER, np.int64)])
        begins = np.fromiter(map(bank.index.__getitem__, estimates.patients), np.int64, len(estimates.patients))
        begins *= _SIGNALS
        # So far for every estimate, what follows for one a minute: hence take(), the fastest way to pick.
        places = begins.take(rows["patient"])
        places += rows["signal"]
        (due,) = (rows["time"] >= self._due.take(places)).nonzero()
        return self._told(estimates, {name: rows[name][due] for name in _USED}, places[due]) if len(due) else None

    def _told(self, estimates: Estimates, rows: dict[str, npt.NDArray[Any]], places: I8) -> Kept | None:
        quantiles = fan(rows["belief"], rows["signal"], FORETOLD_MIN, FORETOLD_QUANTILES)
        # Told when the moment it was for had passed, as after an outage, it was no forecast.
        quantiles[rows["time"][:, None] + _AHEAD_US < estimates.emitted] = np.nan
        good = np.isfinite(quantiles[:, -1, -1])
        if not good.all():
            places, quantiles = places[good], quantiles[good]
            rows = {name: column[good] for name, column in rows.items()}
        if not len(places):
            return None
        self._note(places, rows["time"])
        who, patient = np.unique(rows["patient"], return_inverse=True)
        names = [estimates.patients[one] for one in who.tolist()]
        return Kept(names, patient.astype(np.uint32), rows["signal"], rows["time"], quantiles)

    def _note(self, places: I8, time: I8) -> None:
        """Nothing is due before the minute after ``time``."""
        self._due[places] = (time // _MINUTE_US + 1) * _MINUTE_US
