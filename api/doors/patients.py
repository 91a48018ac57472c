"""Patients: listed, admitted, moved, discharged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.doors.alarms_off import TurnedOff, turned_off
from api.doors.pauses import Paused, paused
from api.doors.stay_of_request import StayMeant, meant, stays_of
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Composed, Label, PatientId, Ward
from api.http.problems import Fault, Problem
from api.rules import UnknownZone, zone_named
from twins.models.deterioration.eligibility import DAY_US
from twins.records import Admit, Discharge, Move, Profile, SetProfile, SetWard, SetZone, Zone

__all__ = ["Patient", "patient", "router"]

router = APIRouter(prefix="/v1", tags=["patients"])

_DECIDED_S = 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Oxygen or consciousness as measured by a device, since ``time``."""

    value: float
    time: Time


@dataclass(frozen=True, slots=True)
class Patient:
    """A monitored patient; ``consciousness`` (A C V P U) and ``oxygen`` (L/min, 0 is air) as charted.

    ``measured``: the same two as measured by devices, by signal; the newest value counts for NEWS2.

    ``alarms_off`` lists what is turned off; ``pauses`` has the pauses of the patient's alarms.
    ``news2`` is the setting for this patient (null: the ward decides), ``news2_off`` the reason why there is no score.
    ``adult_limits``: the patient is a child and the limits of adults are in force.
    """

    id: str
    label: str
    ward: str
    bed: str
    active: bool
    admitted: Time | None
    spo2_scale: int
    oxygen: float | None
    oxygen_time: Time | None
    consciousness: str | None
    consciousness_time: Time | None
    measured: dict[str, Measured]
    alarms_off: dict[str, TurnedOff]
    pauses: Paused
    birth_date: str | None
    age_years: int | None
    news2: bool | None
    news2_off: Literal["", "child", "patient", "ward"]
    adult_limits: bool


@dataclass(frozen=True, slots=True)
class Patients:
    """One page of patients by id; the Link header leads to the next."""

    items: list[Patient]
    next: str | None


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay under a patient's id: ``admitted`` identifies it, ``discharged`` is null while it lasts."""

    admitted: Time
    discharged: Time | None
    ward: str
    bed: str
    label: str
    present: bool


@dataclass(frozen=True, slots=True)
class Stays:
    """The stays of an id within the caller's reach, newest first."""

    items: list[Stay]


@dataclass(frozen=True, slots=True)
class WardSize:
    """A ward within the caller's reach."""

    name: str
    patients: int
    news2: bool
    time_zone: str


@dataclass(frozen=True, slots=True)
class Wards:
    """The wards within the caller's reach, by name."""

    items: list[WardSize]


_OLDEST = 1890
_PERSONAL = ("birth_date", "age_years")
"""Fields whose new values are only in the record, not in the audit trail."""


def _birth_date(value: str) -> str:
    try:
        born = date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("bad_date", "a date of birth is ISO 8601, like 1950-12-31") from None
    if born.year < _OLDEST:
        raise PydanticCustomError("bad_date", "no living person was born on that date")
    return born.isoformat()


BirthDate = Annotated[str, AfterValidator(_birth_date), WithJsonSchema({"type": "string", "format": "date"})]
Years = Annotated[int, Field(ge=0, le=130, description="Age in whole years, if the date of birth is unknown.")]


class _Person(Body):
    birth_date: BirthDate | None = None
    age_years: Years | None = None

    @model_validator(mode="after")
    def _one_age(self) -> Self:
        if self.birth_date is not None and self.age_years is not None:
            raise PydanticCustomError("two_ages", "birth_date or age_years, not both")
        return self


class Admission(_Person):
    """A patient to admit. A patient without an age is treated as an adult; NEWS2 is for people of 16 and over."""

    id: PatientId
    ward: Ward | None = None
    bed: Label = ""
    label: Label = ""
    spo2_scale: Literal[1, 2] = 1
    news2: bool | None = Field(None, description="Whether this patient has a NEWS2 score; null: the ward decides.")


class Change(_Person):
    """The changes; fields that are omitted or null stay as they are."""

    ward: Ward | None = None
    bed: Label | None = None
    label: Label | None = None
    spo2_scale: Literal[1, 2] | None = None
    news2: bool | Literal["by_ward"] | None = Field(
        None, description='Whether this patient has a NEWS2 score; "by_ward": the ward decides.'
    )


class WardChange(Body):
    """The changes of a ward; fields that are omitted or null stay as they are."""

    news2: bool | None = Field(None, description="Whether NEWS2 is used for patients without a setting of their own.")
    time_zone: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description='The IANA name, like "Europe/Berlin", for hours of rules and limits; "site": that of the rules.',
    )


