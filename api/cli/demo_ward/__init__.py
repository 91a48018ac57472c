"""The ward of ``vitaltwin demo``: who lies in it, what their devices send, and the feeder that keeps it alive."""

from api.cli.demo_ward.cast import Bed, cast
from api.cli.demo_ward.feeder import Feeder

__all__ = ["Bed", "Feeder", "cast"]
