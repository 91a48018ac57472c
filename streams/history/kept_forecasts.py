"""Which forecasts the history keeps: for each channel the first of every minute of effective time, unchanged.

The quantiles are computed once, when the estimate goes out, with the ``fan`` that every reader uses. A later version of
the program may forecast differently; a history that changed its past forecasts would be useless.

The schedule is in memory only; it follows from the log and from the offset where reading began. A worker that starts
from checkpoints assumes that each channel's forecast was stored in the minute of its newest reading, so it does not
replace its predecessor's forecast. If the predecessor had not stored one, that minute has none. A worker that read the
log from another offset may add a second forecast for a minute: it is as valid as the first, so this does no harm.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.history.base import KEPT_HORIZONS_MIN, KEPT_QUANTILES
from twins.arrays import F4, I8, U2, U4
from twins.bank.bank import Bank
from twins.bank.layout import LAST
from twins.models.channel.fan import fan
from twins.records import Estimates
from twins.signals import SIGNALS

__all__ = ["ForecastSchedule", "KeptForecasts"]

_MINUTE_US = 60_000_000
_NEVER = -(1 << 62)
_SIGNALS = len(SIGNALS)
_USED = ("patient", "signal", "time", "belief")
_AHEAD_US: I8 = np.array(KEPT_HORIZONS_MIN, np.int64) * _MINUTE_US


class KeptForecasts(NamedTuple):
    """Forecasts to store, as columns; ``patient`` indexes ``patients``."""

    patients: list[str]
    patient: U4
    signal: U2
    time: I8
    quantiles: F4


class ForecastSchedule:
    """When the next forecast of each channel of a bank is due, by patient and signal."""

    def __init__(self, bank: Bank) -> None:
        """``bank`` as restored: the forecasts of its channels' newest readings count as stored."""
        self._bank = bank
        self._due: I8 = np.full(max(64, bank.patients) * _SIGNALS, _NEVER, np.int64)
        rows = np.flatnonzero(bank.patient_of_row[: bank.rows] >= 0)
        places = bank.patient_of_row[rows] * _SIGNALS + bank.signal_of_row[rows]
        self._note(places, bank.state[rows, LAST].astype(np.int64))

    def of(self, estimates: Estimates, rows: dict[str, npt.NDArray[Any]]) -> KeptForecasts | None:
        """The forecasts of ``estimates`` to store, if any; they are then no longer due."""
        bank = self._bank
        if bank.patients * _SIGNALS > len(self._due):
            self._due = np.concatenate([self._due, np.full(2 * bank.patients * _SIGNALS, _NEVER, np.int64)])
        begins = np.fromiter(map(bank.index.__getitem__, estimates.patients), np.int64, len(estimates.patients))
        begins *= _SIGNALS
        # This runs for every estimate, the rest once a minute: so it uses take(), the fastest way to pick.
        places = begins.take(rows["patient"])
        places += rows["signal"]
        (due,) = (rows["time"] >= self._due.take(places)).nonzero()
        return self._told(estimates, {name: rows[name][due] for name in _USED}, places[due]) if len(due) else None

    def _told(self, estimates: Estimates, rows: dict[str, npt.NDArray[Any]], places: I8) -> KeptForecasts | None:
        quantiles = fan(rows["belief"], rows["signal"], KEPT_HORIZONS_MIN, KEPT_QUANTILES)
        # If its moment had already passed when it went out, as after an outage, it was no forecast.
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
        return KeptForecasts(names, patient.astype(np.uint32), rows["signal"], rows["time"], quantiles)

    def _note(self, places: I8, time: I8) -> None:
        """Nothing is due before the minute after ``time``."""
        self._due[places] = (time // _MINUTE_US + 1) * _MINUTE_US
