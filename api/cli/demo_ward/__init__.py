"""The ward of ``vitaltwin demo``: its patients, the readings of their devices, and the feeder that sends them."""

from api.cli.demo_ward.cast import Bed, cast
from api.cli.demo_ward.feeder import Feeder

__all__ = ["Bed", "Feeder", "cast"]
