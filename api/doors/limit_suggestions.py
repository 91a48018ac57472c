"""Suggestions of limits from a patient's own readings; a person accepts one by an ordinary PATCH of the limits."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from msgspec import structs

from api.accounts import Action
from api.context import Caller, Context, patient_of
from api.doors.limits import of_patient
from api.doors.limits_preview import PreviewedPart, ask_for, place_of, setup_commands
from api.http.answers import Time, iso, problems, respond
from api.http.problems import Problem
from streams.preview.child import Question, Suggested
from streams.preview.job import Job
from twins.signals import BY_NAME

__all__ = ["router"]

router = APIRouter(prefix="/v1/patients/{id}", tags=["limits"])

_HOUR_US = 3_600_000_000
_MOST_READINGS = 5_000_000


@dataclass(frozen=True, slots=True)
class LimitSuggestion:
    """With ``suggested`` instead of ``present``: ``alarms_suggested`` instead of ``alarms_present`` alarms of this side.

    ``sustained`` of the present alarms lasted 60 s or more; none of them would have been missed. To accept it, set the limit
    with PATCH /v1/patients/{id}/limits.
    """

    signal: str
    bound: Literal["low", "high"]
    unit: str
    present: float
    suggested: float
    alarms_present: int
    alarms_suggested: int
    sustained: int


@dataclass(frozen=True, slots=True)
class LimitSuggestions:
    """Suggestions from the readings of a period, the most useful first; ``parts`` says where the readings came from."""

    patient: str
    start: Time
    end: Time
    readings: int
    parts: list[PreviewedPart]
    items: list[LimitSuggestion]


@router.get(
    "/limit-suggestions",
    response_model=LimitSuggestions,
    responses=problems(
        "unauthenticated", "forbidden", "not-found", "invalid", "overloaded", "store-unavailable", "history-unavailable",
        "history-not-kept", "discharged",
    ),
)  # fmt: skip
async def suggest_limits(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    hours: Annotated[float, Query(gt=0, le=72, description="From the readings of the last so many hours.")] = 8.0,
) -> Response:
    """Limits with which there would have been far fewer alarms, and none that lasted 60 s would have been missed.

    Only the low and the high limit are moved, outward, and never beyond the farthest that may be set. Nothing is set.
    """
    profile = patient_of(context, actor, id)
    if not profile.active:
        raise Problem("discharged")
    end = context.service.clock.now() + 1
    job = Job(
        patients=[profile], setup=setup_commands(context, [profile]), changes=[], start=end - int(hours * _HOUR_US), end=end,
        most_readings=_MOST_READINGS,
    )  # fmt: skip
    limits = of_patient(context, id)
    present = {id: {name: {"low": one.low, "high": one.high, "critical_low": one.critical_low,
                           "critical_high": one.critical_high} for name, one in limits.items()}}  # fmt: skip
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="limit suggestions")
    found = await ask_for(context, Question(job=job, present=present, **place_of(context)))
    assert isinstance(found, Suggested)  # noqa: S101 - as asked
    items = [
        LimitSuggestion(
            unit=BY_NAME[one.signal].unit,
            **{name: value for name, value in structs.asdict(one).items() if name != "patient"},
        )
        for one in found.found
    ]
    parts = [PreviewedPart(one.source, iso(one.start), iso(one.end)) for one in found.parts]
    return respond(LimitSuggestions(id, iso(job.start), iso(end), found.readings, parts, items))
