"""The twins' present estimates and forecasts of a patient."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.accounts import Action
from api.context import Caller, Context, patient_of
from api.doors.patients import Patient, patient
from api.http.answers import Time, iso, problems, respond
from api.http.problems import Problem
from api.live.alarm import Alarm, alarm_of
from api.live.news2 import News2, news2_of
from api.live.state import Estimate
from streams.history.nothing import NoHistory
from twins.records import HORIZONS_MIN, QUANTILES
from twins.signals import BY_NAME

__all__ = ["router"]

router = APIRouter(prefix="/v1/patients/{id}", tags=["patients"])


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reading that was recorded but not used, because it is not plausible."""

    value: float
    time: Time
    reason: Literal["implausible"]


@dataclass(frozen=True, slots=True)
class SignalState:
    """A signal's newest plausible reading (``value`` at ``time``) and the estimate; ``trend`` per minute.

    ``rejected`` is the newest reading if it is not possible in a patient.
    """

    unit: str
    time: Time
    value: float | None
    mean: float | None
    sd: float | None
    trend: float | None
    quality: float | None
    status: str
    rejected: Rejected | None


@dataclass(frozen=True, slots=True)
class State:
    """The complete present state of a patient; ``history`` says whether a history is stored."""

    patient: Patient
    signals: dict[str, SignalState]
    news2: News2[Time] | None
    alarms: list[Alarm[Time]]
    history: bool


@dataclass(frozen=True, slots=True)
class Fan:
    """The forecast of one signal: for each horizon the value at each quantile."""

    unit: str
    time: Time
    forecast: list[list[float | None]]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecasts by signal; horizons in minutes after ``time`` of each."""

    patient: str
    horizons_min: list[int]
    quantiles: list[float]
    signals: dict[str, Fan]


def _signal(estimate: Estimate) -> SignalState:
    return SignalState(
        unit=BY_NAME[estimate.signal].unit,
        time=iso(estimate.time),
        value=estimate.value,
        mean=estimate.mean,
        sd=estimate.sd,
        trend=estimate.trend * 60.0,
        quality=estimate.quality,
        status=estimate.status,
        rejected=Rejected(estimate.rejected, iso(estimate.rejected_time), "implausible")
        if estimate.rejected_time
        else None,
    )


_READ = problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable")


@router.get("/state", response_model=State, responses=_READ)
async def read_state(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """Newest readings, estimates, NEWS2 and active alarms."""
    profile = patient_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="state")
    score = context.view.score(id)
    return respond(
        State(
            patient=patient(profile),
            signals={estimate.signal: _signal(estimate) for estimate in context.view.state(id) or ()},
            news2=news2_of(score, iso) if score else None,
            alarms=[alarm_of(one, iso) for one in context.view.active_alarms(patient=id)],
            history=not isinstance(context.service.history, NoHistory),
        )
    )


@router.get("/forecast", response_model=Forecast, responses=_READ)
async def read_forecast(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    signal: Annotated[str, Query(max_length=64, description="Only this signal.")] = "",
) -> Response:
    """Forecast quantiles by horizon of every signal that has them."""
    patient_of(context, actor, id)
    if signal and signal not in BY_NAME:
        raise Problem("invalid", "no such signal; GET /v1/signals lists them")
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="forecast")
    fans = {
        estimate.signal: Fan(BY_NAME[estimate.signal].unit, iso(estimate.time), list(map(list, estimate.quantiles)))
        for estimate in context.view.forecast(id, signal)
    }
    return respond(Forecast(id, list(HORIZONS_MIN), list(QUANTILES), fans))
