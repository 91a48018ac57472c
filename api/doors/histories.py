"""A patient's stored readings, estimates, forecasts and facts, in full or thinned for drawing."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action
from api.context import AppContext, Caller, Context
from api.doors.stay_of_request import StayNamed, of_stay, viewed
from api.http.answers import Time, iso, iso_all, or_none, problems, respond
from api.http.fields import Moment
from api.http.problems import Fault, Problem
from streams.history.base import BESIDE, KEPT_HORIZONS_MIN, KEPT_QUANTILES
from streams.history.events import fact_id
from twins.records import Status
from twins.signals import BY_NAME, Signal

__all__ = ["Window", "router", "signal_named", "window_of"]

router = APIRouter(prefix="/v1/patients/{id}", tags=["history"])

_HOUR_US = 3_600_000_000
_DRAWN_POINTS, _DRAWN_US = 200, 12 * _HOUR_US


@dataclass(frozen=True, slots=True)
class Window:
    """The requested window."""

    patient: str
    signal: str
    unit: str
    start: Time
    end: Time


@dataclass(frozen=True, slots=True)
class Observations(Window):
    """Readings as received, without withdrawn ones, as columns; ``status`` is the twin's result for each (0: used)."""

    time: list[Time]
    value: list[float | None]
    status: list[int]
    next: str | None


@dataclass(frozen=True, slots=True)
class Buckets(Window):
    """Readings thinned to buckets: ``time`` is the start of each; empty ones are omitted."""

    time: list[Time]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    count: list[int]


@dataclass(frozen=True, slots=True)
class Estimates(Window):
    """The twin's estimates, with their standard deviation and the quality of the signal (0–1)."""

    time: list[Time]
    mean: list[float | None]
    sd: list[float | None]
    quality: list[float | None]


@dataclass(frozen=True, slots=True)
class PastForecasts(Window):
    """Stored forecasts, about one a minute; ``time`` is when the forecast was made.

    ``forecast`` holds for each time, by ``horizons_min`` (minutes after it) and ``quantiles``, the forecast reading; null
    if that moment had passed already when the forecast was published.
    """

    horizons_min: list[int]
    quantiles: list[float]
    time: list[Time]
    forecast: list[list[list[float | None]]]


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of the reading at ``time``: ``before`` is the first value, ``value`` the new one, if any, ``by`` its author."""

    time: Time
    what: Literal["corrected", "retracted", "not_taken"]
    before: float | None
    value: float | None
    by: str
    received: Time


@dataclass(frozen=True, slots=True)
class Revisions(Window):
    """Readings that were corrected, withdrawn, or refused because another device's reading is stored; oldest first."""

    items: list[Revision]


@dataclass(frozen=True, slots=True)
class ChartedFact:
    """A fact as charted; ``id`` distinguishes it from others, also at the same moment."""

    id: str
    kind: str
    time: Time
    value: float | str | None
    unit: str
    note: str
    by: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Charted facts, oldest first."""

    patient: str
    start: Time
    end: Time
    items: list[ChartedFact]


@router.get(
    "/history",
    response_model=Observations | Buckets | Estimates | PastForecasts | Facts | Revisions,
    responses=problems(
        "bad-cursor",
        "unauthenticated",
        "forbidden",
        "not-found",
        "invalid",
        "store-unavailable",
        "history-not-kept",
    ),
)
async def read_history(
    *,
    request: Request,
    context: Context,
    actor: Caller,
    id: str,  # noqa: A002 - the name in the address
    kind: Literal["observations", "estimates", "forecasts", "facts", "revisions"] = "observations",
    signal: Annotated[str, Query(max_length=64, description="The signal; not needed for facts.")] = "",
    start: Annotated[Moment | None, Query(description="Start of the window. Default: an hour before the end.")] = None,
    end: Annotated[Moment | None, Query(description="End of the window, exclusive. Default: now.")] = None,
    points: Annotated[
        int | None,
        Query(ge=1, le=10_000, description="Thin to at most so many points; for forecasts one forecast per point."),
    ] = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Maximum readings on a page, without points.")] = 10_000,
    stay: StayNamed = None,
) -> Response:
    """The part of the window [start, end) that lies in the stay: one signal, or the charted facts."""
    shown = await viewed(context, actor, id, stay)
    begin, until = shown.within(*window_of(context, start, end))
    drawn = kind == "observations" and stay is None and _is_drawn(points, until - begin)
    if not (drawn and actor.key and context.hub.has_on_screen(actor.key, _ward(context, id))):
        detail = f"history of {kind} {signal}{of_stay(shown)}".strip()
        context.accounts.audit(actor, Action.PATIENT_READ, id, detail=detail)
    if kind == "facts":
        return await _facts(context, id, begin, until)
    found = signal_named(signal)
    window = (id, found.name, found.unit, iso(begin), iso(until))
    if kind == "revisions":
        return await _revisions(context, found, window, (begin, until))
    if kind == "estimates":
        return await _estimates(context, found, window, (begin, until, points))
    if kind == "forecasts":
        return await _forecasts(context, found, window, (begin, until, points))
    if points is not None:
        return await _buckets(context, found, window, (begin, until, points))
    purpose = f"history {id} {signal} {begin if start else ''} {until if end else ''} {shown.stay.admitted}"
    place = context.cursors.open(cursor, purpose)
    page = await context.service.history.observations_page(id, found.code, begin, until, cursor=place, limit=limit)
    following = context.cursors.seal(page.cursor, purpose) if page.cursor else None
    series = page.series
    answer = Observations(*window, iso_all(series.time), or_none(series.value), series.status.tolist(), following)
    return respond(answer, headers=context.cursors.link(request.url, following))


def _is_drawn(points: int | None, span: int) -> bool:
    """Whether a ward page draws this. Then the audit entry for following the ward covers it."""
    return points is not None and points <= _DRAWN_POINTS and span <= _DRAWN_US


def _ward(context: AppContext, patient: str) -> str:
    """The patient's present ward; empty for an unknown patient."""
    profile = context.service.registry.get(patient)
    return profile.ward if profile is not None and profile.active else ""


