"""Alarms: active and ended ones, each with its explanation; acknowledging an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.doors.alarm_moments import ReopenedMoment, moments_of
from api.doors.grouped_alarms import GroupedAlarms, entries_by_cause
from api.doors.stay_of_request import StayNamed, of_stay, readable, viewed
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Composed, Moment, Note
from api.http.problems import Problem
from api.live.alarm import Alarm, alarm_of
from api.live.sentence import sentences_of
from streams.errors import HistoryNotKept
from twins.records import Acknowledge, Transition

__all__ = ["course_of", "router"]

router = APIRouter(prefix="/v1/alarms", tags=["alarms"])


@dataclass(frozen=True, slots=True)
class Alarms:
    """One page of alarms, newest first; the Link header leads to the next."""

    items: list[Alarm[Time]]
    next: str | None


@dataclass(frozen=True, slots=True)
class Course:
    """An alarm in its present state, with all its transitions.

    ``sentences`` says in one plain sentence, by language, what each transition was. ``moments`` has the twins' state as it was
    at each transition; it is null unless asked for.
    """

    alarm: Alarm[Time]
    transitions: list[Alarm[Time]]
    sentences: list[dict[str, str]]
    moments: list[ReopenedMoment] | None


class Acknowledgement(Body):
    """An optional comment."""

    note: Note = ""


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")


@router.get("", response_model=Alarms | GroupedAlarms, responses=_READ | problems("bad-cursor"))
async def list_alarms(
    *,
    request: Request,
    context: Context,
    actor: Caller,
    patient: Annotated[Composed, Query(max_length=128, description="Only this patient's.")] = "",
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward's.")] = None,
    state: Annotated[Literal["active", "all"], Query(description="Only active alarms, or ended ones too.")] = "active",
    start: Annotated[Moment | None, Query(description="With all: the earliest time.")] = None,
    end: Annotated[Moment | None, Query(description="With all: the latest time, exclusive.")] = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    stay: StayNamed = None,
    grouped: Annotated[
        bool,
        Query(description="With active: entries by cause. A ward in which many patients fell silent is one entry."),
    ] = False,
) -> Response:
    """Active alarms, high priority first; or all stored alarms, newest first, each with its newest transition.

    With a patient only the alarms of one stay; without one only alarms that the caller may see in their ward.
    """
    require(actor, Action.PATIENT_READ)
    shown = await viewed(context, actor, patient, stay) if patient else None
    context.accounts.audit(actor, "alarm.list", patient, detail=f"{state}{of_stay(shown) if shown else ''}")
    if state == "active":
        found = [one for one in context.view.active_alarms(patient=patient) if _within(context, actor, one, ward)]
        past = shown is not None and not shown.present
        if grouped:
            return respond(entries_by_cause([] if past else found, context.view.wards))
        return respond(Alarms([] if past else [alarm_of(one, iso) for one in found], None))
    purpose = f"alarms {patient} {ward} {start} {end} {stay} {sorted(actor.wards)}"
    place = context.cursors.open(cursor, purpose)
    whose = patient or _reach(context, actor, ward)
    begin, until = start or 0, end or context.service.clock.now() + 1
    if shown is not None:
        begin, until = shown.within(begin, until)
    page = await context.service.history.alarms(whose, begin, until, cursor=place, limit=limit)
    following = context.cursors.seal(page.cursor, purpose) if page.cursor else None
    items = [
        alarm_of(one, iso)
        for one in await _newest(context, page.items)
        if shown is not None or readable(context, actor, one)
    ]
    return respond(Alarms(items, following), headers=context.cursors.link(request.url, following))


@router.get("/{id}", response_model=Course, responses=_READ)
async def read_alarm(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    moment: Annotated[
        bool, Query(description="Also reopen the moment of each transition; takes a second or two.")
    ] = False,
) -> Response:
    """One alarm with all its transitions and their explanations, on request with the twins' state as it was at each."""
    course = await course_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, course[-1].patient, detail=f"alarm {id}")
    moments = await moments_of(context, course) if moment else None
    said = [sentences_of(one) for one in course]
    return respond(Course(alarm_of(course[-1], iso), [alarm_of(one, iso) for one in course], said, moments))


