"""What is wrong with a chain or a schedule although it can be used: said when it is saved and when it is read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from api.accounts import Account
from api.accounts.rights import ALL_WARDS
from api.alerts.plans import local
from twins.alarms import schedules
from twins.records import SetEscalation, SetSchedule, Setting

__all__ = ["Warned", "of_chain", "of_schedule"]

DAY_US = 86_400_000_000
AHEAD_US = 28 * DAY_US
"""Gaps are looked for so far ahead."""
_MOST_GAPS = 10


@dataclass(frozen=True, slots=True)
class Warned:
    """Where something is wrong, and what."""

    field: str
    detail: str


def of_chain(
    chain: SetEscalation, settings: Mapping[tuple[str, ...], Setting], people: Collection[Account], now: int
) -> list[Warned]:
    """Steps that reach nobody: no such person or schedule, nobody with the role, nobody on call now."""
    found = []
    for place, step in enumerate(chain.steps):
        reached = [_reached(target, chain.ward, settings, people, now) for target in step.to]
        found += [
            Warned(f"steps[{place}].to[{at}]", wrong)
            for at, wrong in enumerate(reached)
            if wrong and wrong != _NOBODY_NOW
        ]
        if all(reached):
            found.append(Warned(f"steps[{place}]", "this step reaches nobody now"))
    return found


_NOBODY_NOW = "nobody is on call now"


def _reached(
    target: str, ward: str, settings: Mapping[tuple[str, ...], Setting], people: Collection[Account], now: int
) -> str:
    """Why a target reaches nobody; empty if it reaches somebody."""
    kind, _, name = target.partition(":")
    able = {one.name: one for one in people if not one.disabled}
    if kind == "person":
        return "" if name in able else f"there is no account {name}, or it is disabled"
    if kind == "role":
        there = [
            one for one in able.values() if one.role == name and (ALL_WARDS in one.wards or ward in ("", *one.wards))
        ]
        return "" if there else f"no account has the role {name}" + (f" for ward {ward}" if ward else "")
    schedule = settings.get(("schedule", name))
    if not isinstance(schedule, SetSchedule):
        return f"there is no schedule {name}"
    return "" if any(person in able for person in schedules.on_call(schedule, now)) else _NOBODY_NOW


def of_schedule(schedule: SetSchedule, people: Collection[Account], now: int) -> list[Warned]:
    """People without an account, times at which nobody is on call in the next four weeks, overrides that overlap."""
    able = {one.name for one in people if not one.disabled}
    found = [
        Warned(f"rotations[{place}].people[{at}]", f"there is no account {name}, or it is disabled")
        for place, rotation in enumerate(schedule.rotations)
        for at, name in enumerate(rotation.people)
        if name not in able
    ]
    found += [
        Warned(f"overrides[{place}].person", f"there is no account {one.person}, or it is disabled")
        for place, one in enumerate(schedule.overrides)
        if one.person not in able
    ]
    zone = schedule.rotations[0].zone if schedule.rotations else "UTC"
    gaps = schedules.gaps(schedule, now, now + AHEAD_US)
    found += [
        Warned("rotations", f"nobody is on call from {local(start, zone)} until {local(end, zone)} ({zone})")
        for start, end in gaps[:_MOST_GAPS]
    ]
    if len(gaps) > _MOST_GAPS:
        found.append(Warned("rotations", f"and {len(gaps) - _MOST_GAPS} more gaps within four weeks"))
    places = {id(one): place for place, one in enumerate(schedule.overrides)}
    found += [
        Warned(f"overrides[{places[id(other)]}]", f"overlaps overrides[{places[id(one)]}]; the later one counts")
        for one, other in schedules.overlapping(schedule.overrides)
    ]
    return found