def window_of(context: AppContext, start: int | None, end: int | None) -> tuple[int, int]:
    """The requested window; default: the last hour. Raises ``Problem``."""
    until = context.service.clock.now() + 1 if end is None else end
    begin = until - _HOUR_US if start is None else start
    if begin > until:
        raise Problem(
            "invalid", "the end of the window is before its start", faults=[Fault("ends_before_start", "", field="end")]
        )
    return begin, until


def signal_named(name: str) -> Signal:
    """The signal of that name; raises ``Problem``."""
    found = BY_NAME.get(name)
    if found is None:
        fault = Fault("unknown_signal", "GET /v1/signals lists them", field="query.signal")
        raise Problem("invalid", "no such signal", faults=[fault])
    return found


async def _buckets(
    context: AppContext, signal: Signal, window: tuple[str, str, str, str, str], span: tuple[int, int, int]
) -> Response:
    begin, until, points = span
    found = await context.service.history.observations(window[0], signal.code, begin, until, points=points)
    return respond(
        Buckets(
            *window,
            iso_all(found.time),
            or_none(found.mean),
            or_none(found.low),
            or_none(found.high),
            found.count.tolist(),
        )
    )


async def _estimates(
    context: AppContext, signal: Signal, window: tuple[str, str, str, str, str], span: tuple[int, int, int | None]
) -> Response:
    begin, until, points = span
    found = await context.service.history.estimates(window[0], signal.code, begin, until, points=points)
    answer = Estimates(*window, iso_all(found.time), or_none(found.mean), or_none(found.sd), or_none(found.quality))
    return respond(answer)


async def _forecasts(
    context: AppContext, signal: Signal, window: tuple[str, str, str, str, str], span: tuple[int, int, int | None]
) -> Response:
    begin, until, points = span
    found = await context.service.history.forecasts(window[0], signal.code, begin, until, points=points)
    forecast: list[list[list[float | None]]] = found.quantiles.tolist()  # NaN becomes null
    return respond(PastForecasts(*window, list(KEPT_HORIZONS_MIN), list(KEPT_QUANTILES), iso_all(found.time), forecast))


async def _revisions(
    context: AppContext, signal: Signal, window: tuple[str, str, str, str, str], span: tuple[int, int]
) -> Response:
    done = await context.service.history.revisions(window[0], signal.name, *span)
    sent = await context.service.history.versions(window[0], signal.code, *span) if done else None
    before: dict[int, float] = {}
    if sent is not None:
        for time, value, status in zip(sent.time.tolist(), sent.value.tolist(), sent.status.tolist(), strict=True):
            if status not in (Status.RETRACTED, *BESIDE):
                before.setdefault(time, value)
    items = [
        Revision(iso(one.time), one.what, before.get(one.time), one.value, one.by, iso(one.received)) for one in done
    ]
    return respond(Revisions(*window, items))


async def _facts(context: AppContext, patient: str, begin: int, until: int) -> Response:
    found = await context.service.history.facts(patient, begin, until)
    items = [ChartedFact(fact_id(one), one.kind, iso(one.time), one.value, one.unit, one.note, one.by) for one in found]
    return respond(Facts(patient, iso(begin), iso(until), items))
