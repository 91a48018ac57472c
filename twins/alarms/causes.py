"""Active alarms of one cause across patients, for display: a ward whose gateway is gone is one entry, not sixty.

A pure function of the active alarms. It changes no alarm: each keeps its state, and the entry lists all of them.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from twins.alarms.conditions import RANK
from twins.records import Transition

__all__ = ["Cause", "causes"]

TOGETHER_US = 60_000_000
"""Patients whose last readings came within this time of each other fell silent together …"""
SPAN_US = 300_000_000
"""… if the first and the last of them are not further apart than this."""
LEAST_PATIENTS = 3
MANY_PATIENTS = 10
"""So many patients are one cause whatever the size of their ward; fewer only if they are half of it."""
_SILENT = "sensor.silent"


class Cause(msgspec.Struct, kw_only=True):
    """One entry of a list of alarms: an alarm with those under it, or a ward in which many patients fell silent together.

    ``alarms`` has all of them, first the one that is shown. ``patients`` is how many patients they belong to, ``of`` how
    many the ward has. ``since`` is when it began: of a silent ward, when the last readings came (µs). ``unanswered`` is
    how many of the alarms nobody has acknowledged.
    """

    kind: Literal["alarm", "silent_ward"]
    ward: str
    alarms: list[Transition]
    patients: int
    of: int
    since: int
    priority: str
    unanswered: int


def causes(active: Iterable[Transition], sizes: Mapping[str, int]) -> list[Cause]:
    """The entries of a list of active alarms, most urgent first; ``sizes`` says how many patients each ward has.

    Every alarm is in exactly one entry.
    """
    leads, members = _by_lead(active)
    silent: dict[str, list[Transition]] = {}
    found: list[Cause] = []
    for lead in leads:
        if lead.condition == _SILENT and lead.standing:
            silent.setdefault(lead.ward, []).append(lead)
        else:
            found.append(_entry("alarm", [lead], members, sizes, lead.onset))
    for ward, alarms in silent.items():
        for together in _together(alarms):
            count = len({one.patient for one in together})
            if count >= MANY_PATIENTS or (count >= LEAST_PATIENTS and 2 * count >= sizes.get(ward, 0)):
                found.append(_entry("silent_ward", together, members, sizes, min(map(_last_heard, together))))
            else:
                found += [_entry("alarm", [one], members, sizes, one.onset) for one in together]
    return sorted(
        found, key=lambda one: (-RANK.get(one.priority, 0), not one.unanswered, -one.since, one.alarms[0].alarm)
    )


def _by_lead(active: Iterable[Transition]) -> tuple[list[Transition], dict[str, list[Transition]]]:
    """The alarms that are shown by themselves, and those under each of them, in the order given."""
    listed = list(active)
    known = {one.alarm for one in listed}
    leads: list[Transition] = []
    members: dict[str, list[Transition]] = {}
    for one in listed:
        if one.under and one.under in known and one.under != one.alarm:
            members.setdefault(one.under, []).append(one)
        else:
            leads.append(one)
    top = {one.alarm for one in leads}
    # An alarm under one that is itself under another is shown by itself: no alarm may be missing.
    for lead in [lead for lead in members if lead not in top]:
        leads += members.pop(lead)
    return leads, members


def _last_heard(alarm: Transition) -> int:
    """When the last reading came before the silence (µs)."""
    silent_s = alarm.explanation.get("silent_s", 0.0)
    return alarm.onset - round(1e6 * silent_s) if isinstance(silent_s, int | float) else alarm.onset


def _together(alarms: list[Transition]) -> list[list[Transition]]:
    """The alarms in groups whose last readings came at about the same time, each group in that order."""
    groups: list[list[Transition]] = []
    first = last = 0
    for alarm in sorted(alarms, key=lambda one: (_last_heard(one), one.alarm)):
        heard = _last_heard(alarm)
        if not groups or heard - last > TOGETHER_US or heard - first > SPAN_US:
            groups.append([])
            first = heard
        groups[-1].append(alarm)
        last = heard
    return groups


def _entry(
    kind: Literal["alarm", "silent_ward"], leads: list[Transition], members: Mapping[str, list[Transition]],
    sizes: Mapping[str, int], since: int,
) -> Cause:  # fmt: skip
    alarms = [alarm for lead in leads for alarm in (lead, *members.get(lead.alarm, ()))]
    return Cause(
        kind=kind, ward=leads[0].ward, alarms=alarms, patients=len({one.patient for one in alarms}),
        of=sizes.get(leads[0].ward, 0), since=since,
        priority=max((one.priority for one in alarms), key=lambda name: RANK.get(name, 0)),
        unanswered=sum(one.presence in ("on", "latched") for one in alarms),
    )  # fmt: skip
