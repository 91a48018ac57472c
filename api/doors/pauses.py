"""Pauses of the sound, or of all alarm signals, of a patient or of a ward, for a limited time."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Composed, Note, Ward
from api.http.problems import Fault, Problem
from twins.alarms.policy import BOUNDS
from twins.bank.policies import policy_in
from twins.records import Pause, PauseAlarms, PauseKind, Profile

__all__ = ["InForce", "Paused", "Pausing", "paused", "router", "until_of"]

router = APIRouter(prefix="/v1", tags=["alarms"])

_SHOWN_S = 5.0
_MOST_S = int(BOUNDS["longest_audio_pause_s"][1])


@dataclass(frozen=True, slots=True)
class InForce:
    """Who paused, why, from when until when, and whether it was for the whole ward."""

    since: Time
    until: Time
    by: str
    reason: str
    scope: Literal["patient", "ward"]


@dataclass(frozen=True, slots=True)
class Paused:
    """The pauses of a patient: of the sound, and of all signals; null where there is none."""

    audio: InForce | None
    alarm: InForce | None


@dataclass(frozen=True, slots=True)
class PausedPatient:
    """A patient whose alarms are paused."""

    patient: str
    ward: str
    bed: str
    label: str
    audio: InForce | None
    alarm: InForce | None


@dataclass(frozen=True, slots=True)
class PausedPatients:
    """Everybody within reach whose alarms are paused, the earliest end first."""

    items: list[PausedPatient]


@dataclass(frozen=True, slots=True)
class PausedWard:
    """How many patients of a ward are paused now."""

    ward: str
    patients: int
    paused: int


class Pausing(Body):
    """For how many seconds, at most as many as the policy allows, and why."""

    seconds: Annotated[int, Field(ge=1, le=_MOST_S)]
    reason: Note = ""


class WardPausing(Body):
    """For how many seconds, at most as many as the policy allows, and why: it concerns everybody in the ward."""

    seconds: Annotated[int, Field(ge=1, le=_MOST_S)]
    reason: Annotated[Note, Field(min_length=3)]


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "foreign-origin", "body-too-large", "unsupported-media-type", "overloaded", "log-unavailable",
    "storage-full", "discharged",
)  # fmt: skip


@router.get("/pauses", response_model=PausedPatients, responses=_READ)
async def list_pauses(
    context: Context,
    actor: Caller,
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward.")] = None,
) -> Response:
    """Everybody within the caller's reach whose alarms are paused."""
    require(actor, Action.PATIENT_READ)
    found = [
        profile for profile in context.view.patients()
        if (profile.audio_pause or profile.alarm_pause)
        and (ward is None or profile.ward == ward)
        and actor.covers(profile.ward, profile.patient)
    ]  # fmt: skip
    context.accounts.audit(actor, "patient.list", detail=f"{len(found)} paused patients, ward {ward or '*'}")
    found.sort(key=lambda one: min(pause.until for pause in (one.audio_pause, one.alarm_pause) if pause))
    return respond(PausedPatients([
        PausedPatient(one.patient, one.ward, one.bed, one.label, _shown(one.audio_pause), _shown(one.alarm_pause))
        for one in found
    ]))  # fmt: skip


