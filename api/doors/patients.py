"""Patients: who is followed, admitted, moved, discharged."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action, require
from api.answers import Time, iso, problems, respond
from api.fields import Body, Composed, Label, PatientId, Ward
from api.problems import Problem
from api.wiring import Caller, Wired, Wiring, patient_of, settled
from twins.records import Admit, Discharge, Move, Profile, SetProfile

__all__ = ["Patient", "patient", "router"]

router = APIRouter(prefix="/v1", tags=["patients"])


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is monitored and where; ``consciousness`` (A C V P U) and ``oxygen`` (L/min, 0 is air) as charted."""

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


@dataclass(frozen=True, slots=True)
class Patients:
    """One page of patients by id; the Link header leads to the next."""

    items: list[Patient]
    next: str | None


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
    """Begin to follow a patient, or follow a discharged one again."""
    ward = body.ward or wired.settings.default_ward
    require(actor, Action.PATIENT_ADMIT, ward)
    registry = wired.service.registry
    if registry.known(body.id):
        raise Problem("conflict", "a patient of this id is admitted already")
    await wired.service.append(Admit(patient=body.id, ward=ward, bed=body.bed, label=body.label, by=actor.name))
    if body.spo2_scale != 1:
        await wired.service.append(SetProfile(patient=body.id, spo2_scale=body.spo2_scale, by=actor.name))
    wired.accounts.audit(actor, Action.PATIENT_ADMIT, body.id, detail=f"ward {ward}")
    await settled(lambda: _shows(wired, body.id, spo2_scale=body.spo2_scale))
    profile = registry.get(body.id) or Profile(patient=body.id, ward=ward, bed=body.bed, label=body.label)
    return respond(patient(profile), 201, {"Location": f"/v1/patients/{quote(body.id, safe='')}"})


@router.get("/patients/{id}", response_model=Patient, responses=_READ)
async def read_patient(wired: Wired, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """One patient, discharged ones too."""
    profile = patient_of(wired, actor, id)
    wired.accounts.audit(actor, Action.PATIENT_READ, id)
    return respond(patient(profile))


@router.patch("/patients/{id}", response_model=Patient, responses=_WRITE | problems("discharged"))
async def change_patient(wired: Wired, actor: Caller, id: str, body: Change) -> Response:  # noqa: A002 - as above
    """Move a patient to another ward or bed, or change the label or the SpO2 scale of NEWS2."""
    profile = patient_of(wired, actor, id, Action.PATIENT_MOVE)
    if not profile.active:
        raise Problem("discharged")
    if body.ward is not None and body.ward != profile.ward:
        require(actor, Action.PATIENT_MOVE, body.ward)
    wanted = body.model_dump(exclude_none=True)
    place = {name: value for name, value in wanted.items() if name != "spo2_scale"}
    if place:
        await wired.service.append(Move(patient=id, by=actor.name, **place))
    if body.spo2_scale is not None:
        await wired.service.append(SetProfile(patient=id, spo2_scale=body.spo2_scale, by=actor.name))
    wired.accounts.audit(actor, Action.PATIENT_MOVE, id, detail=", ".join(f"{k} {v}" for k, v in wanted.items())[:200])
    await settled(lambda: _shows(wired, id, **wanted))
    return respond(patient(wired.service.registry.get(id) or profile))


@router.delete("/patients/{id}", response_model=Patient, responses=_WRITE)
async def discharge(wired: Wired, actor: Caller, id: str) -> Response:  # noqa: A002 - as above
    """Discharge a patient: alarms end, readings are refused until the next admission; what was recorded stays."""
    profile = patient_of(wired, actor, id, Action.PATIENT_DISCHARGE)
    if profile.active:
        await wired.service.append(Discharge(patient=id, by=actor.name))
        wired.accounts.audit(actor, Action.PATIENT_DISCHARGE, id)
        await settled(lambda: not wired.service.registry.known(id))
    return respond(patient(wired.service.registry.get(id) or profile))


def _shows(wired: Wiring, name: str, **wanted: object) -> bool:
    profile = wired.service.registry.get(name)
    return profile is not None and profile.active and all(getattr(profile, key) == wanted[key] for key in wanted)