@router.post(
    "/{id}/acknowledge",
    response_model=Alarm[Time],
    responses=_READ
    | problems(
        "malformed-body", "forbidden", "foreign-origin", "alarm-over", "body-too-large", "unsupported-media-type",
        "overloaded", "log-unavailable", "store-unavailable", "storage-full",
    ),
)  # fmt: skip
async def acknowledge(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    body: Acknowledgement | None = None,
) -> Response:
    """Acknowledge this alarm only; repeating it changes nothing."""
    newest = (await course_of(context, actor, id))[-1]
    profile = context.service.registry.get(newest.patient)
    if profile is None or newest.onset < profile.begin:
        require(actor, Action.ALARM_ACKNOWLEDGE, newest.ward)
        raise Problem("alarm-over")
    patient_of(context, actor, newest.patient, Action.ALARM_ACKNOWLEDGE)
    if newest.presence == "off":
        raise Problem("alarm-over")
    if newest.presence != "acknowledged":
        note = body.note if body else ""
        await context.service.append(Acknowledge(patient=newest.patient, alarm=id, by=actor.name, note=note))
        context.accounts.audit(actor, Action.ALARM_ACKNOWLEDGE, newest.patient, detail=f"alarm {id}")
        await settled(lambda: (context.view.alarm(id) or newest).presence in {"acknowledged", "off"})
    return respond(alarm_of(context.view.alarm(id) or newest, iso))


async def course_of(context: AppContext, actor: Actor, name: str) -> list[Transition]:
    """The transitions of an alarm the actor may read, oldest first; raises ``Problem`` not-found."""
    require(actor, Action.PATIENT_READ)
    try:
        course = list(await context.service.history.alarm(name))
    except HistoryNotKept:
        course = []  # an active alarm can be read and answered without a history
    newest = context.view.alarm(name)
    if newest is not None and all(one.id != newest.id for one in course):
        course.append(newest)
    course.sort(key=lambda one: one.number)
    if not course or not readable(context, actor, course[-1]):
        raise Problem("not-found", "no such alarm")
    return course


def _within(context: AppContext, actor: Actor, transition: Transition, ward: str | None) -> bool:
    profile = context.service.registry.get(transition.patient)
    place = profile.ward if profile else transition.ward
    return (ward is None or place == ward) and actor.covers(place, transition.patient)


def _reach(context: AppContext, actor: Actor, ward: str | None) -> list[str] | None:
    """The patients whose alarms are listed, ``None`` for all."""
    if actor.everywhere and ward is None:
        return None
    return [
        profile.patient
        for profile in context.service.registry.profiles()
        if (ward is None or profile.ward == ward) and actor.covers(profile.ward, profile.patient)
    ]


async def _newest(context: AppContext, transitions: Sequence[Transition]) -> list[Transition]:
    """One transition for each alarm: the newest, unless an earlier page has shown it."""
    seen: dict[str, Transition] = {}
    for transition in transitions:
        held = seen.get(transition.alarm)
        if held is None or transition.number > held.number:
            seen[transition.alarm] = transition
    # A past episode that was withdrawn or became part of another is not listed.
    listed = [one for one in seen.values() if not (one.past and "withdrawn" in one.explanation)]
    return [one for one in listed if await _is_newest(context, one)]


async def _is_newest(context: AppContext, transition: Transition) -> bool:
    """Whether it is the newest transition. Alarms that ended before the service started are only in the history."""
    known = context.view.alarm(transition.alarm)
    if known is None and transition.presence != "off":
        course = await context.service.history.alarm(transition.alarm)
        known = course[-1] if course else None
    return known is None or known.number <= transition.number
