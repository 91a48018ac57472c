"""The burden of alarms: how many there were, what became of them, and how that compares with guidelines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query, Response
from msgspec import structs

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Moment, Ward
from api.http.problems import Fault, Problem
from streams.history.burden import TooMany, burden_of
from twins.alarms.burden import Burden, Source

__all__ = ["AlarmBurden", "burden_answer", "hours_of", "router", "zone_named"]

router = APIRouter(prefix="/v1", tags=["alarms"])

_DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_000_000_000_000_000
_LONGEST_DAYS = 400
_GROUPS = ("by_priority", "by_condition", "by_ward", "by_hour", "by_device")


@dataclass(frozen=True, slots=True)
class BurdenGroup:
    """The alarms of one priority, condition, ward, hour of the day (00–23), or device.

    Of the ``alarms``, ``acknowledged`` were acknowledged, and ``ended_soon`` ended by themselves within 10 s. ``rises`` are rises
    of priority, which also sound. ``per_patient_day`` is null without patients.
    """

    name: str
    alarms: int
    rises: int
    acknowledged: int
    ended_soon: int
    per_patient_day: float | None
    per_10_min: float


@dataclass(frozen=True, slots=True)
class BurdenSource:
    """A patient and condition with many alarms; ``share`` is its share of all. The patient is "" if out of reach."""

    patient: str
    ward: str
    condition: str
    signal: str
    alarms: int
    share: float


@dataclass(frozen=True, slots=True)
class AlarmFlood:
    """A flood in a ward: it begins with more than 10 alarms in 10 min and ends when fewer than 5 come in 10 min."""

    ward: str
    begin: Time
    end: Time
    alarms: int


@dataclass(frozen=True, slots=True)
class BurdenAnswers:
    """What became of the alarms by the end of the period: shares of all, and seconds until somebody acknowledged."""

    acknowledged: int
    acknowledged_share: float | None
    median_s: float | None
    p95_s: float | None
    ended_soon: int
    ended_soon_share: float | None
    unanswered: int


@dataclass(frozen=True, slots=True)
class BurdenGuideline:
    """A figure of the busiest ward beside its guideline, the largest acceptable value; ``met`` is null without data.

    Shares are from 0 to 1. ``flooded_share`` is the share of the time in floods.
    """

    name: Literal[
        "per_10_min", "most_in_10_min", "flooded_share", "top_sources_share", "high_share", "medium_share",
        "ended_soon_share",
    ]  # fmt: skip
    value: float | None
    limit: float
    met: bool | None


@dataclass(frozen=True, slots=True)
class AlarmBurden:
    """The burden of alarms from ``start`` to ``end``.

    An alarm counts when its condition begins or begins again; ``rises`` of priority are counted beside it. Past episodes and
    alarms grouped under another one do not count. ``band`` (EEMUA 191) is that of the busiest ward: up to 1 alarm in 10 min is
    acceptable, 2 manageable, 5 demanding, more unacceptable. ``most_in_10_min`` is the largest number in one ward; the first of
    them came at ``most_at``. Groups are sorted by alarms, ``by_hour`` by hour in the requested time zone.
    """

    ward: str | None
    start: Time
    end: Time
    zone: str
    patient_days: float
    alarms: int
    rises: int
    grouped: int
    withdrawn: int
    per_patient_day: float | None
    per_10_min: float
    band: Literal["acceptable", "manageable", "demanding", "unacceptable", "unknown"]
    most_in_10_min: int
    most_at: Time | None
    answers: BurdenAnswers
    guidelines: list[BurdenGuideline]
    by_priority: list[BurdenGroup]
    by_condition: list[BurdenGroup]
    by_ward: list[BurdenGroup]
    by_hour: list[BurdenGroup]
    by_device: list[BurdenGroup]
    floods: list[AlarmFlood]
    sources: list[BurdenSource]


@router.get(
    "/alarm-burden",
    response_model=AlarmBurden,
    responses=problems(
        "unauthenticated", "forbidden", "invalid", "store-unavailable", "history-unavailable", "history-not-kept"
    ),
)
async def read_alarm_burden(
    *,
    context: Context,
    actor: Caller,
    ward: Annotated[Ward | None, Query(description="Only this ward. Default: all wards within reach.")] = None,
    start: Annotated[Moment | None, Query(description="Start of the period. Default: 24 hours before its end.")] = None,
    end: Annotated[Moment | None, Query(description="End of the period, exclusive. Default: now.")] = None,
    zone: Annotated[str, Query(max_length=64, description="Time zone of the hours, like Europe/Berlin.")] = "UTC",
) -> Response:
    """How many alarms there were, by priority, condition, ward, hour and device; floods, answers, and guidelines.

    An alarm counts for the ward in which the patient was then. The period has at most 400 days.
    """
    require(actor, Action.PATIENT_READ, ward)
    begin, until = _period(context, start, end)
    place = zone_named(zone)
    context.accounts.audit(
        actor, "alarm_burden.read", detail=f"{iso(begin)} to {iso(until)}{f' ward {ward}' if ward else ''}"
    )
    wards = [ward] if ward is not None else None if actor.everywhere else sorted(actor.wards)
    try:
        burden = await burden_of(context.service.history, begin, until, wards, hours_of(place))
    except TooMany as error:
        raise Problem("invalid", str(error), faults=[Fault("too_long", str(error), field="query.start")]) from None
    return respond(burden_answer(burden, ward, zone, lambda source: _name(context, actor, source)))


def burden_answer(
    burden: Burden, ward: str | None, zone: str, name: Callable[[Source], str] = lambda source: source.patient
) -> AlarmBurden:
    """A burden with its times as text; ``name`` gives the shown name of a source's patient."""
    return AlarmBurden(
        ward=ward, start=iso(burden.start), end=iso(burden.end), zone=zone, patient_days=round(burden.patient_days, 6),
        alarms=burden.alarms, rises=burden.rises, grouped=burden.grouped, withdrawn=burden.withdrawn,
        per_patient_day=burden.per_patient_day, per_10_min=burden.per_10_min, band=burden.band,
        most_in_10_min=burden.most_in_10_min, most_at=iso(burden.most_at) if burden.most_in_10_min else None,
        answers=BurdenAnswers(**structs.asdict(burden.answers)),
        guidelines=[BurdenGuideline(**structs.asdict(one)) for one in burden.guidelines],
        **{name: [BurdenGroup(**structs.asdict(one)) for one in getattr(burden, name)] for name in _GROUPS},
        floods=[AlarmFlood(one.ward, iso(one.begin), iso(one.end), one.alarms) for one in burden.floods],
        sources=[
            BurdenSource(name(one), one.ward, one.condition, one.signal, one.alarms, one.share) for one in burden.sources
        ],
    )  # fmt: skip


