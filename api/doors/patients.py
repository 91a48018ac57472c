"""Patients: who is followed, admitted, moved, discharged."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action, Actor, require
from api.answers import Time, iso, problems, respond
from api.doors.alarms_off import TurnedOff, turned_off
from api.fields import Body, Composed, Label, PatientId, Ward
from api.problems import Problem
from api.stays import StayMeant, meant, stays_of
from api.wiring import Caller, Wired, Wiring, patient_of, settled
from twins.records import Admit, Discharge, Move, Profile, SetProfile

__all__ = ["Patient", "patient", "router"]

router = APIRouter(prefix="/v1", tags=["patients"])

_DECIDED_S = 10.0


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is monitored and where; ``consciousness`` (A C V P U) and ``oxygen`` (L/min, 0 is air) as charted.

    ``alarms_off`` names the signals whose limit alarms somebody has turned off.
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
    alarms_off: dict[str, TurnedOff]


@dataclass(frozen=True, slots=True)
class Patients:
    """One page of patients by id; the Link header leads to the next."""

    items: list[Patient]
    next: str | None


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a patient's id: ``admitted`` names it, ``discharged`` is null while it goes on; where it is or ended."""

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


@dataclass(frozen=True, slots=True)
class Wards:
    """The wards within the caller's reach, by name."""

    items: list[WardSize]


class Admission(Body):
    """Who is to be followed."""

    id: PatientId
    ward: Ward | None = None
    bed: Label = ""
    label: Label = ""
    spo2_scale: Literal[1, 2] = 1


class Change(Body):
    """What is to be different; what is left out or null stays."""

    ward: Ward | None = None
    bed: Label | None = None
    label: Label | None = None
    spo2_scale: Literal[1, 2] | None = None


def patient(profile: Profile) -> Patient:
    """A profile as it is told."""
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
        alarms_off=turned_off(profile.alarms_off),
    )


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = problems(
    "malformed-body", "unauthenticated", "forbidden", "foreign-origin", "not-found", "conflict", "body-too-large",
    "unsupported-media-type", "invalid", "overloaded", "log-unavailable", "store-unavailable", "storage-full",
)  # fmt: skip


@router.get("/wards", response_model=Wards, responses=problems("unauthenticated", "forbidden", "store-unavailable"))
async def list_wards(wired: Wired, actor: Caller) -> Response:
    """The wards within the caller's reach, with the number of admitted patients in each."""
    require(actor, Action.PATIENT_READ)
    sizes = sorted(wired.view.wards().items())
    return respond(Wards([WardSize(name, count) for name, count in sizes if actor.covers(name)]))


