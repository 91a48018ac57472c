"""How good stated chances were: what the twins stated about the limits of a signal, and how often it came true."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from typing_extensions import TypedDict

from api.accounts import Action, require
from api.context import AppContext, Caller, Context
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Moment, Ward
from api.http.problems import Fault, Problem
from streams.history.base import Tally
from streams.history.chances import HOUR_US
from twins.fitting.chances import BINS, Reliability, total
from twins.signals import BY_NAME

__all__ = ["router"]

router = APIRouter(prefix="/v1/signals/{signal}", tags=["signals"])

ENOUGH_STATEMENTS, ENOUGH_EVENTS = 50, 5
"""With fewer judged chances, or fewer that came true or did not, a score would show luck and not the forecast."""
_PERIOD_US = 30 * 24 * HOUR_US
_FIRST_US = -62_135_596_800_000_000
"""The beginning of the year 1: no time in a request is earlier."""

Side = Literal["low", "high"]
Kind = Literal["within_30_min", "next_reading"]
_SIDES: tuple[Side, ...] = ("low", "high")
_KINDS: tuple[Kind, ...] = ("within_30_min", "next_reading")

Bin = TypedDict(  # "from" is no name for a field
    "Bin", {"from": float, "to": float, "count": int, "stated": float | None, "came": int}
)
Bin.__doc__ = """Chances stated from ``from`` to below ``to``: how many, their mean, and how many of them came true."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What became of the chances stated about one side.

    ``kind``: the chance of a reading beyond the limit within 30 minutes, or that the next reading is beyond it (where readings
    are sparse). ``statements`` were judged, ``came_true`` of them came true; ``base_rate`` is their share, ``stated`` the mean
    stated chance. The scores are null unless ``enough`` were judged: the Brier score ``brier`` (0 is perfect), its ``skill``
    against always stating the base rate (1 perfect, 0 no better, negative worse), and the expected
    ``calibration_error``, the mean distance of stated and true over the ``bins``.
    """

    side: Side
    kind: Kind
    statements: int
    came_true: int
    base_rate: float | None
    stated: float | None
    enough: bool
    brier: float | None
    skill: float | None
    calibration_error: float | None
    bins: list[Bin]


@dataclass(frozen=True, slots=True)
class WardRecord:
    """The track record in one ward; the empty ward has the patients without one."""

    ward: str
    records: list[TrackRecord]


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """The track record of a signal by ward, and of these wards ``together``; only sides and kinds that were judged.

    It covers the chances stated from ``since`` to ``until``, whole hours. ``enough`` needs ``enough_statements``, of which
    ``enough_events`` came true and as many did not.
    """

    signal: str
    unit: str
    since: Time
    until: Time
    enough_statements: int
    enough_events: int
    wards: list[WardRecord]
    together: list[TrackRecord]


@router.get(
    "/track-record",
    response_model=SignalRecord,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "not-found",
        "invalid",
        "store-unavailable",
        "history-unavailable",
        "history-not-kept",
    ),
)
async def read_track_record(
    *,
    context: Context,
    actor: Caller,
    signal: str,
    ward: Annotated[Ward | None, Query(description="Only this ward. Default: all wards within reach.")] = None,
    since: Annotated[Moment | None, Query(description="Start of the period. Default: 30 days before its end.")] = None,
    until: Annotated[Moment | None, Query(description="End of the period, exclusive. Default: now.")] = None,
    side: Annotated[Side | None, Query(description="Only this side.")] = None,
) -> Response:
    """How often what was stated came true: chances that a reading would be beyond a limit, judged by the readings that came.

    Each chance counts in the ward in which the patient was when it was judged. The period begins and ends at whole hours.
    """
    require(actor, Action.PATIENT_READ, ward)
    known = BY_NAME.get(signal)
    if known is None:
        raise Problem("not-found", "no such signal; GET /v1/signals lists them")
    period = _period(context, since, until)
    context.accounts.audit(actor, "track_record.read", detail=f"{signal}{f' ward {ward}' if ward else ''}")
    reach = None if actor.everywhere else sorted(actor.wards)
    found = await context.service.history.track_record(known.code, *period, reach if ward is None else [ward])
    found = [one for one in found if side is None or one.side == _SIDES.index(side)]
    wards = sorted({one.ward for one in found})
    return respond(
        SignalRecord(
            signal=known.name,
            unit=known.unit,
            since=iso(period[0]),
            until=iso(period[1]),
            enough_statements=ENOUGH_STATEMENTS,
            enough_events=ENOUGH_EVENTS,
            wards=[WardRecord(name, _records([one for one in found if one.ward == name])) for name in wards],
            together=_records(found),
        )
    )


def _period(context: AppContext, since: int | None, until: int | None) -> tuple[int, int]:
    """The requested period in whole hours; raises ``Problem``."""
    end = context.service.clock.now() + 1 if until is None else until
    begin = max(end - _PERIOD_US, _FIRST_US) if since is None else since
    if begin > end:
        fault = Fault("ends_before_start", "", field="query.until")
        raise Problem("invalid", "the end of the period is before its start", faults=[fault])
    return begin // HOUR_US * HOUR_US, -(-end // HOUR_US) * HOUR_US


def _records(tallies: Sequence[Tally]) -> list[TrackRecord]:
    """The records of some tallies, those with the same side and kind together."""
    kinds = sorted({(one.side, one.kind) for one in tallies})
    return [
        _record(
            _SIDES[side], _KINDS[kind], total(one.scores for one in tallies if (one.side, one.kind) == (side, kind))
        )
        for side, kind in kinds
    ]


def _record(side: Side, kind: Kind, scores: Reliability) -> TrackRecord:
    did_not = scores.statements - scores.events
    enough = scores.statements >= ENOUGH_STATEMENTS and min(scores.events, did_not) >= ENOUGH_EVENTS
    return TrackRecord(
        side=side,
        kind=kind,
        statements=scores.statements,
        came_true=scores.events,
        base_rate=_number(scores.base_rate),
        stated=_number(scores.mean_stated),
        enough=enough,
        brier=_number(scores.brier) if enough else None,
        skill=_number(scores.skill) if enough else None,
        calibration_error=_number(scores.ece) if enough else None,
        bins=[
            {"from": place / BINS, "to": (place + 1) / BINS, "count": count, "stated": _number(stated), "came": came}
            for place, (count, stated, came) in enumerate(zip(scores.count, scores.stated, scores.came, strict=True))
        ],
    )


def _number(value: float) -> float | None:
    """A figure to six decimals; ``None`` if there is none."""
    return round(value, 6) if math.isfinite(value) else None
