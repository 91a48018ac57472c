"""Who is called when nobody answers an alarm: chains of escalation, schedules, and who is on call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from api.accounts import Action, require
from api.alerts.plans import (
    ChainBody,
    OverrideBody,
    ScheduleBody,
    chain_json,
    chain_of,
    override_of,
    schedule_json,
    schedule_of,
)
from api.alerts.warnings import Warned, of_chain, of_schedule
from api.context import AppContext, Caller, Context, settled
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Composed, Moment
from api.http.problems import Problem
from twins.alarms.schedules import on_call
from twins.records import SetEscalation, SetSchedule, Setting

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["escalation"])

_SHOWN_S = 10.0
_KEPT_US = 90 * 86_400_000_000
"""Overrides that ended longer ago are dropped when another is added."""
Priority = Literal["high", "medium", "low"]
WardName = Annotated[
    Composed, Query(max_length=128, description="The ward. Empty: every ward that has no chain of its own.")
]
ScheduleName = Annotated[str, Path(pattern=r"^[\w.@+-]{1,64}$", description="The name of the schedule.")]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain in force: its steps, who set it when, and what is wrong with it."""

    ward: str
    priority: Priority
    steps: list[dict[str, Any]]
    repeat: int
    repeat_after_s: float
    age_limit_s: float
    set_by: str
    set_at: Time | None
    warnings: list[Warned]


@dataclass(frozen=True, slots=True)
class Chains:
    """All chains that the caller may see."""

    items: list[Chain]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule in force, who is on call now, and what is wrong with it."""

    name: str
    rotations: list[dict[str, Any]]
    overrides: list[dict[str, Any]]
    on_call: list[str]
    set_by: str
    set_at: Time | None
    warnings: list[Warned]


@dataclass(frozen=True, slots=True)
class Schedules:
    """All schedules."""

    items: list[Schedule]


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who is on call at a moment, by schedule."""

    at: Time
    schedules: dict[str, list[str]]


_READ = problems("unauthenticated", "forbidden", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "foreign-origin", "body-too-large", "unsupported-media-type", "overloaded", "log-unavailable",
    "storage-full",
)  # fmt: skip


@router.get("/escalations", response_model=Chains, responses=_READ)
async def list_escalations(context: Context, actor: Caller) -> Response:
    """The chains in force: who is called, and after how long, while nobody answers an alarm."""
    require(actor, Action.PATIENT_READ)
    settings, people = context.service.site_settings(), await context.accounts.names()
    chains = [one for one in settings.values() if isinstance(one, SetEscalation)]
    now = context.service.clock.now()
    seen = [one for one in chains if not one.ward or actor.covers(one.ward)]
    seen.sort(key=lambda one: (one.ward, ("high", "medium", "low").index(one.priority)))
    return respond(Chains([_chain(one, of_chain(one, settings, people, now)) for one in seen]))


@router.put("/escalations", response_model=Chain, responses=_WRITE)
async def set_escalation(
    context: Context, actor: Caller, body: ChainBody, priority: Priority, ward: WardName = ""
) -> Response:
    """Set the chain for alarms of one priority in a ward, or in every ward without its own.

    It is in force for alarms that sound from now on, and for the next step of those that already wait.
    """
    require(actor, Action.ESCALATION_WRITE, ward)
    command = chain_of(body, ward, priority, actor.name)
    await _set(context, command)
    detail = f"{priority} in {ward or 'every ward'}: {len(body.steps)} steps"
    context.accounts.audit(actor, Action.ESCALATION_WRITE, detail=detail)
    people = await context.accounts.names()
    warnings = of_chain(command, context.service.site_settings(), people, context.service.clock.now())
    return respond(_chain(command, warnings))


@router.delete("/escalations", status_code=204, response_model=None, responses=_WRITE | problems("not-found"))
async def remove_escalation(context: Context, actor: Caller, priority: Priority, ward: WardName = "") -> Response:
    """Remove a chain: alarms of this priority are not escalated there, or follow the chain of every ward."""
    require(actor, Action.ESCALATION_WRITE, ward)
    command = SetEscalation(ward=ward, priority=priority, by=actor.name)
    if command.key not in context.service.site_settings():
        raise Problem("not-found", "no such chain")
    await _set(context, command)
    context.accounts.audit(actor, Action.ESCALATION_WRITE, detail=f"remove {priority} in {ward or 'every ward'}")
    return Response(status_code=204)


