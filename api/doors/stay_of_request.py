"""Which stay a question is about, and whether the one who asks may see it.

A view is of one stay. Without being asked for another it is the patient's newest, within reach as the patient is. A stay
before that is within reach of those who cover the ward where it ended: who has the id now has no say in it.
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
    Query(alias="stay", description="A stay before this one, by its admission as GET …/stays tells it."),
]

StayMeant = Annotated[
    Moment | None, Query(alias="stay", description="Only if this is still the stay, by its admission; 409 otherwise.")
]


@dataclass(frozen=True, slots=True)
class Viewed:
    """A stay as the window of what belongs to it: from ``begin`` up to ``until``, the next stay's; µs."""

    stay: Stay
    begin: int
    until: int | None
    present: bool

    def within(self, begin: int, until: int) -> tuple[int, int]:
        """The part of a window that lies in the stay; empty where none does."""
        until = until if self.until is None else min(until, self.until)
        begin = max(begin, self.begin)
        return begin, max(begin, until)


async def viewed(context: AppContext, actor: Actor, patient: str, stay: int | None = None) -> Viewed:
    """The stay to be shown: the newest, or the one named; raises as ``patient_of``, not-found for one out of reach too."""
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
    """The stays of an id that the actor may see, oldest first; none for nobody and those out of reach alike."""
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
    """For the audit trail: which stay, if it is not the newest."""
    return "" if shown.present else f" of the stay from {iso(shown.stay.admitted)}"


def meant(profile: Profile, stay: int | None) -> Profile:
    """The profile, if its stay is the one meant; raises ``Problem`` conflict otherwise."""
    if stay is not None and stay // 1000 != profile.admitted // 1000:
        raise Problem("conflict", "the stay that is meant is over; another has begun under this id")
    return profile


def readable(context: AppContext, actor: Actor, transition: Transition) -> bool:
    """Whether the actor may see an alarm: of the newest stay where the patient is, of one before where it was."""
    profile = context.service.registry.get(transition.patient)
    if profile is None or transition.onset < profile.begin:
        return actor.covers(transition.ward)
    return actor.covers(profile.ward, transition.patient)
