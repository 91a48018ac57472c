"""History: observations, estimates, forecasts, alarms and charted facts, stored for reading back."""

from streams.history.base import Buckets, EstimateSeries, ForecastSeries, History, Page, Series, SeriesPage, Tally
from streams.history.sqlite.history import SqliteHistory

__all__ = [
    "Buckets",
    "EstimateSeries",
    "ForecastSeries",
    "History",
    "Page",
    "Series",
    "SeriesPage",
    "SqliteHistory",
    "Tally",
]
