"""Local dates and times of day: the only module of ``twins`` that knows the rules of time zones. It reads no clock."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["day_of", "instant", "known", "minutes_of", "ordinal"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def known(name: str) -> bool:
    """Whether there is a time zone of this name.

    >>> known("Europe/Berlin"), known("Europe/Atlantis")
    (True, False)
    """
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def day_of(zone: str, time: int) -> int:
    """The local date at ``time`` (µs since 1970 UTC), as a day number (see ``ordinal``); raises ``KeyError``.

    >>> day_of("Europe/Berlin", 0) == ordinal("1970-01-01")
    True
    """
    return (_EPOCH + timedelta(microseconds=time)).astimezone(_zone(zone)).toordinal()


def instant(zone: str, day: int, minute: int) -> int:
    """When clocks show ``minute`` of the day on a day for the first time, in µs since 1970 UTC.

    A time that a change of the clocks leaves out counts by the clock before the change. Raises ``KeyError``.

    >>> instant("Europe/Berlin", ordinal("2026-03-29"), 8 * 60) - instant("Europe/Berlin", ordinal("2026-03-28"), 8 * 60)
    82800000000
    """
    there = datetime.fromordinal(day).replace(hour=minute // 60, minute=minute % 60, tzinfo=_zone(zone))
    return (there - _EPOCH) // timedelta(microseconds=1)


def ordinal(day: str) -> int:
    """The number of a day written YYYY-MM-DD; raises ``ValueError``.

    >>> ordinal("2026-11-02") - ordinal("2026-11-01")
    1
    """
    return date.fromisoformat(day).toordinal()


def minutes_of(clock: str) -> int:
    """Minutes since midnight of a time written HH:MM; raises ``ValueError``.

    >>> minutes_of("08:30")
    510
    """
    hours, colon, minutes = clock.partition(":")
    if not (colon and len(hours) == len(minutes) == 2 and clock.replace(":", "").isdecimal() and clock.isascii()):
        raise ValueError(f"{clock!r} is not a time like 08:00")
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"{clock!r} is not a time of a day")
    return int(hours) * 60 + int(minutes)
