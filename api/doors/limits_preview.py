"""A preview of limits and rules: what they would have done in the last days, without setting anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Response
from msgspec import structs
from pydantic import Field

from api.accounts import Action, Actor, require
from api.context import AppContext, Caller, Context, patient_of
from api.doors.limits import WantedLimits, checked, command_of, of_patient, of_ward
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Moment, PatientId, Ward
from api.http.problems import Fault, Problem
from api.rules.files import findings
from streams.errors import HistoryNotKept, HistoryUnavailable, StreamsError
from streams.history import SqliteHistory
from streams.history.nothing import NoHistory
from streams.preview.child import Answer, Question, ask
from streams.preview.job import Episode, Job, Preview, TooLarge
from streams.settings import Settings
from twins.records import Command, Profile, SetRules, SetWard, SetZone

__all__ = [
    "Asked",
    "PreviewedLimits",
    "ask_for",
    "changes_of",
    "place_of",
    "preview_answer",
    "router",
    "setup_commands",
]

router = APIRouter(prefix="/v1/limits", tags=["limits"])

_DAY_US = 86_400_000_000
_LONGEST_DAYS = 31
_SECONDS = 120.0
"""A preview that takes longer is ended."""
_BUSY_S = 10.0


class Asked(Body):
    """Limits, rules, or both, for one patient or all present patients of a ward, and the period.

    ``limits`` are changes as in PATCH /v1/patients/{id}/limits or /v1/limits: what is omitted stays as it is. ``rules`` are all
    rules of the site, as in PUT /v1/rules. The period is from ``start`` to ``end``; default: the last ``days`` until now.

    With the ``source`` log the readings come from the log, as far as it reaches and if it is not too long. With history all of
    them are stored readings, as if each had arrived when it was measured.
    """

    patient: PatientId | None = None
    ward: Ward | None = None
    limits: WantedLimits | None = None
    rules: dict[str, Any] | None = None
    days: Annotated[float, Field(strict=False, gt=0, le=_LONGEST_DAYS, allow_inf_nan=False)] = 1.0
    start: Moment | None = None
    end: Moment | None = None
    source: Literal["log", "history"] = "log"


@dataclass(frozen=True, slots=True)
class PreviewedAlarm:
    """An alarm of one of the two runs; ``end`` is null if it went on. ``readings`` are some around its beginning: time, value."""

    id: str
    patient: str
    ward: str
    family: str
    condition: str
    signal: str
    priority: str
    onset: Time
    end: Time | None
    value: float | None
    extreme: float | None
    limit: float | None
    explanation: dict[str, Any]
    readings: list[tuple[Time, float | None]]


@dataclass(frozen=True, slots=True)
class PreviewedCounts:
    """The alarms of one run that sounded; ``sustained`` were true for at least 60 s, all together for ``true_s``."""

    alarms: int
    rises: int
    sustained: int
    true_s: float
    by_priority: dict[str, int]
    by_condition: dict[str, int]


@dataclass(frozen=True, slots=True)
class PreviewedPart:
    """Where the readings of a part of the period came from: the log, or the history where the log does not reach."""

    source: Literal["log", "history"]
    start: Time
    end: Time


@dataclass(frozen=True, slots=True)
class PreviewedLimits:
    """Two runs of the same readings through the twins: as things are set now, and with the changes.

    ``gained`` and ``lost`` are alarms of one run that no alarm of the same patient, signal and side overlaps in the other; at
    most 200 of each are listed, all are counted. ``lost_sustained`` of the lost ones were true for 60 s or more. ``missing`` is
    what could not be reproduced: what people did about alarms (``answers``), limits that were set differently then
    (``earlier_limits``), alarms that were turned off (``alarms_off``), the twins' state at the beginning (``begin``); from the
    history also the moments of arrival (``arrival``) and corrections (``corrections``). Readings within ``step_s`` were
    processed together, so an alarm of a single reading may differ.
    """

    start: Time
    end: Time
    patients: int
    patient_days: float
    readings: int
    parts: list[PreviewedPart]
    present: PreviewedCounts
    changed: PreviewedCounts
    gained: list[PreviewedAlarm]
    lost: list[PreviewedAlarm]
    gained_count: int
    lost_count: int
    lost_sustained: int
    missing: list[str]
    step_s: float
    seconds: float


@router.post(
    "/preview",
    response_model=PreviewedLimits,
    responses=problems(
        "unauthenticated", "forbidden", "not-found", "invalid", "malformed-body", "foreign-origin", "body-too-large",
        "unsupported-media-type", "overloaded", "store-unavailable", "history-unavailable", "history-not-kept", "discharged",
    ),
)  # fmt: skip
async def preview_limits(context: Context, actor: Caller, body: Asked) -> Response:
    """What these limits or rules would have done: alarms gained and lost. Nothing is set.

    The readings run again in a process of their own, one preview at a time. Too many readings are refused.
    """
    profiles = _patients(context, actor, body)
    start, end = _period(context, body)
    job = Job(
        patients=profiles,
        setup=setup_commands(context, profiles),
        changes=changes_of(context, body, actor.name),
        start=start,
        end=end,
    )
    whose = f"ward {body.ward}" if body.ward is not None else ""
    context.accounts.audit(
        actor, "limits.preview", body.patient or "", detail=f"{whose} {iso(start)} to {iso(end)}".strip()
    )
    found = await ask_for(context, Question(job=job, **place_of(context)), log=body.source == "log")
    assert isinstance(found, Preview)  # noqa: S101 - as asked
    return respond(preview_answer(found))


def place_of(context: AppContext) -> dict[str, Any]:
    """Where the other process finds the history, as fields of a question; raises ``HistoryNotKept``."""
    history = context.service.history
    if isinstance(history, NoHistory):
        raise HistoryNotKept("no history is kept, so there are no readings to run again")
    return {
        "store": "sqlite" if isinstance(history, SqliteHistory) else "influx",
        "settings": settings_of_child(context.settings),
    }


async def ask_for(context: AppContext, question: Question, *, log: bool = True) -> Answer:
    """Run a question in a process of its own, with readings from the log if it reaches them; raises ``Problem``."""
    if log and question.store == "sqlite":
        question.job.log = str(context.settings.database.absolute())
    async with _turn(context):
        try:
            return await ask(question, _SECONDS)
        except TooLarge as error:
            raise Problem("invalid", str(error), faults=[Fault("too_large", str(error), field="days")]) from None
        except HistoryUnavailable:
            raise
        except StreamsError as error:
            raise HistoryUnavailable(str(error)) from error


@asynccontextmanager
async def _turn(context: AppContext) -> AsyncIterator[None]:
    """One preview at a time; whoever comes meanwhile waits a little. Raises ``Problem`` overloaded."""
    try:
        await asyncio.wait_for(context.previews.acquire(), _BUSY_S)
    except TimeoutError:
        raise Problem(
            "overloaded", "another preview is running; nothing was changed", headers={"Retry-After": f"{_BUSY_S:.0f}"}
        ) from None
    try:
        yield
    finally:
        context.previews.release()


def settings_of_child(settings: Settings) -> str:
    """What the other process needs to read the history."""
    names = [name for name in type(settings).model_fields if name == "database" or name.startswith("influx_")]
    values = {name: getattr(settings, name) for name in names}
    plain = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in values.items()
    }
    return msgspec.json.encode(
        {name: value for name, value in plain.items() if value is not None}, enc_hook=str
    ).decode()


def _patients(context: AppContext, actor: Actor, body: Asked) -> list[Profile]:
    if (body.patient is None) == (body.ward is None):
        raise Problem(
            "invalid", "name a patient or a ward", faults=[Fault("one_of", "patient or ward", field="body.patient")]
        )
    if body.limits is None and body.rules is None:
        raise Problem(
            "invalid", "give limits or rules", faults=[Fault("one_of", "limits or rules", field="body.limits")]
        )
    if body.patient is not None:
        profile = patient_of(context, actor, body.patient)
        if not profile.active:
            raise Problem("discharged")
        return [profile]
    require(actor, Action.PATIENT_READ, body.ward)
    return [one for one in context.service.registry.profiles() if one.active and one.ward == body.ward]


def _period(context: AppContext, body: Asked) -> tuple[int, int]:
    end = context.service.clock.now() + 1 if body.end is None else body.end
    start = max(0, end - int(body.days * _DAY_US)) if body.start is None else body.start
    if start > end:
        fault = Fault("ends_before_start", "", field="body.end")
        raise Problem("invalid", "the end of the period is before its start", faults=[fault])
    if end - start > _LONGEST_DAYS * _DAY_US:
        said = f"a period has at most {_LONGEST_DAYS} days"
        raise Problem("invalid", said, faults=[Fault("too_long", said, field="body.start")])
    return start, end


def setup_commands(context: AppContext, profiles: list[Profile]) -> list[Command]:
    """What is set now for the wards of some patients and for the site."""
    service = context.service
    rules = service.rules()
    found: list[Command] = [*service.site_settings().values(), *([] if rules is None else [rules])]
    for ward in sorted({one.ward for one in profiles}):
        found.append(SetWard(ward=ward, news2=service.ward_scores(ward)))
        found.append(SetZone(ward=ward, zone=service.zone(ward)))
        found += service.ward_settings(ward).values()
    return found


def changes_of(context: AppContext, body: Asked, by: str = "") -> list[Command]:
    """The commands that would make the changes; raises ``Problem`` invalid."""
    found: list[Command] = []
    if body.limits is not None and body.patient is not None:
        changes = checked(body.limits, of_patient(context, body.patient), whole=False)
        found += [command_of(change, patient=body.patient, signal=name) for name, change in changes.items()]
    elif body.limits is not None and body.ward is not None:
        changes = checked(body.limits, of_ward(context, body.ward), whole=False)
        found += [command_of(change, ward=body.ward, signal=name) for name, change in changes.items()]
    if body.rules is not None:
        read = findings(body.rules, context.service.clock.now())
        if read.findings:
            faults = [Fault("bad_rule", one.detail, field=f"body.rules.{one.field}") for one in read.findings]
            raise Problem("invalid", str(read.findings[0]), faults=faults)
        found.append(SetRules(rules=read.rules, zone=read.zone, by=by))
    return found


def preview_answer(found: Preview) -> PreviewedLimits:
    """A preview with its times as text."""
    return PreviewedLimits(
        start=iso(found.start), end=iso(found.end), patients=found.patients, patient_days=round(found.patient_days, 6),
        readings=found.readings, parts=[PreviewedPart(one.source, iso(one.start), iso(one.end)) for one in found.parts],
        present=PreviewedCounts(**structs.asdict(found.present)), changed=PreviewedCounts(**structs.asdict(found.changed)),
        gained=[_alarm(one) for one in found.gained], lost=[_alarm(one) for one in found.lost],
        gained_count=found.gained_count, lost_count=found.lost_count, lost_sustained=found.lost_sustained,
        missing=list(found.missing), step_s=found.step_s, seconds=round(found.seconds, 3),
    )  # fmt: skip


def _alarm(one: Episode) -> PreviewedAlarm:
    return PreviewedAlarm(
        **{
            **structs.asdict(one),
            "onset": iso(one.onset),
            "end": iso(one.end) if one.end else None,
            "readings": [(iso(time), value) for time, value in one.readings],
        }
    )
