"""Turns the limit alarms of one signal off for a limited time, with author, reason and end, which every view shows."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from api.accounts import Action, Actor
from api.context import AppContext, Caller, Context, patient_of, settled
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Note
from api.http.problems import Fault, Problem
from twins.alarms.policy import LONGEST_OFF_US
from twins.records import AlarmOff, Profile, SetAlarmOff
from twins.signals import BY_NAME

__all__ = ["TurnedOff", "router", "turned_off"]

router = APIRouter(prefix="/v1/patients/{id}/alarms-off", tags=["alarms"])

_MOST_MINUTES = LONGEST_OFF_US // 60_000_000


@dataclass(frozen=True, slots=True)
class TurnedOff:
    """Who turned a signal's limit alarms off, why, and from when until when."""

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
    """The signals whose alarms are off."""
    return {name: TurnedOff(iso(one.since), iso(one.until), one.by, one.reason) for name, one in off.items()}


@router.get("", response_model=dict[str, TurnedOff], responses=_READ)
async def read_alarms_off(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """The signals whose limit alarms are off."""
    return respond(turned_off(patient_of(context, actor, id).alarms_off))


@router.put("/{signal}", response_model=dict[str, TurnedOff], responses=_WRITE)
async def turn_off(context: Context, actor: Caller, id: str, signal: str, body: Off) -> Response:  # noqa: A002 - as above
    """Turn the limit and predicted alarms of a signal off. They turn on again at the given end, or at the end of the stay.

    Sensor alarms (faulty, silent) and NEWS2 alarms stay on.
    """
    profile = _meant(context, actor, id, signal)
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
    known = BY_NAME.get(signal)
    if known is None or not known.filtered:
        raise Problem("invalid", faults=[Fault("no_limits", "this signal has no limits", field="signal")])
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
