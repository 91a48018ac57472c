"""History: what was observed, estimated, foretold, alarmed and charted, kept for reading back."""

from streams.history.base import Buckets, EstimateSeries, ForecastSeries, History, Page, Series, SeriesPage
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
]
