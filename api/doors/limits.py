"""Alarm limits: default, of the ward, of the patient; the most specific one that is set is in force."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.doors.stay_of_request import StayMeant, meant
from api.http.answers import problems, respond
from api.http.fields import Body, Ward
from api.http.problems import Fault, Problem
from twins.alarms.limit_settings import BOUNDS, flaw, in_own_unit, of_signal
from twins.records import Profile, SetLimits
from twins.signals import BY_NAME, SIGNALS

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["limits"])

_SHOWN_S = 10.0
"""How long an answer waits for the new limits to be in force: an answer with the old limits would mislead the user."""

_SET = (*BOUNDS, "delay_s")
Given = Mapping[str, Mapping[str, float]]
Bound = Annotated[float, Field(strict=False, ge=-10_000, le=10_000, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Followed:
    """The limits that would be in force for a signal if this level set nothing."""

    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class InForce:
    """The limits of a signal in its own unit, and the most specific level of any of them.

    ``own`` holds the limits set at the requested level (this patient, or this ward), each on its own. All others follow
    the level below; ``follows`` has the limits of that level.
    """

    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None
    delay_s: float | None
    origin: Literal["default", "ward", "patient"]
    own: dict[str, float]
    follows: Followed


class Wanted(Body):
    """Limits to set; null falls back one level, and so do limits omitted in a PUT.

    Limits are in ``unit``; default: the signal's own unit. A limit that the signal cannot reach is refused. So is a limit
    so far out, or a delay so long, that the alarm would be practically off.
    """

    critical_low: Bound | None = None
    low: Bound | None = None
    high: Bound | None = None
    critical_high: Bound | None = None
    delay_s: Annotated[float, Field(strict=False, ge=0, le=3600, allow_inf_nan=False)] | None = None
    unit: Annotated[str, Field(max_length=64)] | None = None


class WantedLimits(RootModel[dict[str, Wanted | None]]):
    """Limits by signal: omitted signals stay as they are, null falls back one level."""

    @model_validator(mode="after")
    def known(self) -> "WantedLimits":
        """Accept only signals of the table."""
        for name in self.root:
            if name not in BY_NAME:
                raise PydanticCustomError("unknown_signal", "no such signal; GET /v1/signals lists them")
        return self


def _schema() -> dict[str, Any]:
    wanted = Wanted.model_json_schema()
    return {
        "type": "object",
        "description": "Limits by signal: omitted signals stay as they are, null falls back one level.",
        "additionalProperties": False,
        "properties": {signal.name: {"anyOf": [wanted, {"type": "null"}]} for signal in SIGNALS},
    }


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}}
_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "unauthenticated", "forbidden", "foreign-origin", "body-too-large", "unsupported-media-type",
    "overloaded", "log-unavailable", "store-unavailable", "storage-full", "discharged",
)  # fmt: skip
WardName = Annotated[Ward, Query(description="The ward.")]


@router.get("/limits", response_model=dict[str, InForce], responses=_READ)
async def read_ward_limits(context: Context, actor: Caller, ward: Annotated[Ward | None, Query()] = None) -> Response:
    """Limits in force in a ward for patients without limits of their own; without ward, the defaults."""
    require(actor, Action.PATIENT_READ, ward)
    return respond(in_force(context.service.ward_limits(ward) if ward else {}))


@router.put("/limits", response_model=dict[str, InForce], responses=_WRITE, openapi_extra=_BODY)
async def set_ward_limits(context: Context, actor: Caller, ward: WardName, body: WantedLimits) -> Response:
    """Set limits for a ward: for all its patients without limits of their own."""
    return await _set_ward(context, actor, ward, body, whole=True)


@router.patch("/limits", response_model=dict[str, InForce], responses=_WRITE, openapi_extra=_BODY)
async def change_ward_limits(context: Context, actor: Caller, ward: WardName, body: WantedLimits) -> Response:
    """Change single limits of a ward: omitted ones stay as they are, null falls back to the default."""
    return await _set_ward(context, actor, ward, body, whole=False)


async def _set_ward(context: AppContext, actor: Actor, ward: str, body: WantedLimits, *, whole: bool) -> Response:
    require(actor, Action.LIMITS_WRITE, ward)
    changes = _checked(body, in_force(context.service.ward_limits(ward)), whole=whole)
    for name, change in changes.items():
        await context.service.append(_command(change, ward=ward, signal=name, by=actor.name))
    context.accounts.audit(actor, Action.LIMITS_WRITE, detail=f"ward {ward}: {', '.join(changes)}"[:200])
    await settled(lambda: _same(context.service.ward_limits(ward), changes), _SHOWN_S)
    return respond(in_force(context.service.ward_limits(ward)))


@router.get("/patients/{id}/limits", response_model=dict[str, InForce], responses=_READ)
async def read_limits(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """Limits in force for a patient."""
    patient_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="limits")
    return respond(_of_patient(context, id))


@router.put("/patients/{id}/limits", response_model=dict[str, InForce], responses=_WRITE, openapi_extra=_BODY)
async def set_limits(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    body: WantedLimits,
    stay: StayMeant = None,
) -> Response:
    """Set limits for the rest of a patient's stay: all limits of each given signal; omitted ones follow the ward."""
    profile = meant(patient_of(context, actor, id, Action.LIMITS_WRITE), stay)
    return await _set_patient(context, actor, profile, body, whole=True)


