"""What the twin now believes a signal's course was: smoothed, in gaps too, with its spread."""

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
    start: Annotated[Moment | None, Query(description="Not before; an hour before the end if left out.")] = None,
    end: Annotated[Moment | None, Query(description="Before; now if left out.")] = None,
    points: Annotated[int, Query(ge=1, le=10_000, description="At most so many, evenly spaced.")] = 600,
    stay: StayNamed = None,
) -> Response:
    """The course of one signal over [start, end) as the twin believes it now.

    Worked out from the stored readings of the window and of some time before it in the stay, late ones in their place;
    what the twin refused does not count. Times are those of the history thinned to as many points. It begins with the
    first reading, spans gaps with a wider sd, and is a forecast after the last reading.
    """
    shown = await viewed(context, actor, id, stay)
    span = shown.within(*window_of(context, start, end))
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail=f"history smoothed {signal}{of_stay(shown)}".strip())
    found = signal_named(signal)
    if not found.filtered:
        fault = Fault("unfiltered_signal", "only vital signs and glucose are followed by a twin", field="query.signal")
        raise Problem("invalid", "no twin follows this signal", faults=[fault])
    try:
        told = await course(context.service.history, id, found, span, points, since=shown.begin)
    except TooManyReadings as error:
        fault = Fault("too_many_readings", f"{MOST_READINGS} can be smoothed at once", field="query.start")
        raise Problem("invalid", "the window holds too many readings; ask for a shorter one", faults=[fault]) from error
    window = (id, found.name, found.unit, iso(span[0]), iso(span[1]))
    return respond(Smoothed(*window, iso_all(told.time), told.mean.tolist(), told.sd.tolist()))
