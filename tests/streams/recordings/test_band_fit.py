"""The fit of corrections finds what made the data, is not misled by few patients, and agrees with scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from streams.recordings.band_fit import (
    DOUBTS,
    Part,
    doubt_of,
    fit_bands,
    mean_of_files,
    share_and_shifts,
    smoothed,
    width_of,
)
from streams.recordings.recording import Recording
from twins.models.channel.corrections_fitted import Correction
from twins.records import Columns
from twins.signals import BY_NAME


def parts(*, files=("one", "two"), patients=40, each=80, share=0.0, doubt=0.0, shift=0.0, scale=(1.0, 1.0), seed=1):
    """Patients at two levels; in the upper band of level errors are moved by ``shift`` spreads."""
    rng = np.random.default_rng(seed)
    found = []
    for file in files:
        for _ in range(patients):
            back, spread = rng.normal(0, 2.0, each), np.full(each, 1.5)
            band = rng.integers(0, 2, each)
            whole = np.sqrt(spread**2 + doubt * back**2)
            z = rng.normal(0, 1, each)
            z *= np.where(z < 0, *scale)
            error = share * back + whole * z + shift * whole * (band == 1)
            found.append(Part(file, error, spread, back, band, z))
    return found


@pytest.mark.parametrize(("share", "shift"), [(0.3, 0.4), (-0.5, 0.0), (0.0, -0.3)])
def test_the_fit_finds_share_and_shift_that_made_the_data(share, shift):
    found, shifts = share_and_shifts(parts(share=share, shift=shift, doubt=0.3), 2)
    assert found == pytest.approx(share, abs=0.05)
    assert shifts == pytest.approx([0.0, shift], abs=0.06)


@pytest.mark.parametrize("doubt", [0.2, 0.6, 1.0])
def test_the_fit_finds_the_doubt(doubt):
    found = doubt_of(parts(doubt=doubt), 0.0)
    assert abs(DOUBTS.index(found) - DOUBTS.index(doubt)) <= 1


@pytest.mark.parametrize("scale", [(1.0, 1.6), (0.7, 1.0)])
def test_a_width_is_the_quantile_of_what_came(scale):
    """With it, a tenth lies beyond: the quantile of scipy's normal distribution, stretched on that side."""
    made = parts(scale=scale, patients=100)
    for side in range(2):
        assert width_of(made, 0, side, 0.0) == pytest.approx(math.log(scale[side]), abs=0.07)
    again = [part._replace(reach=part.reach / np.where(part.reach < 0, *scale)) for part in made]
    assert width_of(again, 0, 1, math.log(scale[1])) == pytest.approx(math.log(scale[1]), abs=0.07)


def test_nothing_is_found_where_there_is_nothing():
    found, shifts = share_and_shifts(parts(patients=8, each=30), 2)
    assert abs(found) < 0.05
    assert np.abs(shifts).max() < 0.12
    assert width_of(parts(patients=3, files=("one",)), 0, 0, 0.0) == 0.0


def test_files_that_differ_leave_a_mean_unsure():
    """The variance between files counts; with equal files the error is that of the mean of all patients, as scipy has it."""
    rng = np.random.default_rng(2)
    sums = rng.normal(0.5, 1.0, 400)
    files = ["a"] * 200 + ["b"] * 200
    mean, square = mean_of_files(files, sums, np.ones(400))
    assert mean == pytest.approx(sums.mean(), abs=0.02)
    assert math.sqrt(square) == pytest.approx(stats.sem(sums), rel=0.3)
    apart = sums + np.repeat([0.0, 2.0], 200)
    assert math.sqrt(mean_of_files(files, apart, np.ones(400))[1]) > 0.8


def test_neighbouring_horizons_share_their_figures():
    rows = np.array([[0.0, 1.0], [0.4, 1.0], [0.0, 1.0], [0.0, 1.0]])
    assert smoothed(rows)[:, 0] == pytest.approx([0.4 / 3, 0.2, 0.1, 0.0])
    assert smoothed(rows)[:, 1] == pytest.approx(1.0)
    assert smoothed(rows[:1]).tolist() == rows[:1].tolist()


def test_recordings_give_corrections_by_signal_and_horizon():
    rng = np.random.default_rng(4)
    patients, count, code = [f"p{number}" for number in range(12)], 90, BY_NAME["oxygen_saturation"].code
    time = 946_684_800_000_000 + 60_000_000 * np.tile(np.arange(count), 12)
    value = np.clip(np.round(95 + rng.normal(0, 1.5, 12 * count)), 60, 100)
    columns = Columns(
        patients, np.repeat(np.arange(12), count).astype(np.uint32), np.full(12 * count, code, np.uint16), time, value
    )
    found = fit_bands([Recording("made.csv", columns).by_time()])
    assert set(found) == {"oxygen_saturation"}
    assert set(found["oxygen_saturation"]) == {1, 2, 5, 10, 15, 20, 30, 45, 60}
    assert all(isinstance(one, Correction) for one in found["oxygen_saturation"].values())
