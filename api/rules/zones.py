"""Time zones by name, as tables for the log: the twins may not look anything up, and a replay must find the same."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from twins.alarms.rule_language import nearest
from twins.records import Zone

__all__ = ["UnknownZone", "zone_named"]

_BEFORE, _AFTER = timedelta(days=400), timedelta(days=3660)
"""The table covers the log's past and ten years ahead; setting the rules again renews it."""


class UnknownZone(ValueError):
    """No time zone has this name."""


@lru_cache(16)
def _zone(name: str, year: int) -> Zone:
    try:
        info = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        meant = nearest(name, sorted(available_timezones()))
        hint = f"; did you mean {meant!r}?" if meant else "; write for example 'Europe/Berlin'"
        raise UnknownZone(f"{name!r} is no time zone known here{hint}") from None
    begin = datetime(year, 1, 1, tzinfo=UTC) - _BEFORE
    end = datetime(year, 1, 1, tzinfo=UTC) + _AFTER
    changes = [(_us(begin), _ahead(info, begin))]
    at = begin
    while at < end:
        after = at + timedelta(days=1)
        if _ahead(info, after) != changes[-1][1]:
            low, high = at, after
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                low, high = (middle, high) if _ahead(info, middle) == changes[-1][1] else (low, middle)
            moment = high.replace(second=0, microsecond=0)
            changes.append((_us(moment), _ahead(info, moment)))
        at = after
    return Zone(name, changes)


def zone_named(name: str, now: int) -> Zone:
    """The time zone with an IANA name, around ``now`` (µs). Raises ``UnknownZone``."""
    return Zone() if name == "UTC" else _zone(name, datetime.fromtimestamp(now / 1e6, UTC).year)


def _ahead(info: ZoneInfo, moment: datetime) -> int:
    ahead = moment.astimezone(info).utcoffset() or timedelta()
    return round(ahead.total_seconds())


def _us(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000