@router.get("/patients/{id}/pauses", response_model=Paused, responses=_READ)
async def read_pauses(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """The pauses of a patient's alarms."""
    return respond(paused(patient_of(context, actor, id)))


@router.put("/patients/{id}/pauses/{kind}", response_model=Paused, responses=_WRITE)
async def pause_patient(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    kind: PauseKind,
    body: Pausing,
) -> Response:
    """Pause the sound (audio) or all signals (alarm) of a patient's alarms. It ends by itself.

    An alarm of high priority that begins or becomes worse during an audio pause sounds. During an alarm pause it waits for
    the end, and the pause is visible on every screen.
    """
    profile = _admitted(context, actor, id)
    until = until_of(context, profile.ward, kind, body.seconds)
    command = PauseAlarms(
        patient=id, stay=profile.admitted, kind=kind, until=until, reason=body.reason, by=actor.name
    )  # fmt: skip
    await context.service.append(command)
    context.accounts.audit(actor, Action.ALARM_PAUSE, id, detail=f"{kind} pause, {body.seconds} s: {body.reason}"[:200])
    await settled(lambda: _by(context, id, kind) == (actor.name, body.reason), _SHOWN_S)
    return respond(paused(context.service.registry.get(id) or profile))


@router.delete("/patients/{id}/pauses/{kind}", response_model=Paused, responses=_WRITE)
async def resume_patient(context: Context, actor: Caller, id: str, kind: PauseKind) -> Response:  # noqa: A002 - as above
    """End a pause of a patient's alarms, and those of single alarms of the patient with it."""
    profile = _admitted(context, actor, id)
    await context.service.append(PauseAlarms(patient=id, stay=profile.admitted, kind=kind, by=actor.name))
    context.accounts.audit(actor, Action.ALARM_PAUSE, id, detail=f"{kind} pause ended")
    await settled(lambda: _by(context, id, kind) is None, _SHOWN_S)
    return respond(paused(context.service.registry.get(id) or profile))


@router.put("/wards/{name}/pauses/{kind}", response_model=PausedWard, responses=_WRITE)
async def pause_ward(context: Context, actor: Caller, name: Ward, kind: PauseKind, body: WardPausing) -> Response:
    """Pause the alarms of everybody who is in the ward now. All signals of a whole ward: only administrators."""
    _may_pause(actor, name, kind)
    until = until_of(context, name, kind, body.seconds)
    await context.service.append(PauseAlarms(ward=name, kind=kind, until=until, reason=body.reason, by=actor.name))
    said = f"{kind} pause of ward {name}, {body.seconds} s: {body.reason}"
    context.accounts.audit(actor, Action.ALARM_PAUSE, detail=said[:200])
    there = [profile.patient for profile in context.view.patients({name})]
    await settled(lambda: all(_by(context, one, kind) == (actor.name, body.reason) for one in there), _SHOWN_S)
    return respond(_of_ward(context, name, kind))


@router.delete("/wards/{name}/pauses/{kind}", response_model=PausedWard, responses=_WRITE)
async def resume_ward(context: Context, actor: Caller, name: Ward, kind: PauseKind) -> Response:
    """End the pauses of everybody in the ward."""
    require(actor, Action.ALARM_PAUSE, name)
    await context.service.append(PauseAlarms(ward=name, kind=kind, by=actor.name))
    context.accounts.audit(actor, Action.ALARM_PAUSE, detail=f"{kind} pause of ward {name} ended")
    await settled(lambda: not _of_ward(context, name, kind).paused, _SHOWN_S)
    return respond(_of_ward(context, name, kind))


def _may_pause(actor: Actor, ward: str, kind: PauseKind) -> None:
    require(actor, Action.ALARM_PAUSE, ward)
    if kind == "alarm":
        require(actor, Action.WARD_SILENCE, ward)


def _admitted(context: AppContext, actor: Actor, patient: str) -> Profile:
    profile = patient_of(context, actor, patient, Action.ALARM_PAUSE)
    if not profile.active:
        raise Problem("discharged")
    return profile


def until_of(context: AppContext, ward: str, kind: PauseKind, seconds: int) -> int:
    """When a pause of ``seconds`` from now ends (µs); raises ``Problem`` invalid if the policy does not allow it."""
    longest = policy_in(context.service.site_settings(), ward).longest_pause_us(kind)
    if seconds * 1_000_000 > longest:
        detail = f"the policy allows at most {longest // 1_000_000} s for this kind of pause"
        raise Problem("invalid", detail, faults=[Fault("too_long", detail, field="seconds")])
    return context.service.clock.now() + seconds * 1_000_000


def paused(profile: Profile) -> Paused:
    """The pauses of a profile."""
    return Paused(_shown(profile.audio_pause), _shown(profile.alarm_pause))


def _shown(pause: Pause | None) -> InForce | None:
    return InForce(iso(pause.since), iso(pause.until), pause.by, pause.reason, pause.scope) if pause else None


def _by(context: AppContext, patient: str, kind: PauseKind) -> tuple[str, str] | None:
    """Who paused, and why."""
    profile = context.service.registry.get(patient)
    pause = (profile.audio_pause if kind == "audio" else profile.alarm_pause) if profile else None
    return (pause.by, pause.reason) if pause else None


def _of_ward(context: AppContext, ward: str, kind: PauseKind) -> PausedWard:
    there = [profile.patient for profile in context.view.patients({ward})]
    return PausedWard(ward, len(there), sum(_by(context, one, kind) is not None for one in there))
