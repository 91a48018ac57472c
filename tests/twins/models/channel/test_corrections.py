"""Corrections by level and side: which band of level a value is in, and what the table does to a forecast."""

import numpy as np
import pytest

from twins.bank import layout
from twins.models.channel.corrections import LEVELS, corrected, level_of, nearest, table, way_back, width
from twins.models.channel.corrections_fitted import CORRECTIONS, Correction
from twins.models.channel.fan import fan
from twins.records import HORIZONS_MIN
from twins.signals import BY_NAME, FILTERED, SIGNALS

OXYGEN = BY_NAME["oxygen_saturation"]
OF_OXYGEN = layout.PARAMETERS[OXYGEN.code]


def test_a_value_lies_in_the_band_between_its_edges():
    edges = np.array(OXYGEN.levels)
    for value in (50.0, 87.9, 88.0, 91.9, 92.0, 97.0, 98.0, 100.0):
        assert level_of(OF_OXYGEN, value) == np.searchsorted(edges, value, side="right")
    without = next(signal for signal in SIGNALS if FILTERED[signal.code] and not signal.levels)
    assert level_of(layout.PARAMETERS[without.code], 1e9) == 0


def test_a_forecast_is_corrected_as_the_formula_says():
    fit = CORRECTIONS["oxygen_saturation"][60]
    h, band = HORIZONS_MIN.index(60), 1
    mean, spread = corrected(OF_OXYGEN, h, band, 0.25, -2.0, 93.0, 4.0)
    assert spread == pytest.approx(np.sqrt(4.0 + fit.doubt * 4.0))
    shift = fit.shift[band] if fit.shift else 0.0
    assert mean == pytest.approx(93.0 + (fit.back + 0.25) * -2.0 + shift * spread)
    assert way_back(OF_OXYGEN, 2.0, OXYGEN.modes.fast_s) == pytest.approx(2.0 * (1 - np.exp(-1.0)))


def test_the_table_has_the_figures_at_their_places():
    made = table({"glucose": {20: Correction(0.1, 0.7, (0.5, 0.4), (0.5,), (2.0,))}})
    own = made[BY_NAME["glucose"].code, HORIZONS_MIN.index(20)]
    assert own[0] == 0.1
    assert own[1] == 0.7
    assert own[2 : 2 + LEVELS].tolist() == [0.5, 0.4, 0.0, 0.0, 0.0]
    assert np.exp(own[2 + LEVELS :]).tolist() == [0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert not made[OXYGEN.code, 0, 2:].any()


def test_every_fitted_correction_is_of_a_filtered_signal_and_reasonable():
    for name, horizons in CORRECTIONS.items():
        bands = len(BY_NAME[name].levels) + 1
        assert FILTERED[BY_NAME[name].code]
        assert set(horizons) <= set(HORIZONS_MIN)
        for one in horizons.values():
            assert -1.0 <= one.back <= 1.0
            assert 0.0 <= one.doubt <= 1.5
            assert len(one.shift) in (0, bands)
            assert len(one.low) == len(one.high)
            assert len(one.low) in (0, bands)
            assert all(0.3 < factor < 3.0 for factor in (*one.low, *one.high))


def test_other_horizons_take_the_nearest_correction():
    assert [HORIZONS_MIN[nearest(60.0 * minutes)] for minutes in (0.5, 1.4, 1.6, 37, 38, 500)] == [1, 1, 2, 30, 45, 120]


def test_the_fan_has_the_widths_of_each_side():
    """Quantiles at 10 and 90 % lie as far from the middle as the factors of the patient's level say."""
    belief = np.zeros((1, layout.BELIEF), np.float32)
    belief[0, layout.B_LEVEL], belief[0, layout.B_SLOW] = (
        86.0,
        86.0 - OXYGEN.modes.mean,
    )  # far from the end of the range
    belief[0, layout.B_P00], belief[0, layout.B_RECENT] = 0.5, 1.0
    low, middle, high = fan(belief, np.array([OXYGEN.code], np.uint16), (60,), (0.1, 0.5, 0.9))[0, 0]
    h = HORIZONS_MIN.index(60)
    assert (high - middle) / (middle - low) == pytest.approx(
        width(OF_OXYGEN, h, 0, 1) / width(OF_OXYGEN, h, 0, 0), rel=1e-4
    )
    belief[0, layout.B_RECENT] = 4.0
    restless = fan(belief, np.array([OXYGEN.code], np.uint16), (60,), (0.1, 0.5, 0.9))[0, 0]
    assert restless[2] - restless[0] > 1.1 * (high - low)