def _period(context: AppContext, start: int | None, end: int | None) -> tuple[int, int]:
    until = context.service.clock.now() + 1 if end is None else end
    begin = max(0, until - _DAY_US) if start is None else start
    if begin > until:
        fault = Fault("ends_before_start", "", field="query.end")
        raise Problem("invalid", "the end of the period is before its start", faults=[fault])
    if until - begin > _LONGEST_DAYS * _DAY_US:
        said = f"a period has at most {_LONGEST_DAYS} days"
        raise Problem("invalid", said, faults=[Fault("too_long", said, field="query.start")])
    return begin, until


def hours_of(zone: ZoneInfo) -> Callable[[int], int]:
    """The hour of the day of times (µs) in a zone."""

    def hour(time: int) -> int:
        return (_EPOCH + timedelta(microseconds=max(0, min(time, _LAST_US)))).astimezone(zone).hour

    return hour


def zone_named(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises ``Problem`` invalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        said = "no such time zone; name one like Europe/Berlin or UTC"
        raise Problem("invalid", said, faults=[Fault("unknown_zone", said, field="query.zone")]) from None


def _name(context: AppContext, actor: Actor, source: Source) -> str:
    """The patient of a source, if the actor may see them where they are now."""
    profile = context.service.registry.get(source.patient)
    seen = profile is not None and actor.covers(profile.ward, source.patient)
    return source.patient if seen else ""
