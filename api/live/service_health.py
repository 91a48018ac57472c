"""The service's health for sockets and doors, read from the runtime a few times a second."""

import time
from math import isfinite

from api.live.protocol import Health
from api.runtime import Service

__all__ = ["ServiceHealth", "grave"]

_FRESH_S = 0.25
_STEPS_S = (5.0, 10.0, 60.0)
"""The steps (s) at which a page shows a delay differently."""


class ServiceHealth:
    """The health of a service; ``most_lag`` readings behind, new ones are refused."""

    def __init__(self, service: Service, most_lag: int) -> None:
        self._service = service
        self._most_lag = most_lag
        self._taken = -1.0
        self._health = Health()

    def now(self) -> Health:
        """The present health, at most a quarter of a second old."""
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
    """The part of a health whose changes are sent at once; the rest waits for the next heartbeat.

    >>> grave(Health(lag_s=1.0)) == grave(Health(lag_s=2.0)), grave(Health()) == grave(Health(lag_s=20.0))
    (True, False)
    """
    delays = (health.lag_s, health.estimate_age_s, abs(health.clock_apart_s))
    return health.writes, health.twins, *(sum(delay > step for step in _STEPS_S) for delay in delays)


def _writes(log: str) -> str:
    """The code of the reason why nothing can be recorded; empty if recording works."""
    if log == "ok":
        return ""
    said = log.lower()
    return "disk_full" if "full" in said or "no space" in said else "log_unavailable"


def _number(found: object) -> float:
    return float(found) if isinstance(found, int | float) and isfinite(found) else 0.0
