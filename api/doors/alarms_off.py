"""Turns alarms off for a limited time, with author, reason and end, which every view shows."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of, settled
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Composed, Note
from api.http.problems import Fault, Problem
from twins.alarms.off import may_be_off
from twins.alarms.policy import LONGEST_OFF_US
from twins.bank.policies import policy_in
from twins.records import AlarmOff, Profile, SetAlarmOff

__all__ = ["TurnedOff", "everywhere", "router", "turned_off"]

router = APIRouter(prefix="/v1/patients/{id}/alarms-off", tags=["alarms"])
everywhere = APIRouter(prefix="/v1/alarms-off", tags=["alarms"])

_MOST_MINUTES = LONGEST_OFF_US // 60_000_000


@dataclass(frozen=True, slots=True)
class TurnedOff:
    """Who turned alarms off, why, and from when until when."""

    since: Time
    until: Time
    by: str
    reason: str


class Off(Body):
    """For how long, and why; everybody who may see the patient can read it."""

    minutes: Annotated[int, Field(ge=1, le=_MOST_MINUTES)]
    reason: Annotated[Note, Field(min_length=3)]


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "foreign-origin", "body-too-large", "unsupported-media-type", "overloaded", "log-unavailable",
    "storage-full", "discharged",
)  # fmt: skip
Given = dict[str, AlarmOff]


def turned_off(off: Given) -> dict[str, TurnedOff]:
    """What is off: signals, ``news2``, rules as ``rule.<id>``."""
    return {name: TurnedOff(iso(one.since), iso(one.until), one.by, one.reason) for name, one in off.items()}


@dataclass(frozen=True, slots=True)
class OffForPatient:
    """One thing that is turned off for one patient."""

    patient: str
    ward: str
    bed: str
    label: str
    what: str
    since: Time
    until: Time
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class OffForPatients:
    """Everything that is turned off within reach, the earliest end first."""

    items: list[OffForPatient]


@everywhere.get("", response_model=OffForPatients, responses=_READ)
async def list_alarms_off(
    context: Context,
    actor: Caller,
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward.")] = None,
) -> Response:
    """Everything that is turned off for the patients within the caller's reach: who, why, until when."""
    require(actor, Action.PATIENT_READ)
    found = sorted(
        (off.until, one.patient, what, off, one) for one in context.view.patients() for what, off in one.alarms_off.items()
        if (ward is None or one.ward == ward) and actor.covers(one.ward, one.patient)
    )  # fmt: skip
    context.accounts.audit(actor, "patient.list", detail=f"{len(found)} alarms off, ward {ward or '*'}")
    return respond(OffForPatients([
        OffForPatient(
            one.patient, one.ward, one.bed, one.label, what, iso(off.since), iso(off.until), off.by, off.reason
        )
        for _, _, what, off, one in found
    ]))  # fmt: skip


@router.get("", response_model=dict[str, TurnedOff], responses=_READ)
async def read_alarms_off(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """What is turned off for a patient: signals, `news2`, rules as `rule.<id>`."""
    return respond(turned_off(patient_of(context, actor, id).alarms_off))


@router.put("/{signal}", response_model=dict[str, TurnedOff], responses=_WRITE)
async def turn_off(context: Context, actor: Caller, id: str, signal: str, body: Off) -> Response:  # noqa: A002 - as above
    """Turn alarms off: of a signal (its limits, predictions, rates), of `news2`, or of a site's rule (`rule.<id>`).

    They turn on again at the given end, or at the end of the stay. Alarms of the sensor itself (faulty, silent) stay on.
    """
    profile = _meant(context, actor, id, signal)
    longest = policy_in(context.service.site_settings(), profile.ward).longest_alarm_off_s
    if body.minutes * 60 > longest:
        detail = f"the policy allows at most {longest / 60:g} minutes"
        raise Problem("invalid", detail, faults=[Fault("too_long", detail, field="minutes")])
    now = context.service.clock.now()
    until = now + body.minutes * 60_000_000
    return await _set(context, actor, profile, SetAlarmOff(patient=id, signal=signal, until=until, reason=body.reason))


@router.delete("/{signal}", response_model=dict[str, TurnedOff], responses=_WRITE)
async def turn_on(context: Context, actor: Caller, id: str, signal: str) -> Response:  # noqa: A002 - as above
    """Turn the alarms of a signal on again."""
    return await _set(context, actor, _meant(context, actor, id, signal), SetAlarmOff(patient=id, signal=signal))


def _meant(context: AppContext, actor: Actor, patient: str, signal: str) -> Profile:
    profile = patient_of(context, actor, patient, Action.LIMITS_WRITE)
    if not profile.active:
        raise Problem("discharged")
    if not may_be_off(signal):
        detail = "only a signal with limits, news2, or a site's rule (rule.<id>) can be turned off"
        raise Problem("invalid", detail, faults=[Fault("no_limits", detail, field="signal")])
    return profile


async def _set(context: AppContext, actor: Actor, profile: Profile, command: SetAlarmOff) -> Response:
    command.by, command.stay = actor.name, profile.admitted
    await context.service.append(command)
    said = f"alarms off: {command.signal}, {command.reason}" if command.until else f"alarms on: {command.signal}"
    context.accounts.audit(actor, Action.LIMITS_WRITE, profile.patient, detail=said[:200])

    def shown() -> Given:
        held = context.service.registry.get(profile.patient)
        return held.alarms_off if held else {}

    await settled(lambda: (command.signal in shown()) == bool(command.until), 10.0)
    return respond(turned_off(shown()))
