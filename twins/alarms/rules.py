"""A site's rules compiled for the kernel: flat tables of operations, and which rules are in force when."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from twins.alarms.conditions import Condition
from twins.alarms.rule_language import TERM, Fault, Program, parse
from twins.arrays import F8, I8
from twins.records import Hours, Rule, Zone

__all__ = [
    "CLEARING", "COUNTED", "IS_ON", "MOST_RULES", "MOST_TIMES", "WAITING", "Compiled", "compiled", "in_hours", "local_minute",
    "minutes",
]  # fmt: skip

MOST_RULES = 32
"""The most rules of a site: those in force for a patient are the bits of one number."""
MOST_TIMES = 8
"""The most occurrences that a rule may ask for."""
WAITING, IS_ON, COUNTED, CLEARING = 1, 2, 4, 8
"""Bits of a rule's phase: ``when`` is true and waits; the alarm is on; this occurrence is counted; it is about to end."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN, _WEEK_MIN = 1440, 7 * 1440
_EPOCH_DAY = 3
"""1 January 1970 was a Thursday."""


class Compiled(msgspec.Struct, frozen=True):
    """Rules as tables.

    ``operations`` (n, 5): operation, kind, code, comparison, bound. ``spans`` (rules, 4): begin and end of ``when`` and of
    ``clear`` in them; an empty ``clear`` means not ``when``. ``figures`` (rules, 4): wait before, clear after (µs), times,
    window (µs).
    """

    rules: tuple[Rule, ...]
    programs: tuple[Program, ...]
    clears: tuple[Program | None, ...]
    conditions: tuple[Condition, ...]
    operations: F8
    spans: I8
    figures: F8


def compiled(rules: Sequence[Rule]) -> Compiled:
    """Compile rules; one that cannot be compiled is left out, because the log may contain anything."""
    taken: list[Rule] = []
    programs: list[Program] = []
    clears: list[Program | None] = []
    for rule in rules:
        try:
            program, clear = parse(rule.when), parse(rule.clear) if rule.clear else None
        except Fault:
            continue
        if len(taken) < MOST_RULES and not any(rule.id == other.id for other in taken):
            taken.append(rule)
            programs.append(program)
            clears.append(clear)
    rows: list[tuple[float, ...]] = []
    spans = np.zeros((len(taken), 4), np.int64)
    for at, pair in enumerate(zip(programs, clears, strict=True)):
        for side, one in enumerate(pair):
            spans[at, 2 * side] = len(rows)
            rows += _rows(one) if one else []
            spans[at, 2 * side + 1] = len(rows)
    figures = [
        (rule.for_s * 1e6, rule.clear_after_s * 1e6, min(rule.times, MOST_TIMES), rule.within_s * 1e6) for rule in taken
    ]
    return Compiled(
        tuple(taken), tuple(programs), tuple(clears),
        tuple(Condition(f"rule.{rule.id}", "physiological", rule.priority, rule.latches) for rule in taken),
        np.array(rows, np.float64).reshape(-1, 5), spans, np.array(figures, np.float64).reshape(-1, 4),
    )  # fmt: skip


def _rows(program: Program) -> Iterable[tuple[float, ...]]:
    for operation, at in program.operations:
        term = program.terms[at]
        yield (
            (TERM, term.kind, term.code, term.compare, term.bound) if operation == TERM else (operation, 0.0, 0.0, 0.0, 0.0)
        )  # fmt: skip


def minutes(clock: str) -> int:
    """Minutes after midnight of a time ``HH:MM``; raises ``ValueError``.

    >>> minutes("06:30"), minutes("24:00")
    (390, 1440)
    """
    hour, _, minute = clock.partition(":")
    if not (len(hour) == len(minute) == 2 and clock.isascii() and hour.isdigit() and minute.isdigit()):
        raise ValueError(f"{clock!r} is no time of day; write HH:MM, such as 06:30")
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > _DAY_MIN:
        raise ValueError(f"{clock!r} is no time of day; write HH:MM from 00:00 to 24:00")
    return found


def local_minute(zone: Zone, time: int) -> int:
    """The minute of the week, from Monday 00:00, of a moment (µs) in a time zone.

    >>> local_minute(Zone(), 0)
    4320
    """
    ahead = 0
    for since, seconds in zone.changes:
        if since > time:
            break
        ahead = seconds
    local = (time // 1_000_000 + ahead) // 60
    return (local + _EPOCH_DAY * _DAY_MIN) % _WEEK_MIN


def in_hours(hours: Hours | None, days: Sequence[str], minute: int) -> bool:
    """Whether a minute of the week lies in ``hours`` of ``days``; a part after midnight belongs to the day it began.

    >>> night = Hours("22:00", "06:00")
    >>> [in_hours(night, ["mon"], at) for at in (1439, 1440, 1799, 1800, 2879)]
    [True, True, True, False, False]
    """
    day, now = divmod(minute, _DAY_MIN)
    begin, end = (minutes(hours.begin), minutes(hours.end)) if hours else (0, _DAY_MIN)
    if end > begin:
        return begin <= now < end and _on(days, day)
    return (now >= begin and _on(days, day)) or (now < end and _on(days, (day - 1) % 7))


def _on(days: Sequence[str], day: int) -> bool:
    return not days or _DAYS[day] in days
