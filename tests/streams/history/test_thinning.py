"""Thinned series against plain sums over masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.history.base import EstimateSeries, ForecastSeries, Series
from streams.history.thinning import bucketed, first_made, thinned
from twins.records import Status


@given(
    st.lists(st.tuples(st.integers(0, 999), st.floats(-1e6, 1e6), st.sampled_from(list(Status))), max_size=60),
    st.integers(1, 50),
)
def test_buckets_are_what_masks_say(rows, points: int) -> None:
    rows = sorted({row[0]: row for row in rows}.values())
    time, value, status = (np.array([row[n] for row in rows], t) for n, t in enumerate(("i8", "f8", "u1")))
    result = bucketed(Series(time + 5000, value, status), 5000, 6000, points)
    width = -(-1000 // points)
    good = ~np.isin(status, [Status.IMPLAUSIBLE, Status.UNKNOWN_PATIENT, Status.FUTURE, Status.INVALID])
    wanted = []
    for begin in range(0, 1000, width):
        inside = value[good & (time >= begin) & (time < begin + width)]
        if len(inside):
            wanted.append((begin + 5000, inside.mean(), inside.min(), inside.max(), len(inside)))
    assert len(result.time) == len(wanted) <= points
    for column, name in enumerate(("time", "mean", "low", "high", "count")):
        assert getattr(result, name).tolist() == pytest.approx([row[column] for row in wanted], abs=1e-6)


def test_estimates_are_averaged_and_their_spread_is_the_root_mean_square() -> None:
    series = EstimateSeries(np.arange(8), np.arange(8.0), np.array([3.0, 4.0] * 4), np.ones(8, "f4"))
    result = thinned(series, 0, 8, 4)
    assert result.time.tolist() == [0, 2, 4, 6]
    assert result.mean.tolist() == [0.5, 2.5, 4.5, 6.5]
    assert result.sd.tolist() == pytest.approx([12.5**0.5] * 4)
    assert result.quality.tolist() == [1.0] * 4
    assert result.quality.dtype == np.float32


def test_a_short_series_of_estimates_stays_as_it_is() -> None:
    series = EstimateSeries(np.arange(3), np.arange(3.0), np.ones(3), np.ones(3, "f4"))
    assert thinned(series, 0, 100, 3) is series


@given(st.sets(st.integers(0, 999), max_size=60), st.integers(1, 50))
def test_of_forecasts_the_first_made_in_each_span_stays_as_it_was(times, points: int) -> None:
    time = np.array(sorted(times), "i8")
    quantiles = np.arange(9 * len(time), dtype="f4").reshape(-1, 3, 3)
    result = first_made(ForecastSeries(time + 5000, quantiles), 5000, 6000, points)
    width = -(-1000 // points)
    wanted = [
        min(inside) for begin in range(0, 1000, width) if (inside := [t for t in times if begin <= t < begin + width])
    ]
    assert (result.time - 5000).tolist() == wanted
    assert len(wanted) <= points
    np.testing.assert_array_equal(result.quantiles, quantiles[np.isin(time, wanted)])
