"""History in InfluxDB 2, for the distributed service."""

from streams.history.influx.history import InfluxHistory
from streams.history.influx.preparation import mismatches, prepare

__all__ = ["InfluxHistory", "mismatches", "prepare"]