def patient(profile: Profile) -> Patient:
    """The answer for a profile."""
    return Patient(
        id=profile.patient,
        label=profile.label,
        ward=profile.ward,
        bed=profile.bed,
        active=profile.active,
        admitted=iso(profile.admitted) if profile.admitted else None,
        spo2_scale=profile.spo2_scale,
        oxygen=profile.oxygen,
        oxygen_time=iso(profile.oxygen_time) if profile.oxygen_time else None,
        consciousness=profile.consciousness,
        consciousness_time=iso(profile.consciousness_time) if profile.consciousness_time else None,
        measured={name: Measured(fact.value, iso(fact.time)) for name, fact in profile.measured.items()},
        alarms_off=turned_off(profile.alarms_off),
        pauses=paused(profile),
        birth_date=profile.birth_date or None,
        age_years=profile.age,
        news2=profile.news2,
        news2_off=profile.news2_off,  # type: ignore[arg-type] # the record's words are these
        adult_limits=profile.adult_limits,
    )


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = problems(
    "malformed-body", "unauthenticated", "forbidden", "foreign-origin", "not-found", "conflict", "body-too-large",
    "unsupported-media-type", "invalid", "overloaded", "log-unavailable", "store-unavailable", "storage-full",
)  # fmt: skip


@router.get("/wards", response_model=Wards, responses=problems("unauthenticated", "forbidden", "store-unavailable"))
async def list_wards(context: Context, actor: Caller) -> Response:
    """The wards within the caller's reach, with the number of admitted patients in each."""
    require(actor, Action.PATIENT_READ)
    sizes = sorted(context.view.wards().items())
    return respond(Wards([_ward(context, name, count) for name, count in sizes if actor.covers(name)]))


@router.patch("/wards/{name}", response_model=WardSize, responses=_WRITE)
async def change_ward(context: Context, actor: Caller, name: Ward, body: WardChange) -> Response:
    """Set whether a ward uses NEWS2 (a children's ward should not), and its time zone."""
    require(actor, Action.LIMITS_WRITE, name)
    service, zone = context.service, _zone(context, body.time_zone)
    if body.news2 is not None:
        await service.append(SetWard(ward=name, news2=body.news2, by=actor.name))
        context.accounts.audit(actor, Action.LIMITS_WRITE, detail=f"ward {name}: news2 {body.news2}")
        await settled(lambda: service.ward_scores(name) is body.news2)
    if body.time_zone is not None:
        await service.append(SetZone(ward=name, zone=zone, by=actor.name))
        context.accounts.audit(actor, Action.LIMITS_WRITE, detail=f"ward {name}: time zone {body.time_zone}")
        await settled(lambda: zone is None or service.zone(name) == zone)
    return respond(_ward(context, name, context.view.wards().get(name, 0)))


def _ward(context: AppContext, name: str, count: int) -> WardSize:
    return WardSize(name, count, context.service.ward_scores(name), context.service.zone(name).name)


def _zone(context: AppContext, name: str | None) -> Zone | None:
    if name in {None, "site"}:
        return None
    try:
        return zone_named(str(name), context.service.clock.now())
    except UnknownZone as error:
        raise Problem("invalid", str(error), faults=[Fault("unknown_zone", str(error), field="time_zone")]) from None


