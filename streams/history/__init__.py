"""History: what was observed, estimated, alarmed and charted, kept for reading back."""

from streams.history.base import Buckets, EstimateSeries, History, Page, Series, SeriesPage
from streams.history.sqlite import SqliteHistory

__all__ = ["Buckets", "EstimateSeries", "History", "Page", "Series", "SeriesPage", "SqliteHistory"]
