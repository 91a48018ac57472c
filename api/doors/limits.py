"""Alarm limits: default, of the ward, of the patient; the most specific one that is set is in force."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.doors.stay_of_request import StayMeant, meant
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Ward
from api.http.problems import Fault, Problem
from twins.alarms.limit_settings import BOUNDS, SETTINGS, flaw, in_own_unit, limits_given
from twins.alarms.limits_in_force import Layer, OwnLimits, layers, period_of
from twins.alarms.limits_in_force import in_force as bounds_in_force
from twins.alarms.rules import local_minute
from twins.records import LimitPeriod, Profile, SetLimits
from twins.signals import BY_NAME, SIGNALS

__all__ = ["WantedLimits", "checked", "command_of", "of_patient", "of_ward", "router"]

router = APIRouter(prefix="/v1", tags=["limits"])

_SHOWN_S = 10.0
"""How long an answer waits for the new limits to be in force: an answer with the old limits would mislead the user."""

_SET = (*SETTINGS, "periods")
_MOST_PERIODS = 4
PeriodName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,19}$")]
Duration = Annotated[float, Field(strict=False, ge=0, le=3600, allow_inf_nan=False)]
Bound = Annotated[float, Field(strict=False, ge=-10_000, le=10_000, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Followed:
    """The limits that would be in force for a signal if this level set nothing."""

    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None
    delay_s: float | None
    clear_s: float | None
    falling_per_min: float | None
    rising_per_min: float | None


@dataclass(frozen=True, slots=True)
class Period:
    """Limits from ``from_time`` to ``to_time`` (HH:MM) in the time zone of the ward; null follows the whole day."""

    from_time: str
    to_time: str
    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a limit comes from: the level, its period of the day, the age band and its source, who set it and when."""

    level: Literal["default", "ward", "patient"]
    period: str
    band: Literal["infant", "child", "adult"]
    source: str
    set_by: str
    set_at: Time | None


@dataclass(frozen=True, slots=True)
class InForce:
    """The limits of a signal in its own unit, and the most specific level of any of them.

    ``own`` holds the limits set at the requested level (this patient, or this ward), each on its own, and ``periods`` its
    limits for parts of the day. All others follow the level below; ``follows`` has the limits of that level. ``origins``
    says of each limit where it comes from. ``falling_per_min`` and ``rising_per_min`` are rates of change; null: no alarm.
    """

    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None
    delay_s: float | None
    clear_s: float | None
    falling_per_min: float | None
    rising_per_min: float | None
    origin: Literal["default", "ward", "patient"]
    own: dict[str, float]
    periods: dict[str, Period]
    follows: Followed
    origins: dict[str, Origin]


class WantedPeriod(Body):
    """Limits for a part of the day in the time zone of the ward; it passes midnight if to_time is not after from_time."""

    from_time: Annotated[str, Field(pattern="^[0-2][0-9]:[0-5][0-9]$")]
    to_time: Annotated[str, Field(pattern="^[0-2][0-9]:[0-5][0-9]$")]
    critical_low: Bound | None = None
    low: Bound | None = None
    high: Bound | None = None
    critical_high: Bound | None = None
    delay_s: Duration | None = None


Rate = Annotated[float, Field(strict=False, gt=0, le=10_000, allow_inf_nan=False)]


class Wanted(Body):
    """Limits to set; null falls back one level, and so do limits omitted in a PUT.

    Limits are in ``unit``; default: the signal's own unit. A limit that the signal cannot reach is refused. So is a limit
    so far out, or a delay so long, that the alarm would be practically off. ``delay_s`` is how long a value must be just
    beyond the low or high limit before the alarm begins: deeper values need less, a third at the critical limit.
    ``clear_s`` is how long it must not be beyond before the alarm ends. ``falling_per_min`` and ``rising_per_min`` (in
    the unit a minute) alarm on a rate of change; without them there is no such alarm. ``periods`` replaces all limits for
    parts of the day, by name, such as "night"; null removes them.
    """

    critical_low: Bound | None = None
    low: Bound | None = None
    high: Bound | None = None
    critical_high: Bound | None = None
    delay_s: Duration | None = None
    clear_s: Duration | None = None
    falling_per_min: Rate | None = None
    rising_per_min: Rate | None = None
    periods: Annotated[dict[PeriodName, WantedPeriod], Field(max_length=_MOST_PERIODS)] | None = None
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
    return respond(of_ward(context, ward or ""))


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
    changes = checked(body, of_ward(context, ward), whole=whole)
    for name, change in changes.items():
        await context.service.append(command_of(change, ward=ward, signal=name, by=actor.name))
    context.accounts.audit(actor, Action.LIMITS_WRITE, detail=f"ward {ward}: {', '.join(changes)}"[:200])
    await settled(lambda: _same(_ward_own(context, ward), changes), _SHOWN_S)
    return respond(of_ward(context, ward))


