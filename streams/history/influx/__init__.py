"""History in InfluxDB 2: what the distributed service writes and reads."""

from streams.history.influx.history import InfluxHistory
from streams.history.influx.preparation import mismatches, prepare

__all__ = ["InfluxHistory", "mismatches", "prepare"]