@router.get("/patients", response_model=Patients, responses=_READ | problems("bad-cursor"))
async def list_patients(
    *,
    request: Request,
    context: Context,
    actor: Caller,
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward.")] = None,
    discharged: Annotated[bool, Query(description="Discharged patients instead.")] = False,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Response:
    """Patients within the caller's reach, by id."""
    require(actor, Action.PATIENT_READ)
    purpose = f"patients {ward} {discharged}"
    after = context.cursors.open(cursor, purpose)
    found = [
        profile
        for profile in context.service.registry.profiles()
        if profile.active is not discharged
        and (ward is None or profile.ward == ward)
        and actor.covers(profile.ward, profile.patient)
        and (after is None or profile.patient > after)
    ]
    found.sort(key=lambda profile: profile.patient)
    page = found[:limit]
    following = context.cursors.seal(page[-1].patient, purpose) if len(found) > limit else None
    context.accounts.audit(actor, "patient.list", detail=f"{len(page)} patients, ward {ward or '*'}")
    return respond(
        Patients([patient(one) for one in page], following), headers=context.cursors.link(request.url, following)
    )


@router.post("/patients", status_code=201, response_model=Patient, responses=_WRITE | problems("too-many-attempts"))
async def admit(context: Context, actor: Caller, body: Admission) -> Response:
    """Begin a stay, with a new id or the id of a discharged patient. Nothing of an earlier stay is carried over.

    The log decides: of several simultaneous admissions of one id, one is answered with 201. If the id is in use out of the
    caller's reach, 409 says only that it cannot be used here.
    """
    ward = body.ward or context.settings.default_ward
    require(actor, Action.PATIENT_ADMIT, ward)
    _born_by_now(context, body)
    registry = context.service.registry
    if registry.known(body.id):
        raise _in_use(context, actor, body.id)
    whose = actor.key or actor.name
    if not context.admitted.left(whose):
        wait = math.ceil(context.admitted.wait(whose))
        raise Problem("too-many-attempts", "too many admissions within a minute", headers={"Retry-After": str(wait)})
    context.admitted.add(whose)
    wanted = Admit(patient=body.id, ward=ward, bed=body.bed, label=body.label, by=actor.name, **_said(body))
    partition, offset = await context.service.append(wanted)
    if not await registry.decided((partition, offset), _DECIDED_S):
        context.accounts.audit(actor, Action.PATIENT_ADMIT, body.id, detail=f"ward {ward}", outcome="undecided")
        detail = "the admission is recorded, but the twins have not processed it yet; check before you repeat it"
        raise Problem("overloaded", detail, headers={"Retry-After": "5"})
    profile = registry.get(body.id)
    if profile is None or profile.admission != offset:
        raise _in_use(context, actor, body.id)
    context.accounts.audit(actor, Action.PATIENT_ADMIT, body.id, detail=f"ward {ward}")
    return respond(patient(profile), 201, {"Location": f"/v1/patients/{quote(body.id, safe='')}"})


def _in_use(context: AppContext, actor: Actor, name: str) -> Problem:
    """The conflict of an admission. A caller who may not see the patient learns only that the id cannot be used."""
    context.accounts.audit(actor, Action.PATIENT_ADMIT, name, outcome="conflict")
    context.refused["id_in_use"] += 1
    profile = context.service.registry.get(name)
    if profile is not None and actor.covers(profile.ward, name):
        return Problem("conflict", "a patient of this id is admitted already")
    return Problem("conflict", "this id cannot be used here")


@router.get("/patients/{id}", response_model=Patient, responses=_READ)
async def read_patient(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """One patient, also a discharged one."""
    profile = patient_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, id)
    return respond(patient(profile))


@router.get("/patients/{id}/stays", response_model=Stays, responses=_READ)
async def list_stays(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - as above
    """The stays of this id that the caller may see: the newest by its present ward, others by the ward where they ended."""
    found = await stays_of(context, actor, id)
    if not found:
        raise Problem("not-found", "no such patient")
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="stays")
    items = [
        Stay(
            admitted=iso(one.stay.admitted),
            discharged=iso(one.stay.discharged) if one.stay.discharged else None,
            ward=one.stay.ward,
            bed=one.stay.bed,
            label=one.stay.label,
            present=one.present,
        )
        for one in reversed(found)
    ]
    return respond(Stays(items))


@router.patch("/patients/{id}", response_model=Patient, responses=_WRITE | problems("discharged"))
async def change_patient(
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    body: Change,
    stay: StayMeant = None,
) -> Response:
    """Move a patient to another ward or bed, or change the label or the SpO2 scale of NEWS2."""
    profile = meant(patient_of(context, actor, id, Action.PATIENT_MOVE), stay)
    if not profile.active:
        raise Problem("discharged")
    if body.ward is not None and body.ward != profile.ward:
        require(actor, Action.PATIENT_MOVE, body.ward)
    _born_by_now(context, body)
    wanted = body.model_dump(exclude_none=True)
    said = _said(body)
    place = {name: value for name, value in wanted.items() if name not in said}
    if place:
        await context.service.append(Move(patient=id, stay=profile.admitted, by=actor.name, **place))
    if said:
        await context.service.append(SetProfile(patient=id, stay=profile.admitted, by=actor.name, **said))
    context.accounts.audit(
        actor,
        Action.PATIENT_MOVE,
        id,
        detail=", ".join(k if k in _PERSONAL else f"{k} {v}" for k, v in wanted.items())[:200],
    )
    await settled(lambda: _shows(context, id, **_kept(wanted)))
    return respond(patient(context.service.registry.get(id) or profile))


@router.delete("/patients/{id}", response_model=Patient, responses=_WRITE)
async def discharge(
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    stay: StayMeant = None,
) -> Response:
    """End a patient's stay, with its alarms, limits and charted facts. Readings are refused until the next admission.

    The records stay in the history of this stay.
    """
    profile = meant(patient_of(context, actor, id, Action.PATIENT_DISCHARGE), stay)
    if profile.active:
        await context.service.append(Discharge(patient=id, stay=profile.admitted, by=actor.name))
        context.accounts.audit(actor, Action.PATIENT_DISCHARGE, id)
        await settled(lambda: not context.service.registry.known(id))
    return respond(patient(context.service.registry.get(id) or profile))


def _born_by_now(context: AppContext, body: Admission | Change) -> None:
    """Refuse a date of birth in the future; raises ``Problem`` invalid."""
    if body.birth_date is not None and body.birth_date > iso(context.service.clock.now() + DAY_US)[:10]:
        raise Problem("invalid", "birth_date: it is in the future")


def _said(body: Admission | Change) -> dict[str, Any]:
    """The fields of a request about the person, for scoring."""
    return {
        name: value
        for name in ("spo2_scale", "birth_date", "age_years", "news2")
        if (value := getattr(body, name)) is not None
    }


def _kept(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields as in a profile."""
    return {name: None if value == "by_ward" else value for name, value in wanted.items()}


def _shows(context: AppContext, name: str, **wanted: object) -> bool:
    profile = context.service.registry.get(name)
    return profile is not None and profile.active and all(getattr(profile, key) == wanted[key] for key in wanted)