@router.get("/patients/{id}/limits", response_model=dict[str, InForce], responses=_READ)
async def read_limits(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """Limits in force for a patient."""
    patient_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="limits")
    return respond(of_patient(context, id))


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
    changes = checked(body, of_patient(context, patient), whole=whole)
    for name, change in changes.items():
        await context.service.append(command_of(change, patient=patient, stay=stay, signal=name, by=actor.name))
    context.accounts.audit(actor, Action.LIMITS_WRITE, patient, detail=", ".join(changes)[:200])
    await settled(lambda: _same(_own(context, patient), changes), _SHOWN_S)
    return respond(of_patient(context, patient))


Found = Callable[[str, str], list[Layer]]
_Own = Mapping[str, tuple[Mapping[str, float], Mapping[str, LimitPeriod]]]
"""What the requested level sets, by signal: limits, and those for parts of the day."""


def _in_force(found: Found, own: _Own) -> dict[str, InForce]:
    """Limits of every signal that can have limits; ``found`` gives a signal's levels, without what is set for another."""
    limits = {}
    for signal in SIGNALS:
        if not signal.filtered:
            continue
        name, here = signal.name, found(signal.name, "")
        force, origins = bounds_in_force(here)
        given, periods = own.get(name, ({}, {}))
        limits[name] = InForce(
            **_plain(force),
            origin=here[-1].level,  # type: ignore[arg-type] # the levels are these words
            own=dict(given),
            periods={
                period: Period(one.begin, one.end, one.critical_low, one.low, one.high, one.critical_high, one.delay_s)
                for period, one in periods.items()
            },
            follows=Followed(**_plain(bounds_in_force(found(name, name))[0])),
            origins={bound: _origin(layer) for bound, layer in origins.items() if not math.isnan(force[bound])},
        )
    return limits


def _plain(force: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value := force.get(name, math.nan)) else value for name in SETTINGS}


def _origin(layer: Layer) -> Origin:
    level: Any = layer.level
    return Origin(level, layer.period, layer.band, layer.source, layer.by, iso(layer.time) if layer.time else None)


def _minute(context: AppContext, ward: str) -> int:
    return local_minute(context.service.zone(ward), context.service.clock.now())


def of_ward(context: AppContext, ward: str) -> dict[str, InForce]:
    """Limits in force in a ward for patients without limits of their own."""
    settings = context.service.ward_settings(ward) if ward else {}
    minute = _minute(context, ward)

    def found(signal: str, without: str) -> list[Layer]:
        return layers(signal, None, {name: one for name, one in settings.items() if name != without}, None, minute)

    return _in_force(found, _ward_own(context, ward))


def _ward_own(context: AppContext, ward: str) -> _Own:
    settings = context.service.ward_settings(ward) if ward else {}
    return {name: (limits_given(one), one.periods) for name, one in settings.items()}


def _own(context: AppContext, patient: str) -> _Own:
    profile = context.service.registry.get(patient)
    if profile is None:
        return {}
    names = profile.limits.keys() | profile.periods.keys()
    return {name: (profile.limits.get(name, {}), profile.periods.get(name, {})) for name in names}


def of_patient(context: AppContext, patient: str) -> dict[str, InForce]:
    """Limits in force for a patient."""
    profile = context.service.registry.get(patient)
    ward, age = (profile.ward, profile.age) if profile else ("", None)
    settings = context.service.ward_settings(ward)
    own = OwnLimits(profile.limits, profile.periods, profile.limits_set) if profile else OwnLimits({}, {}, {})
    minute = _minute(context, ward)

    def found(signal: str, without: str) -> list[Layer]:
        limits = {name: one for name, one in own.limits.items() if name != without}
        periods = {name: one for name, one in own.periods.items() if name != without}
        return layers(signal, age, settings, OwnLimits(limits, periods, own.limits_set), minute)

    return _in_force(found, _own(context, patient))


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one signal: the limits to set, and those that stay as they are."""

    set_here: dict[str, float]
    keep: list[str]
    after: dict[str, float]
    """The level's own limits after the change."""
    periods: dict[str, LimitPeriod]
    """Its limits for parts of the day after the change."""