@router.patch("/patients/{id}/limits", response_model=dict[str, InForce], responses=_WRITE, openapi_extra=_BODY)
async def change_limits(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    body: WantedLimits,
    stay: StayMeant = None,
) -> Response:
    """Change single limits of a patient: omitted ones stay as they are, null follows the ward again."""
    profile = meant(patient_of(context, actor, id, Action.LIMITS_WRITE), stay)
    return await _set_patient(context, actor, profile, body, whole=False)


async def _set_patient(
    context: AppContext, actor: Actor, profile: Profile, body: WantedLimits, *, whole: bool
) -> Response:
    patient, stay = profile.patient, profile.admitted
    if not profile.active:
        raise Problem("discharged")
    changes = _checked(body, _of_patient(context, patient), whole=whole)
    for name, change in changes.items():
        await context.service.append(_command(change, patient=patient, stay=stay, signal=name, by=actor.name))
    context.accounts.audit(actor, Action.LIMITS_WRITE, patient, detail=", ".join(changes)[:200])
    await settled(lambda: _same(_own(context, patient), changes), _SHOWN_S)
    return respond(_of_patient(context, patient))


def in_force(ward: Given, own: Given | None = None) -> dict[str, InForce]:
    """Limits of every signal that can have limits, from all levels; ``own`` is ``None`` for the limits of a ward."""
    found = {}
    for signal in SIGNALS:
        if not signal.filtered:
            continue
        default: dict[str, float | None] = {}
        for name in BOUNDS:
            bound = getattr(signal.limits, name)
            default[name] = None if math.isnan(bound) else bound
        default["delay_s"] = signal.delay_s
        of_ward = of_signal(signal.name, ward.get)
        of_patient = of_signal(signal.name, own.get) if own else {}
        origin: Literal["default", "ward", "patient"] = "patient" if of_patient else "ward" if of_ward else "default"
        found[signal.name] = InForce(
            **{**default, **of_ward, **of_patient},
            origin=origin,
            own=dict((ward if own is None else own).get(signal.name, {})),
            follows=_followed(signal.name, default, ward, own),
        )
    return found


def _followed(signal: str, default: dict[str, float | None], ward: Given, own: Given | None) -> Followed:
    """The limits if the requested level set nothing for this signal; the first source of the same quantity still counts."""

    def others(given: Given) -> dict[str, float]:
        return of_signal(signal, {name: set_here for name, set_here in given.items() if name != signal}.get)

    below = {**default, **(others(ward) if own is None else of_signal(signal, ward.get)), **others(own or {})}
    return Followed(**below)


def _own(context: AppContext, patient: str) -> Given:
    profile = context.service.registry.get(patient)
    return profile.limits if profile else {}


def _of_patient(context: AppContext, patient: str) -> dict[str, InForce]:
    profile = context.service.registry.get(patient)
    ward = context.service.ward_limits(profile.ward) if profile else {}
    return in_force(ward, _own(context, patient))


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one signal: the limits to set, and those that stay as they are."""

    set_here: dict[str, float]
    keep: list[str]
    after: dict[str, float]
    """The level's own limits after the change."""


def _checked(body: WantedLimits, now: Mapping[str, InForce], *, whole: bool) -> dict[str, Change]:
    """The changes by signal, checked together with the limits that stay in force; raises ``Problem`` invalid."""
    changes = {}
    for name, limits in body.root.items():
        if name not in now:
            raise Problem("invalid", faults=[Fault("no_limits", "this signal has no limits", field=name)])
        set_here = _own_units(name, limits) if limits else {}
        keep = [] if whole or limits is None else [one for one in _SET if one not in limits.model_fields_set]
        after = {bound: now[name].own[bound] for bound in keep if bound in now[name].own} | set_here
        order = [after.get(bound, getattr(now[name].follows, bound)) for bound in BOUNDS]
        bounds = [bound for bound in order if bound is not None]
        if bounds != sorted(bounds) or (order[1] is not None and order[1] == order[2]):
            detail = "the limits must be in rising order: critical_low, low, high, critical_high"
            raise Problem("invalid", detail, faults=[Fault("out_of_order", detail, field=name)])
        changes[name] = Change(set_here, keep, after)
    return changes


def _own_units(name: str, wanted: Wanted) -> dict[str, float]:
    """The limits to set for one signal, in its own unit; raises ``Problem`` invalid."""
    signal = BY_NAME[name]
    unit = wanted.unit or signal.unit
    given = wanted.model_dump(exclude_none=True, exclude={"unit"})
    try:
        bound, wrong = flaw(signal, given, unit)
    except ValueError as error:
        raise Problem("invalid", str(error), faults=[Fault("unknown_unit", str(error), field=f"{name}.unit")]) from None
    if wrong:
        raise Problem("invalid", f"{name}: {wrong}", faults=[Fault("out_of_range", wrong, field=f"{name}.{bound}")])
    return in_own_unit(signal, given, unit)


def _command(change: Change, **place: str | int) -> SetLimits:
    return msgspec.convert({**place, **change.set_here, "keep": change.keep}, SetLimits)


def _same(shown: Given, changes: Mapping[str, Change]) -> bool:
    return all(dict(shown.get(name, {})) == change.after for name, change in changes.items())
