"""The table of signals and the service's clock."""

import math
from dataclasses import dataclass

from fastapi import APIRouter, Response

from api.context import Caller, Context
from api.http.answers import Time, iso, problems, respond
from api.live.protocol import STATES
from twins.models.deterioration.model import SOURCE_OF
from twins.records import HORIZONS_MIN, QUANTILES
from twins.signals import SIGNALS, Signal
from twins.units import accepted

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["signals"])


@dataclass(frozen=True, slots=True)
class DefaultLimits:
    """Default limits; null: no limit on that side."""

    critical_low: float | None
    low: float | None
    high: float | None
    critical_high: float | None


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One measurable quantity; ``code`` is its number in frames, ``units`` are the accepted units.

    ``unit_needed``: a reading in JSON or a file must name its unit. ``news2`` is its input of NEWS2, if any, and
    ``news2_order`` its rank among the sources of that input: of readings at the same time the first counts.
    ``horizons_min`` and ``quantiles`` are those of its forecasts, ``states`` the states of its twin; empty without a twin.
    """

    code: int
    name: str
    unit: str
    units: list[str]
    unit_needed: bool
    kind: str
    loinc: list[str]
    mdc: list[int]
    step: float
    plausible: list[float]
    limits: DefaultLimits
    hysteresis: float
    delay_s: float
    critical_delay_s: float
    silence_s: float
    news2: str | None
    news2_order: int | None
    horizons_min: list[int]
    quantiles: list[float]
    states: list[str]


@dataclass(frozen=True, slots=True)
class ServiceClock:
    """Service time, its speed relative to the wall clock, and how far it is ahead of the wall clock, in seconds."""

    now: Time
    speed: float
    apart_s: float


def _bound(value: float) -> float | None:
    return None if math.isnan(value) else value


def _row(signal: Signal) -> SignalRow:
    limits = signal.limits
    news2, order = SOURCE_OF.get(signal.name, (None, None))
    return SignalRow(
        code=signal.code,
        name=signal.name,
        unit=signal.unit,
        units=list(accepted(signal)),
        unit_needed=signal.unit_needed,
        kind=signal.kind,
        loinc=list(signal.loinc),
        mdc=list(signal.mdc),
        step=signal.step,
        plausible=list(signal.plausible),
        limits=DefaultLimits(*map(_bound, (limits.critical_low, limits.low, limits.high, limits.critical_high))),
        hysteresis=signal.hysteresis,
        delay_s=signal.delay_s,
        critical_delay_s=signal.critical_delay_s,
        silence_s=signal.silence_s,
        news2=news2,
        news2_order=order,
        horizons_min=list(HORIZONS_MIN) if signal.filtered else [],
        quantiles=list(QUANTILES) if signal.filtered else [],
        states=list(STATES) if signal.filtered else [],
    )


_ROWS = [_row(signal) for signal in SIGNALS]
_ANY = problems("unauthenticated", "store-unavailable")


@router.get("/signals", response_model=list[SignalRow], responses=_ANY)
async def list_signals(_: Caller) -> Response:
    """All signals, by code."""
    return respond(_ROWS)


@router.get("/clock", response_model=ServiceClock, responses=_ANY)
async def read_clock(context: Context, _: Caller) -> Response:
    """The service's present time; the times of observations are checked against it."""
    clock = context.service.clock
    return respond(ServiceClock(iso(clock.now()), clock.speed, round(clock.apart() / 1e6, 3)))