@router.get("/patients", response_model=Patients, responses=_READ | problems("bad-cursor"))
async def list_patients(
    *,
    request: Request,
    wired: Wired,
    actor: Caller,
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward.")] = None,
    discharged: Annotated[bool, Query(description="The discharged ones instead.")] = False,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Response:
    """Patients within the caller's reach, by id."""
    require(actor, Action.PATIENT_READ)
    purpose = f"patients {ward} {discharged}"
    after = wired.cursors.open(cursor, purpose)
    found = [
        profile
        for profile in wired.service.registry.profiles()
        if profile.active is not discharged
        and (ward is None or profile.ward == ward)
        and actor.covers(profile.ward, profile.patient)
        and (after is None or profile.patient > after)
    ]
    found.sort(key=lambda profile: profile.patient)
    page = found[:limit]
    following = wired.cursors.seal(page[-1].patient, purpose) if len(found) > limit else None
    wired.accounts.audit(actor, "patient.list", detail=f"{len(page)} patients, ward {ward or '*'}")
    return respond(
        Patients([patient(one) for one in page], following), headers=wired.cursors.link(request.url, following)
    )


@router.post("/patients", status_code=201, response_model=Patient, responses=_WRITE)
async def admit(wired: Wired, actor: Caller, body: Admission) -> Response:
    """Begin a stay, of somebody new or with the id of somebody discharged; it begins with nothing of a stay before.

    The log decides: of several who admit one id at the same time one is answered 201. Where the id is in use out of the
    caller's reach, 409 says no more than that it cannot be used here.
    """
    ward = body.ward or wired.settings.default_ward
    require(actor, Action.PATIENT_ADMIT, ward)
    registry = wired.service.registry
    if registry.known(body.id):
        raise _in_use(wired, actor, body.id)
    wanted = Admit(
        patient=body.id, ward=ward, bed=body.bed, label=body.label, spo2_scale=body.spo2_scale, by=actor.name
    )
    partition, offset = await wired.service.append(wanted)
    if not await registry.decided((partition, offset), _DECIDED_S):
        wired.accounts.audit(actor, Action.PATIENT_ADMIT, body.id, detail=f"ward {ward}", outcome="undecided")
        detail = "the admission is recorded, the twins have not come to it yet; look again before you ask again"
        raise Problem("overloaded", detail, headers={"Retry-After": "5"})
    profile = registry.get(body.id)
    if profile is None or profile.admission != offset:
        raise _in_use(wired, actor, body.id)
    wired.accounts.audit(actor, Action.PATIENT_ADMIT, body.id, detail=f"ward {ward}")
    return respond(patient(profile), 201, {"Location": f"/v1/patients/{quote(body.id, safe='')}"})


def _in_use(wired: Wiring, actor: Actor, name: str) -> Problem:
    """The conflict of an admission: who may not see the patient learns only that the id cannot be used."""
    wired.accounts.audit(actor, Action.PATIENT_ADMIT, name, outcome="conflict")
    wired.refused["id_in_use"] += 1
    profile = wired.service.registry.get(name)
    if profile is not None and actor.covers(profile.ward, name):
        return Problem("conflict", "a patient of this id is admitted already")
    return Problem("conflict", "this id cannot be used here")


@router.get("/patients/{id}", response_model=Patient, responses=_READ)
async def read_patient(wired: Wired, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """One patient, discharged ones too."""
    profile = patient_of(wired, actor, id)
    wired.accounts.audit(actor, Action.PATIENT_READ, id)
    return respond(patient(profile))


@router.get("/patients/{id}/stays", response_model=Stays, responses=_READ)
async def list_stays(wired: Wired, actor: Caller, id: str) -> Response:  # noqa: A002 - as above
    """The stays of this id that the caller may see: the newest where the patient is, others where they ended."""
    found = await stays_of(wired, actor, id)
    if not found:
        raise Problem("not-found", "no such patient")
    wired.accounts.audit(actor, Action.PATIENT_READ, id, detail="stays")
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
    wired: Wired,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    body: Change,
    stay: StayMeant = None,
) -> Response:
    """Move a patient to another ward or bed, or change the label or the SpO2 scale of NEWS2."""
    profile = meant(patient_of(wired, actor, id, Action.PATIENT_MOVE), stay)
    if not profile.active:
        raise Problem("discharged")
    if body.ward is not None and body.ward != profile.ward:
        require(actor, Action.PATIENT_MOVE, body.ward)
    wanted = body.model_dump(exclude_none=True)
    place = {name: value for name, value in wanted.items() if name != "spo2_scale"}
    if place:
        await wired.service.append(Move(patient=id, stay=profile.admitted, by=actor.name, **place))
    if body.spo2_scale is not None:
        await wired.service.append(
            SetProfile(patient=id, stay=profile.admitted, spo2_scale=body.spo2_scale, by=actor.name)
        )
    wired.accounts.audit(actor, Action.PATIENT_MOVE, id, detail=", ".join(f"{k} {v}" for k, v in wanted.items())[:200])
    await settled(lambda: _shows(wired, id, **wanted))
    return respond(patient(wired.service.registry.get(id) or profile))


@router.delete("/patients/{id}", response_model=Patient, responses=_WRITE)
async def discharge(
    wired: Wired,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    stay: StayMeant = None,
) -> Response:
    """End a patient's stay: alarms, limits and what was charted for the score end; readings are refused until the next.

    What was recorded stays, as that of this stay.
    """
    profile = meant(patient_of(wired, actor, id, Action.PATIENT_DISCHARGE), stay)
    if profile.active:
        await wired.service.append(Discharge(patient=id, stay=profile.admitted, by=actor.name))
        wired.accounts.audit(actor, Action.PATIENT_DISCHARGE, id)
        await settled(lambda: not wired.service.registry.known(id))
    return respond(patient(wired.service.registry.get(id) or profile))


def _shows(wired: Wiring, name: str, **wanted: object) -> bool:
    profile = wired.service.registry.get(name)
    return profile is not None and profile.active and all(getattr(profile, key) == wanted[key] for key in wanted)
