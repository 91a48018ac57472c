"""The policy about alarms of the site and of wards: what latches, longest pauses, reminders, wanted precision."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import RootModel

from api.accounts import Action, require
from api.context import AppContext, Caller, Context, settled
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Composed
from api.http.problems import Fault, Problem
from twins.alarms.conditions import BY_NAME
from twins.alarms.policy import BOUNDS, read_policy
from twins.bank.policies import given_policy, policy_in
from twins.records import AlarmPolicy, SetAlarmPolicy

__all__ = ["router"]

router = APIRouter(prefix="/v1/alarm-policy", tags=["alarms"])

_SHOWN_S = 10.0


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """What applies, from all levels; ``latches`` has every built-in condition. Times in seconds."""

    latches: dict[str, bool]
    remind_after_s: dict[str, float]
    longest_audio_pause_s: float
    longest_alarm_pause_s: float
    longest_alarm_off_s: float
    fold_s: float
    precision_wanted: float
    unheard_after_s: float
    battery_below: float
    quality_below: float


@dataclass(frozen=True, slots=True)
class PolicyHere:
    """What is set at this level (a ward, or "" for the site), by whom and when, and what applies there."""

    ward: str
    given: dict[str, Any]
    in_force: PolicyInForce
    set_by: str
    set_at: Time | None


class Wanted(RootModel[dict[str, Any]]):
    """A policy; see docs/alarms.md."""


def _schema() -> dict[str, Any]:
    numbers = {name: {"type": "number", "minimum": least, "maximum": most} for name, (least, most) in BOUNDS.items()}
    return {
        "type": "object",
        "description": "Replaces what is set at this level. What is left out follows the site, then the defaults.",
        "additionalProperties": False,
        "properties": {
            "latches": {
                "type": "object",
                "description": "By condition: whether its alarm stays after its end until somebody acknowledges it.",
                "additionalProperties": {"type": "boolean"},
            },
            "remind_after_s": {
                "type": "object",
                "description": "By priority: after how long an acknowledged alarm that persists sounds again; 0 is never.",
                "properties": {priority: {"type": "number"} for priority in ("high", "medium", "low")},
                "additionalProperties": False,
            },
            **numbers,
        },
    }


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}}
_READ = problems("unauthenticated", "forbidden", "invalid", "store-unavailable")
_WRITE = _READ | problems(
    "malformed-body", "foreign-origin", "body-too-large", "unsupported-media-type", "overloaded", "log-unavailable",
    "storage-full",
)  # fmt: skip
Level = Annotated[Composed, Query(alias="ward", max_length=128, description="A ward; without it, the whole site.")]


@router.get("", response_model=PolicyHere, responses=_READ)
async def read(context: Context, actor: Caller, ward: Level = "") -> Response:
    """The policy of the site or of a ward."""
    require(actor, Action.PATIENT_READ, ward or None)
    return respond(_here(context, ward))


@router.put("", response_model=PolicyHere, responses=_WRITE, openapi_extra=_BODY)
async def replace(context: Context, actor: Caller, body: Wanted, ward: Level = "") -> Response:
    """Replace the policy of the site or of a ward. It applies to what happens from now on."""
    require(actor, Action.ALARM_POLICY_WRITE)
    policy, found = read_policy(body.root)
    if policy is None or found:
        faults = [Fault("bad_policy", one.detail, field=one.field or None) for one in found]
        raise Problem("invalid", f"{found[0].field}: {found[0].detail}", faults=faults)
    await context.service.append(SetAlarmPolicy(ward=ward, policy=policy, by=actor.name))
    said = f"{f'ward {ward}' if ward else 'site'}: {msgspec.json.encode(policy).decode()}"
    context.accounts.audit(actor, Action.ALARM_POLICY_WRITE, detail=said[:200])
    await settled(lambda: _given(context, ward) == policy, _SHOWN_S)
    return respond(_here(context, ward))


def _given(context: AppContext, ward: str) -> AlarmPolicy:
    command = given_policy(context.service.site_settings(), ward)
    return command.policy if command else AlarmPolicy()


def _here(context: AppContext, ward: str) -> PolicyHere:
    settings = context.service.site_settings()
    command, policy = given_policy(settings, ward), policy_in(settings, ward)
    in_force = msgspec.structs.asdict(policy)
    in_force["latches"] = {name: one.latches for name, one in BY_NAME.items()} | policy.latches
    return PolicyHere(
        ward, msgspec.to_builtins(_given(context, ward)), PolicyInForce(**in_force), command.by if command else "",
        iso(command.received) if command and command.received else None,
    )  # fmt: skip