def checked(body: WantedLimits, now: Mapping[str, InForce], *, whole: bool) -> dict[str, Change]:
    """The changes by signal, checked together with the limits that stay in force; raises ``Problem`` invalid."""
    changes = {}
    for name, limits in body.root.items():
        if name not in now:
            raise Problem("invalid", faults=[Fault("no_limits", "this signal has no limits", field=name)])
        set_here = _own_units(name, limits) if limits else {}
        keep = [] if whole or limits is None else [one for one in _SET if one not in limits.model_fields_set]
        after = {bound: now[name].own[bound] for bound in keep if bound in now[name].own} | set_here
        day = {bound: after.get(bound, getattr(now[name].follows, bound)) for bound in BOUNDS}
        _in_order(list(day.values()), name)
        periods = _kept_periods(now[name]) if "periods" in keep else _own_periods(name, limits)
        for period, one in periods.items():
            given = {bound: getattr(one, bound) for bound in BOUNDS}
            order = [day[bound] if given[bound] is None else given[bound] for bound in BOUNDS]
            _in_order(order, f"{name}.periods.{period}")
        changes[name] = Change(set_here, keep, after, periods)
    return changes


def _in_order(order: list[float | None], field: str) -> None:
    bounds = [bound for bound in order if bound is not None]
    if bounds != sorted(bounds) or (order[1] is not None and order[1] == order[2]):
        detail = "the limits must be in rising order: critical_low, low, high, critical_high"
        raise Problem("invalid", detail, faults=[Fault("out_of_order", detail, field=field)])


def _kept_periods(now: InForce) -> dict[str, LimitPeriod]:
    return {
        name: LimitPeriod(
            begin=one.from_time, end=one.to_time, critical_low=one.critical_low, low=one.low, high=one.high,
            critical_high=one.critical_high, delay_s=one.delay_s,
        )
        for name, one in now.periods.items()
    }  # fmt: skip


def _own_periods(name: str, wanted: Wanted | None) -> dict[str, LimitPeriod]:
    """The limits for parts of the day, in the signal's own unit; raises ``Problem`` invalid."""
    found: dict[str, LimitPeriod] = {}
    for period, one in ((wanted and wanted.periods) or {}).items():
        field = f"{name}.periods.{period}"
        given = one.model_dump(exclude_none=True, exclude={"from_time", "to_time"})
        if not given:
            raise Problem("invalid", faults=[Fault("empty_period", "the period sets no limit", field=field)])
        if one.from_time == one.to_time or max(one.from_time, one.to_time) > "24:00":
            detail = "from_time and to_time are different times from 00:00 to 24:00"
            raise Problem("invalid", detail, faults=[Fault("bad_period", detail, field=field)])
        bounds = _in_signal_unit(name, field, given, wanted)
        found[period] = LimitPeriod(begin=one.from_time, end=one.to_time, **bounds)
    for minute in range(1440):
        inside = [period for period, one in found.items() if period_of({period: one}, minute)]
        if len(inside) > 1:
            detail = f"the periods {inside[0]} and {inside[1]} overlap at {minute // 60:02}:{minute % 60:02}"
            raise Problem("invalid", detail, faults=[Fault("overlapping_periods", detail, field=f"{name}.periods")])
    return found


def _own_units(name: str, wanted: Wanted) -> dict[str, float]:
    """The limits to set for one signal, in its own unit; raises ``Problem`` invalid."""
    return _in_signal_unit(name, name, wanted.model_dump(exclude_none=True, exclude={"unit", "periods"}), wanted)


def _in_signal_unit(name: str, field: str, given: dict[str, float], wanted: Wanted | None) -> dict[str, float]:
    signal = BY_NAME[name]
    unit = (wanted and wanted.unit) or signal.unit
    try:
        bound, wrong = flaw(signal, given, unit)
    except ValueError as error:
        raise Problem("invalid", str(error), faults=[Fault("unknown_unit", str(error), field=f"{name}.unit")]) from None
    if wrong:
        raise Problem("invalid", f"{name}: {wrong}", faults=[Fault("out_of_range", wrong, field=f"{field}.{bound}")])
    return in_own_unit(signal, given, unit)


def command_of(change: Change, **place: str | int) -> SetLimits:
    """The command that makes a change at a place (patient or ward, and signal)."""
    periods = {} if "periods" in change.keep else change.periods
    whole: dict[str, Any] = {**place, **change.set_here, "keep": change.keep}
    return SetLimits(**whole, periods=periods)


def _same(shown: _Own, changes: Mapping[str, Change]) -> bool:
    here = {name: shown.get(name, ({}, {})) for name in changes}
    return all(
        dict(here[name][0]) == change.after and dict(here[name][1]) == change.periods for name, change in changes.items()
    )  # fmt: skip
