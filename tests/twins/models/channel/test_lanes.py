"""Readings updated side by side: bit for bit as one by one, in every mixture."""

import numpy as np
import pytest

from twins.bank import layout
from twins.models.channel import filter as channel
from twins.models.channel.model import CHANNEL, update_rows
from twins.signals import SIGNALS

CODES = np.array([signal.code for signal in SIGNALS if signal.filtered])


def readings(patients, rounds, seed, *, shuffled=0.0, surprising=0.02):
    """Readings about a second apart: rows in another order each round, with spikes, steps, faults, late and repeated
    ones.
    """
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(patients) for _ in range(rounds)])
    again = np.flatnonzero(rng.random(len(rows) - 20) < shuffled)
    rows[again + rng.integers(1, 20, len(again))] = rows[again]
    signal = CODES[rows % len(CODES)].astype(np.uint16)
    time = 1_700_000_000_000_000 + np.repeat(np.arange(rounds), patients) * 1_000_000
    time += rng.integers(0, 300_000, len(rows))
    time[rng.random(len(rows)) < shuffled / 4] -= 5_000_000
    mean, spread = layout.PARAMETERS[signal, layout.A_MEAN], np.sqrt(layout.PARAMETERS[signal, layout.A_S11])
    value = np.round(mean + spread * (0.3 * rng.standard_normal(len(rows)) + (time // 60_000_000 % 3)), 1)
    odd = rng.random(len(rows))
    value[odd < surprising] *= 1.7
    value[odd > 1.0 - surprising / 4] = 0.0
    value[odd > 1.0 - surprising / 8] = np.nan
    again = np.flatnonzero(rng.random(len(rows) - 1) < shuffled / 4)
    for column in (rows, signal, time, value):
        column[again + 1] = column[again]
    return rows, signal, time, value


def one_by_one(state, rows, signal, time, value):
    def status(row, code, t, y):
        return channel.update(state[row], layout.PARAMETERS[code], float(t), y) if np.isfinite(y) else 9

    return np.array([status(*reading) for reading in zip(rows, signal, time, value, strict=True)], np.uint8)


@pytest.mark.parametrize("patients", [1, 7, 16, 40, 300])
@pytest.mark.parametrize(("shuffled", "surprising"), [(0.0, 0.0), (0.0, 0.02), (0.1, 0.05), (0.5, 0.5)])
def test_side_by_side_is_one_by_one(patients, shuffled, surprising):
    columns = readings(patients, 1 + 6_000 // patients, patients, shuffled=shuffled, surprising=surprising)
    together, alone = np.zeros((2, patients, layout.STATE_WIDTH))
    status = np.zeros(len(columns[0]), np.uint8)
    update_rows(together, layout.PARAMETERS, *columns, status)
    assert np.array_equal(status, one_by_one(alone, *columns))
    assert together.tobytes() == alone.tobytes()


def test_columns_with_gaps_are_taken_too():
    columns = readings(50, 20, 1)
    spread = [np.repeat(column, 2)[::2] for column in columns]
    states = np.zeros((2, 50), CHANNEL.dtype)
    assert np.array_equal(CHANNEL.update(states[0], *columns), CHANNEL.update(states[1], *spread))
    assert states[0].tobytes() == states[1].tobytes()
