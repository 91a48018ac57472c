"""Who is on call when, and whether somebody may be disturbed: pure functions of a schedule and a time."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from twins import zones
from twins.records import Override, Rotation, SetSchedule

__all__ = ["QuietHours", "gaps", "may_send", "on_call", "overlapping"]

DAY_US = 86_400_000_000
_MONDAY = 1
"""The ordinal of a Monday (1 January of the year 1)."""


class QuietHours(msgspec.Struct, frozen=True):
    """Hours of the day, by the clocks of ``zone``, in which somebody gets only high-priority alarms."""

    start: str
    end: str
    zone: str = "UTC"


def may_send(quiet: Iterable[QuietHours], priority: Literal["high", "medium", "low"], time: int) -> bool:
    """Whether a notice of ``priority`` may be sent at ``time`` (µs) to somebody with these quiet hours.

    A high-priority alarm is never held back. Quiet hours of an unknown zone do not count.

    >>> night = [QuietHours("22:00", "07:00")]
    >>> may_send(night, "medium", 0), may_send(night, "high", 0), may_send(night, "medium", 8 * 3_600_000_000)
    (False, True, True)
    """
    if priority == "high":
        return True
    return not any(zones.known(one.zone) and _between(one.zone, one.start, one.end, time) for one in quiet)


def on_call(schedule: SetSchedule, time: int) -> list[str]:
    """The people on call at ``time`` (µs), each once, in the order of the rotations.

    Of several overrides the one that is listed last counts. An override for everybody leaves only its person, even if no
    rotation has anybody then. Parts of a schedule that make no sense have nobody.
    """
    people = [person for rotation in schedule.rotations if (person := _turn(rotation, time))]
    for override in schedule.overrides:
        if not override.start <= time < override.end:
            continue
        if override.instead_of:
            people = [override.person if person == override.instead_of else person for person in people]
        else:
            people = [override.person]
    return list(dict.fromkeys(people))


def _turn(rotation: Rotation, time: int) -> str:
    """Whose turn it is in a rotation; empty if nobody's."""
    try:
        turn = _turns_since_start(rotation, time)
        if turn < 0 or not rotation.people:
            return ""
        if rotation.hours is not None and not _between(rotation.zone, *rotation.hours, time):
            return ""
    except (KeyError, ValueError, OSError, OverflowError):
        return ""  # the doors refuse such a rotation; a foreign producer can still write it
    return rotation.people[turn % len(rotation.people)]


def _turns_since_start(rotation: Rotation, time: int) -> int:
    """How many hand-overs there were from the first until ``time``; negative before it."""
    minute = zones.minutes_of(rotation.handover)
    day = zones.day_of(rotation.zone, time)
    if time < zones.instant(rotation.zone, day, minute):
        day -= 1
    first, length = zones.ordinal(rotation.start), max(1, rotation.length)
    if rotation.every == "week":
        first += (rotation.weekday - (first - _MONDAY)) % 7
        length *= 7
    return (day - first) // length


def _between(zone: str, start: str, end: str, time: int) -> bool:
    """Whether ``time`` is between two times of day; if the end is not later than the start, it is on the next day."""
    begin, until = zones.minutes_of(start), zones.minutes_of(end)
    today = zones.day_of(zone, time)
    return any(
        zones.instant(zone, day, begin) <= time < zones.instant(zone, day + (until <= begin), until)
        for day in (today - 1, today)
    )


def gaps(schedule: SetSchedule, start: int, end: int) -> list[tuple[int, int]]:
    """The times (µs) in [start, end) at which nobody is on call."""
    edges = sorted({start, *(edge for edge in _edges(schedule, start, end) if start < edge < end)})
    found: list[tuple[int, int]] = []
    for edge, following in zip(edges, [*edges[1:], end], strict=True):
        if on_call(schedule, edge):
            continue
        if found and found[-1][1] == edge:
            found[-1] = (found[-1][0], following)
        else:
            found.append((edge, following))
    return found


def _edges(schedule: SetSchedule, start: int, end: int) -> Iterable[int]:
    """All moments at which somebody else may be on call."""
    for override in schedule.overrides:
        yield override.start
        yield override.end
    for rotation in schedule.rotations:
        clocks = {rotation.handover, *(rotation.hours or ())}
        for day in range(zones.day_of(rotation.zone, start) - 1, zones.day_of(rotation.zone, end) + 2):
            for clock in clocks:
                yield zones.instant(rotation.zone, day, zones.minutes_of(clock))


def overlapping(overrides: Iterable[Override]) -> list[tuple[Override, Override]]:
    """Pairs of overrides that are in force at the same time for the same person, or one of them for everybody."""
    listed = list(overrides)
    return [
        (one, other)
        for at, one in enumerate(listed)
        for other in listed[at + 1 :]
        if one.start < other.end and other.start < one.end
        and (one.instead_of == other.instead_of or "" in (one.instead_of, other.instead_of))
    ]  # fmt: skip