@router.get("/schedules", response_model=Schedules, responses=_READ)
async def list_schedules(context: Context, actor: Caller) -> Response:
    """The schedules: who takes turns, hand-overs and overrides."""
    require(actor, Action.PATIENT_READ)
    now, people = context.service.clock.now(), await context.accounts.names()
    found = sorted(_schedules(context.service.site_settings()).items())
    return respond(Schedules([_schedule(one, of_schedule(one, people, now), now) for _, one in found]))


@router.put("/schedules/{name}", response_model=Schedule, responses=_WRITE)
async def set_schedule(context: Context, actor: Caller, name: ScheduleName, body: ScheduleBody) -> Response:
    """Set who is on call under a name. The answer warns of gaps, of people without an account, of overlapping overrides."""
    require(actor, Action.ESCALATION_WRITE, "")
    context.accounts.audit(actor, Action.ESCALATION_WRITE, detail=f"schedule {name}")
    return await _saved(context, schedule_of(body, name, actor.name))


@router.post("/schedules/{name}/overrides", response_model=Schedule, responses=_WRITE | problems("not-found"))
async def add_override(context: Context, actor: Caller, name: ScheduleName, body: OverrideBody) -> Response:
    """Let somebody be on call instead for a while."""
    require(actor, Action.ON_CALL_WRITE)
    before = _schedules(context.service.site_settings()).get(name)
    if before is None:
        raise Problem("not-found", "no such schedule")
    recent = [one for one in before.overrides if one.end > context.service.clock.now() - _KEPT_US]
    command = SetSchedule(name=name, rotations=before.rotations, overrides=[*recent, override_of(body)], by=actor.name)
    detail = f"schedule {name}: {body.person} from {iso(body.start)} to {iso(body.end)}"
    context.accounts.audit(actor, Action.ON_CALL_WRITE, detail=detail)
    return await _saved(context, command)


@router.delete("/schedules/{name}", status_code=204, response_model=None, responses=_WRITE | problems("not-found"))
async def remove_schedule(context: Context, actor: Caller, name: ScheduleName) -> Response:
    """Remove a schedule: steps that name it reach nobody."""
    require(actor, Action.ESCALATION_WRITE, "")
    if name not in _schedules(context.service.site_settings()):
        raise Problem("not-found", "no such schedule")
    await _set(context, SetSchedule(name=name, by=actor.name))
    context.accounts.audit(actor, Action.ESCALATION_WRITE, detail=f"remove schedule {name}")
    return Response(status_code=204)


@router.get("/on-call", response_model=OnCall, responses=_READ)
async def read_on_call(
    context: Context,
    actor: Caller,
    at: Annotated[Moment | None, Query(description="The moment. Default: now.")] = None,
) -> Response:
    """Who is on call, by schedule."""
    require(actor, Action.PATIENT_READ)
    moment = context.service.clock.now() if at is None else at
    found = sorted(_schedules(context.service.site_settings()).items())
    return respond(OnCall(iso(moment), {name: on_call(one, moment) for name, one in found}))


async def _saved(context: AppContext, command: SetSchedule) -> Response:
    await _set(context, command)
    now = context.service.clock.now()
    return respond(_schedule(command, of_schedule(command, await context.accounts.names(), now), now))


async def _set(context: AppContext, command: SetEscalation | SetSchedule) -> None:
    """Write a setting and wait until it is in force."""
    await context.service.append(command)

    def in_force() -> bool:
        found = context.service.site_settings().get(command.key)
        return found is None if command.removes else found is not None and _same(found, command)

    await settled(in_force, _SHOWN_S)


def _same(found: Setting, command: SetEscalation | SetSchedule) -> bool:
    if isinstance(found, SetEscalation) and isinstance(command, SetEscalation):
        return chain_json(found) == chain_json(command)
    return (
        isinstance(found, SetSchedule)
        and isinstance(command, SetSchedule)
        and (found.rotations, found.overrides) == (command.rotations, command.overrides)
    )


def _schedules(settings: Mapping[tuple[str, ...], Setting]) -> dict[str, SetSchedule]:
    return {one.name: one for one in settings.values() if isinstance(one, SetSchedule)}


def _chain(chain: SetEscalation, warnings: list[Warned]) -> Chain:
    return Chain(
        **chain_json(chain), set_by=chain.by, set_at=iso(chain.received) if chain.received else None, warnings=warnings
    )


def _schedule(schedule: SetSchedule, warnings: list[Warned], now: int) -> Schedule:
    return Schedule(
        **schedule_json(schedule), on_call=on_call(schedule, now), set_by=schedule.by,
        set_at=iso(schedule.received) if schedule.received else None, warnings=warnings,
    )  # fmt: skip
