"""What people do about alarms: acknowledge several at once, take one, pause one."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api.accounts import Action, Actor, may
from api.context import AppContext, Caller, Context, patient_of, settled
from api.doors.alarms import course_of
from api.doors.pauses import Pausing, until_of
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Note
from api.http.problems import Problem
from api.live.alarm import Alarm, alarm_of
from twins.records import Acknowledge, Command, PauseAlarms, PauseKind, TakeAlarm, Transition

__all__ = ["router"]

router = APIRouter(prefix="/v1/alarms", tags=["alarms"])

_MOST = 500
_SHOWN_S = 5.0
_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "foreign-origin", "alarm-over", "body-too-large", "unsupported-media-type", "overloaded",
    "log-unavailable", "storage-full",
)  # fmt: skip
Id = Annotated[str, Field(min_length=1, max_length=64)]


class Several(Body):
    """The alarms to acknowledge, each by its id, and an optional comment."""

    alarms: Annotated[list[Id], Field(min_length=1, max_length=_MOST)]
    note: Note = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What happened to one alarm, and its presence now (null if there is no such alarm)."""

    id: str
    result: Literal["acknowledged", "already", "over", "forbidden", "not_found"]
    presence: Literal["on", "latched", "acknowledged", "off"] | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One entry for each alarm of the request, in its order."""

    items: list[Answered]


@router.post("/acknowledge", response_model=Acknowledged, responses=_WRITE)
async def acknowledge_several(context: Context, actor: Caller, body: Several) -> Response:
    """Acknowledge exactly the named alarms: none that began since, and no other of the same patient."""
    ids = list(dict.fromkeys(body.alarms))
    found = {one: _seen(context, actor, one) for one in ids}
    results = {one: _result(context, actor, newest) for one, newest in found.items()}
    todo = [newest for one, newest in found.items() if newest is not None and results[one] == "acknowledged"]
    await asyncio.gather(*(
        context.service.append(Acknowledge(patient=one.patient, alarm=one.alarm, by=actor.name, note=body.note))
        for one in todo
    ))  # fmt: skip
    for one in todo:
        context.accounts.audit(actor, Action.ALARM_ACKNOWLEDGE, one.patient, detail=f"alarm {one.alarm}")
    await settled(lambda: all(_presence(context, one.alarm) in {"acknowledged", "off"} for one in todo), _SHOWN_S)
    return respond(Acknowledged([
        Answered(one, results[one], _presence(context, one) if results[one] != "not_found" else None)  # type: ignore[arg-type] # the record's words are these
        for one in ids
    ]))  # fmt: skip


def _seen(context: AppContext, actor: Actor, name: str) -> Transition | None:
    """The newest transition of an alarm of a present stay that the actor may read."""
    newest = context.view.alarm(name)
    if newest is None:
        return None
    profile = context.service.registry.get(newest.patient)
    there = profile is not None and newest.onset >= profile.begin and actor.covers(profile.ward, newest.patient)
    return newest if there else None


def _result(
    context: AppContext, actor: Actor, newest: Transition | None
) -> Literal["acknowledged", "already", "over", "forbidden", "not_found"]:
    profile = context.service.registry.get(newest.patient) if newest is not None else None
    if newest is None or profile is None:
        return "not_found"
    if not may(actor, Action.ALARM_ACKNOWLEDGE, profile.ward, newest.patient):
        return "forbidden"
    if newest.presence == "off":
        return "over"
    return "already" if newest.presence == "acknowledged" else "acknowledged"


def _presence(context: AppContext, name: str) -> str:
    newest = context.view.alarm(name)
    return newest.presence if newest is not None else "off"


@router.post("/{id}/take", response_model=Alarm[Time], responses=_WRITE)
async def take(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """Say "I take it": everybody sees who takes care of the alarm, and nobody else is called. It goes on sounding."""
    newest = await _active(context, actor, id, Action.ALARM_ACKNOWLEDGE)
    command = TakeAlarm(patient=newest.patient, alarm=id, by=actor.name)
    if newest.responder != actor.name:
        await _append(context, actor, newest, command, f"alarm {id} taken", Action.ALARM_ACKNOWLEDGE)
        await settled(lambda: (context.view.alarm(id) or newest).responder == actor.name, _SHOWN_S)
    return respond(alarm_of(context.view.alarm(id) or newest, iso))


@router.put("/{id}/pauses/{kind}", response_model=Alarm[Time], responses=_WRITE)
async def pause(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    kind: PauseKind,
    body: Pausing,
) -> Response:
    """Pause the sound, or all signals, of this alarm only. The pause ends early if the alarm becomes worse."""
    newest = await _active(context, actor, id, Action.ALARM_PAUSE)
    until = until_of(context, newest.ward, kind, body.seconds)
    command = PauseAlarms(
        patient=newest.patient, alarm=id, kind=kind, until=until, reason=body.reason, by=actor.name
    )  # fmt: skip
    await _append(
        context, actor, newest, command, f"{kind} pause of alarm {id} for {body.seconds} s", Action.ALARM_PAUSE
    )
    await settled(lambda: _paused(context, id, kind) or _presence(context, id) == "off", _SHOWN_S)
    return respond(alarm_of(context.view.alarm(id) or newest, iso))


@router.delete("/{id}/pauses/{kind}", response_model=Alarm[Time], responses=_WRITE)
async def resume(context: Context, actor: Caller, id: str, kind: PauseKind) -> Response:  # noqa: A002 - as above
    """End the pause of this alarm, also if it follows from a pause of the patient or ward."""
    newest = await _active(context, actor, id, Action.ALARM_PAUSE)
    if _paused(context, id, kind):
        command = PauseAlarms(patient=newest.patient, alarm=id, kind=kind, by=actor.name)
        await _append(context, actor, newest, command, f"{kind} pause of alarm {id} ended", Action.ALARM_PAUSE)
        await settled(lambda: not _paused(context, id, kind), _SHOWN_S)
    return respond(alarm_of(context.view.alarm(id) or newest, iso))


async def _active(context: AppContext, actor: Actor, name: str, action: Action) -> Transition:
    """The newest transition of an active alarm, if the actor may do this to it; raises ``Problem``."""
    newest = (await course_of(context, actor, name))[-1]
    profile = context.service.registry.get(newest.patient)
    if profile is None or newest.onset < profile.begin:
        raise Problem("alarm-over")
    patient_of(context, actor, newest.patient, action)
    if newest.presence == "off":
        raise Problem("alarm-over")
    return newest


async def _append(  # noqa: PLR0917 - who did what to which alarm
    context: AppContext, actor: Actor, newest: Transition, command: Command, said: str, action: Action
) -> None:
    await context.service.append(command)
    context.accounts.audit(actor, action, newest.patient, detail=said)


def _paused(context: AppContext, name: str, kind: PauseKind) -> bool:
    newest = context.view.alarm(name)
    if newest is None:
        return False
    return (newest.audio_paused_until if kind == "audio" else newest.paused_until) > 0
