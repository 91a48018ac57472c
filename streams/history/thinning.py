"""Many points as few: spans of equal length, each with its mean, extremes and count; of forecasts one per span."""

import numpy as np

from streams.history.base import Buckets, EstimateSeries, ForecastSeries, Series
from twins.arrays import I8
from twins.records import Status

__all__ = ["NOT_BELIEVABLE", "bucketed", "first_made", "thinned"]

NOT_BELIEVABLE = np.zeros(256, np.bool_)
NOT_BELIEVABLE[[Status.IMPLAUSIBLE, Status.UNKNOWN_PATIENT, Status.FUTURE, Status.INVALID]] = True
"""By status: whether such a reading cannot be a value of the patient."""


def bucketed(series: Series, start_us: int, end_us: int, points: int) -> Buckets:
    """At most ``points`` summaries of the believable readings; the others are left out."""
    kept = ~NOT_BELIEVABLE[series.status]
    time, value = series.time[kept], series.value[kept]
    first, count, begin = _spans(time, start_us, end_us, points)
    if not len(first):
        return Buckets(begin, value, value, value, count)
    mean = np.add.reduceat(value, first) / count
    return Buckets(begin, mean, np.minimum.reduceat(value, first), np.maximum.reduceat(value, first), count)


def thinned(series: EstimateSeries, start_us: int, end_us: int, points: int) -> EstimateSeries:
    """At most ``points`` averages; a series that is short enough stays as it is."""
    if len(series.time) <= points:
        return series
    first, count, begin = _spans(series.time, start_us, end_us, points)
    mean = np.add.reduceat(series.mean, first) / count
    sd = np.sqrt(np.add.reduceat(series.sd**2, first) / count)
    quality = np.add.reduceat(series.quality, first, dtype=np.float64) / count
    return EstimateSeries(begin, mean, sd, quality.astype(np.float32))


def first_made(series: ForecastSeries, start_us: int, end_us: int, points: int) -> ForecastSeries:
    """The first forecast of each of at most ``points`` spans: an average of quantiles would be no forecast."""
    first, _, _ = _spans(series.time, start_us, end_us, points)
    return ForecastSeries(series.time[first], series.quantiles[first])


def _spans(time: I8, start_us: int, end_us: int, points: int) -> tuple[I8, I8, I8]:
    """For each span with rows: where it begins in sorted ``time``, how many rows it has, and when it starts."""
    width = max(1, -(-(end_us - start_us) // points))
    number = (time - start_us) // width
    first = np.flatnonzero(np.diff(number, prepend=number[:1] - 1)).astype(np.int64)
    count = np.diff(first, append=len(time)).astype(np.int64)
    return first, count, number[first] * width + start_us
