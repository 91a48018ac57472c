"""Bands of level by clinical edges, and the factors fitted to them."""

import numpy as np
import pytest

from twins.bank.layout import HORIZONS_MIN, PARAMETERS
from twins.models.channel.level_widths import WIDTHS
from twins.models.channel.levels import LEVELS, level_of, width
from twins.signals import BY_NAME, FILTERED, SIGNALS

SPO2 = PARAMETERS[BY_NAME["oxygen_saturation"].code]


@pytest.mark.parametrize(("value", "band"), [(60, 0), (87.9, 0), (88, 1), (91, 1), (92, 2), (96, 3), (98, 4), (100, 4)])
def test_a_value_on_an_edge_belongs_to_the_band_above(value, band):
    assert level_of(SPO2, float(value)) == band


def test_a_signal_without_edges_has_one_band():
    assert level_of(PARAMETERS[BY_NAME["diastolic_bp"].code], 20.0) == 0


def test_edges_rise_and_lie_in_what_is_plausible():
    for signal in SIGNALS:
        assert list(signal.levels) == sorted(set(signal.levels))
        assert len(signal.levels) in {0, LEVELS - 1}
        assert all(signal.plausible[0] < edge < signal.plausible[1] for edge in signal.levels)


def test_the_kernels_read_the_table():
    for name, rows in WIDTHS.items():
        signal = BY_NAME[name]
        assert FILTERED[signal.code]
        assert signal.levels
        for minutes, sides in rows.items():
            for side, factors in enumerate(sides):
                assert len(factors) == LEVELS
                found = [
                    width(PARAMETERS[signal.code], HORIZONS_MIN.index(minutes), band, side) for band in range(LEVELS)
                ]
                assert np.exp(found) == pytest.approx(factors)


def test_where_nothing_was_fitted_a_band_is_as_it_is():
    assert width(PARAMETERS[BY_NAME["skin_temperature"].code], 3, 0, 1) == 0.0
