"""How the service fares, for everybody who follows it and for the doors: read from the runtime a few times a second."""

import time
from math import isfinite

from api.live.protocol import Health
from api.runtime import Service

__all__ = ["ServiceHealth", "grave"]

_FRESH_S = 0.25
_STEPS_S = (5.0, 10.0, 60.0)
"""Where a delay becomes another: a page tells them apart."""


class ServiceHealth:
    """The health of a service; ``most_lag`` readings behind, no more are taken."""

    def __init__(self, service: Service, most_lag: int) -> None:
        self._service = service
        self._most_lag = most_lag
        self._taken = -1.0
        self._health = Health()

    def now(self) -> Health:
        """The health of this moment, a quarter of a second old at most."""
        now = time.monotonic()
        if self._taken < 0 or now - self._taken > _FRESH_S:
            self._taken = now
            self._health = self._read()
        return self._health

    def _read(self) -> Health:
        parts = self._service.health()
        return Health(
            writes=_writes(str(parts.get("log", "ok")))
            or ("overloaded" if _number(parts.get("lag_readings")) > self._most_lag else ""),
            twins=str(parts.get("twins", "ok")),
            lag_s=_number(parts.get("lag_s")),
            clock_apart_s=_number(parts.get("clock_apart_s")),
            estimate_age_s=_number(parts.get("estimate_age_s")),
        )


def grave(health: Health) -> tuple[object, ...]:
    """What of a health is told at once when it changes; the rest waits for the next heartbeat.

    >>> grave(Health(lag_s=1.0)) == grave(Health(lag_s=2.0)), grave(Health()) == grave(Health(lag_s=20.0))
    (True, False)
    """
    delays = (health.lag_s, health.estimate_age_s, abs(health.clock_apart_s))
    return health.writes, health.twins, *(sum(delay > step for step in _STEPS_S) for delay in delays)


def _writes(log: str) -> str:
    """The code of what keeps anything from being recorded; empty when nothing does."""
    if log == "ok":
        return ""
    said = log.lower()
    return "disk_full" if "full" in said or "no space" in said else "log_unavailable"


def _number(found: object) -> float:
    return float(found) if isinstance(found, int | float) and isfinite(found) else 0.0
