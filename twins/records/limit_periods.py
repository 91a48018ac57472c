"""Limits that are in force during a part of the day, and who set limits."""

import msgspec

__all__ = ["LimitPeriod", "SetAt"]


class LimitPeriod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"begin": "from", "end": "to"}):
    """Limits of one signal from ``from`` to ``to`` (HH:MM, in the ward's time zone); ``None`` follows the whole day.

    It passes midnight if ``to`` is not after ``from``.
    """

    begin: str
    end: str
    critical_low: float | None = None
    low: float | None = None
    high: float | None = None
    critical_high: float | None = None
    delay_s: float | None = None


class SetAt(msgspec.Struct, frozen=True):
    """Who set something, and when (µs)."""

    by: str
    time: int
