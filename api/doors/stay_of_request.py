"""Finds the stay that a request is about, and checks whether the caller may see it.

Every view shows one stay. The default is the patient's newest stay; the caller needs the right to see the patient. An
earlier stay needs the right for the ward where it ended, wherever the id is used now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from api.accounts import Action, Actor, require
from api.context import AppContext, patient_of
from api.http.answers import iso
from api.http.fields import Moment
from api.http.problems import Problem
from twins.records import Profile, Stay, Transition
from twins.step.stays import stay_of

__all__ = ["StayMeant", "StayNamed", "Viewed", "meant", "of_stay", "readable", "stays_of", "viewed"]

StayNamed = Annotated[
    Moment | None,
    Query(alias="stay", description="An earlier stay, by its time of admission (see GET …/stays)."),
]

StayMeant = Annotated[
    Moment | None,
    Query(alias="stay", description="The expected present stay, by its time of admission; 409 if it is another one."),
]


@dataclass(frozen=True, slots=True)
class Viewed:
    """A stay and its time range: from ``begin`` to ``until``, the beginning of the next stay; µs."""

    stay: Stay
    begin: int
    until: int | None
    present: bool

    def within(self, begin: int, until: int) -> tuple[int, int]:
        """The part of a window within the stay; it may be empty."""
        until = until if self.until is None else min(until, self.until)
        begin = max(begin, self.begin)
        return begin, max(begin, until)


async def viewed(context: AppContext, actor: Actor, patient: str, stay: int | None = None) -> Viewed:
    """The requested stay, by default the newest; raises like ``patient_of``, not-found also for a stay out of reach."""
    profile = context.service.registry.get(patient)
    if stay is None or (profile is not None and profile.admitted // 1000 == stay // 1000):
        newest = stay_of(patient_of(context, actor, patient))
        return Viewed(newest, newest.begin, None, present=True)
    require(actor, Action.PATIENT_READ)
    for one in await stays_of(context, actor, patient):
        if one.stay.admitted // 1000 == stay // 1000:
            return one
    raise Problem("not-found", "no such patient")


async def stays_of(context: AppContext, actor: Actor, patient: str) -> list[Viewed]:
    """The stays of an id that the actor may see, oldest first; empty for unknown ids and for those out of reach."""
    require(actor, Action.PATIENT_READ)
    profile = context.service.registry.get(patient)
    if profile is None:
        return []
    kept = [one for one in await context.service.history.stays(patient) if one.admitted < profile.admitted]
    whole: Sequence[Stay] = [*kept, stay_of(profile)]
    ends = [*[one.begin for one in whole[1:]], None]
    found = [Viewed(one, one.begin, end, present=end is None) for one, end in zip(whole, ends, strict=True)]
    return [one for one in found if actor.covers(one.stay.ward, patient if one.present else "")]


def of_stay(shown: Viewed) -> str:
    """Text for the audit trail: which stay, if it is not the newest."""
    return "" if shown.present else f" of the stay from {iso(shown.stay.admitted)}"


def meant(profile: Profile, stay: int | None) -> Profile:
    """The profile, if its stay is the expected one; raises ``Problem`` conflict otherwise."""
    if stay is not None and stay // 1000 != profile.admitted // 1000:
        raise Problem("conflict", "the expected stay is over; another has begun under this id")
    return profile


def readable(context: AppContext, actor: Actor, transition: Transition) -> bool:
    """Whether the actor may see an alarm: of the newest stay by the patient's ward, of earlier ones by the alarm's ward."""
    profile = context.service.registry.get(transition.patient)
    if profile is None or transition.onset < profile.begin:
        return actor.covers(transition.ward)
    return actor.covers(profile.ward, transition.patient)
