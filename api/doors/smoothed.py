"""The course of a signal as estimated in hindsight: smoothed, also in gaps, with standard deviation."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.accounts import Action
from api.context import Caller, Context
from api.doors.histories import Window, signal_named, window_of
from api.doors.stay_of_request import StayNamed, of_stay, viewed
from api.http.answers import Time, iso, iso_all, problems, respond
from api.http.fields import Moment
from api.http.problems import Fault, Problem
from streams.history.course import MOST_READINGS, TooManyReadings, course

__all__ = ["router"]

router = APIRouter(prefix="/v1/patients/{id}", tags=["history"])


@dataclass(frozen=True, slots=True)
class Smoothed(Window):
    """The patient's value at evenly spaced times, given every reading before and after, and its standard deviation."""

    time: list[Time]
    mean: list[float]
    sd: list[float]


@router.get(
    "/history/smoothed",
    response_model=Smoothed,
    responses=problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable", "history-not-kept"),
)
async def read_smoothed(
    *,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    signal: Annotated[str, Query(max_length=64, description="A vital sign or glucose.")],
    start: Annotated[Moment | None, Query(description="Start of the window. Default: an hour before the end.")] = None,
    end: Annotated[Moment | None, Query(description="End of the window, exclusive. Default: now.")] = None,
    points: Annotated[int, Query(ge=1, le=10_000, description="Maximum number of points, evenly spaced.")] = 600,
    stay: StayNamed = None,
) -> Response:
    """The course of one signal over [start, end), as the twin estimates it now.

    It is calculated from the stored readings of the window and of some time before it in the same stay. Late readings are
    used at their own time; readings that the twin refused are not used. The times are those of the history thinned to as
    many points. The course begins with the first reading, spans gaps with a larger sd, and is a forecast after the last
    reading.
    """
    shown = await viewed(context, actor, id, stay)
    span = shown.within(*window_of(context, start, end))
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail=f"history smoothed {signal}{of_stay(shown)}".strip())
    found = signal_named(signal)
    if not found.filtered:
        fault = Fault("unfiltered_signal", "only vital signs and glucose have a twin", field="query.signal")
        raise Problem("invalid", "this signal has no twin", faults=[fault])
    try:
        result = await course(context.service.history, id, found, span, points, since=shown.begin)
    except TooManyReadings as error:
        fault = Fault("too_many_readings", f"{MOST_READINGS} can be smoothed at once", field="query.start")
        raise Problem("invalid", "the window has too many readings; request a shorter one", faults=[fault]) from error
    window = (id, found.name, found.unit, iso(span[0]), iso(span[1]))
    return respond(Smoothed(*window, iso_all(result.time), result.mean.tolist(), result.sd.tolist()))
