"""A site's own models in the step: the readings and facts they get, and what they report.

A model that fails does not affect the others: its rows are restored to their state before the call, and the failure is
added to ``bank.models.failures`` for the worker to count.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8, U2
from twins.bank.bank import Bank
from twins.models.registry import Model, Outputs
from twins.records import Columns, Fact, ModelOutputs, Status
from twins.signals import SIGNALS

__all__ = ["chart", "outputs_of", "take"]

_TAKEN = np.zeros(256, np.bool_)
_TAKEN[[Status.ACCEPTED, Status.REACQUIRED]] = True
_LOW = np.array([signal.plausible[0] for signal in SIGNALS])
_HIGH = np.array([signal.plausible[1] for signal in SIGNALS])
_NO_SIGNAL: U2 = np.empty(0, np.uint16)


def take(bank: Bank, columns: Columns, numbers: I8, status: npt.NDArray[np.uint8]) -> I8:
    """Pass a frame's readings to the models.

    All models get what the channel twin took. Models at patient level also get plausible readings of signals without a
    channel twin, such as a flow of oxygen. Returns the patients whose states may have changed.
    """
    taken = np.flatnonzero(_TAKEN[status])
    signal = columns.signal[taken]
    owners = numbers[columns.patient[taken]]
    rows = bank.slot[owners, signal].astype(np.int64)
    wider: tuple[I8, I8] | None = None
    changed = owners
    for model in bank.models:
        places, own = taken, rows
        if model.level == "patient":
            wider = wider or _wider(columns, numbers, status)
            places, own = wider
            changed = own
        if len(places):
            _update(bank, model, own, (columns.signal[places], columns.time[places], columns.value[places]))
    return changed


def _wider(columns: Columns, numbers: I8, status: npt.NDArray[np.uint8]) -> tuple[I8, I8]:
    """Places and patients of the readings that models at patient level get."""
    recorded = np.flatnonzero(status == Status.UNFILTERED)
    value, signal = columns.value[recorded], columns.signal[recorded]
    recorded = recorded[(value >= _LOW[signal]) & (value <= _HIGH[signal])]
    places = np.sort(np.concatenate([np.flatnonzero(_TAKEN[status]), recorded]))
    return places, numbers[columns.patient[places]]


def chart(bank: Bank, number: int, fact: Fact) -> bool:
    """Pass a charted fact to the models; whether it changed the state of any."""
    changed = False
    for model in bank.models:
        rows, signal, _ = _rows(bank, model, np.array([number]))
        state = bank.models.state[model.name]
        before = state[rows]
        try:
            changed |= bool(model.facts(state, rows, signal, fact))
        except Exception as error:  # noqa: BLE001 - whatever a site's model does, the step goes on
            state[rows] = before
            bank.models.failures.append((model.name, error))
    return changed


def outputs_of(bank: Bank, numbers: I8, now: int) -> list[ModelOutputs]:
    """What the models with outputs report about these patients at ``now``; the bank does not change."""
    return [told for model in bank.models if model.quantities for told in _told(bank, model, numbers, now)]


def _told(bank: Bank, model: Model, numbers: I8, now: int) -> Iterator[ModelOutputs]:
    rows, signal, owner = _rows(bank, model, numbers)
    state, own = bank.models.state[model.name][rows], np.arange(len(rows))
    try:
        model.advance(state, own, signal, now)
        mean, sd, time = _shaped(model.outputs(state, own, signal, now), len(rows), len(model.quantities))
    except Exception as error:  # noqa: BLE001 - whatever a site's model does, the step goes on
        if len(numbers) > 1:
            for number in numbers.tolist():
                yield from _told(bank, model, np.array([number]), now)
        else:
            bank.models.failures.append((model.name, error))
        return
    known = np.isfinite(mean).any(axis=1)
    yield ModelOutputs(
        model=model.name, version=model.version, level=model.level, emitted=now,
        quantities=[(name, unit) for name, unit in model.quantities],
        patients=[bank.profile(number).patient for number in numbers.tolist()],
        patient=owner[known].astype("<u4").tobytes(), signal=signal[known].tobytes() if len(signal) else b"",
        time=time[known].astype("<i8").tobytes(), mean=mean[known].astype("<f8").tobytes(),
        sd=sd[known].astype("<f8").tobytes(),
    )  # fmt: skip


def _shaped(told: Outputs, rows: int, quantities: int) -> Outputs:
    """A model's outputs as arrays; raises ``ValueError`` unless there is one line per row."""
    mean, sd, time = np.asarray(told[0], np.float64), np.asarray(told[1], np.float64), np.asarray(told[2], np.int64)
    if not mean.shape == sd.shape == (rows, quantities) or time.shape != (rows,):
        shapes = f"{mean.shape}, {sd.shape} and {time.shape}"
        raise ValueError(f"outputs has the shapes {shapes} for {rows} rows of {quantities} quantities")
    return Outputs(mean, sd, time)


def _rows(bank: Bank, model: Model, numbers: I8) -> tuple[I8, U2, I8]:
    """A model's rows of these patients, the signal of each (none at patient level), and its index in ``numbers``."""
    if model.level == "patient":
        return numbers, _NO_SIGNAL, np.arange(len(numbers))
    slots = bank.slot[numbers]
    owner, signal = np.nonzero(slots >= 0)
    return slots[owner, signal].astype(np.int64), signal.astype(np.uint16), owner


def _update(bank: Bank, model: Model, rows: I8, readings: tuple[U2, I8, F8]) -> None:
    """Pass readings to a model. If it fails, pass them row by row, so that only the rows on which it fails are lost."""
    state = bank.models.state[model.name]
    before = state[rows]
    try:
        model.update(state, rows, *readings)
    except Exception as error:  # noqa: BLE001 - whatever a site's model does, the step goes on
        state[rows] = before
        every = np.unique(rows)
        if len(every) == 1:
            bank.models.failures.append((model.name, error))
            return
        signal, time, value = readings
        for row in every.tolist():
            own = rows == row
            _update(bank, model, rows[own], (signal[own], time[own], value[own]))
