"""Charted facts: oxygen, consciousness, meals, insulin, notes; each entry of a batch has its own result."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field, StrictFloat, StrictInt, TypeAdapter, ValidationError

from api.accounts import Action, Actor, may, require
from api.context import AppContext, Caller, Context
from api.http.answers import iso, problems, respond
from api.http.body import Room, media_type, read_body
from api.http.fields import Body, Label, Moment, Note, PatientId
from api.http.problems import Problem
from api.intake.batch import RejectedEntries
from streams.log.log import DeadLetter
from twins.records import inputs as records

__all__ = ["router"]

router = APIRouter(prefix="/v1/facts", tags=["facts"])

_LARGEST = 1 << 20
_room = Room(64 * _LARGEST)
_MOST = 1000
_MEMBERS = 64
_KEPT = 64 << 10

Number = Annotated[StrictFloat | StrictInt, Field(ge=0, le=100_000, allow_inf_nan=False)]


FactId = Annotated[
    Label,
    Field(
        description="Chosen by the sender: the same id again is the same fact, not a second one. Needed if time is omitted."
    ),
]


class Oxygen(Body):
    """Supplemental oxygen from this time on: the flow; 0 is room air."""

    patient: PatientId
    id: FactId = ""
    kind: Literal["oxygen"]
    time: Moment | None = None
    value: Annotated[StrictFloat | StrictInt, Field(ge=0, le=80, allow_inf_nan=False)]
    unit: Literal["L/min"] = "L/min"
    note: Note = ""


class Consciousness(Body):
    """Alert, new Confusion, responds to Voice, to Pain, Unresponsive."""

    patient: PatientId
    id: FactId = ""
    kind: Literal["consciousness"]
    time: Moment | None = None
    value: Literal["A", "C", "V", "P", "U"]
    note: Note = ""


class Meal(Body):
    """A meal, with its carbohydrates if known."""

    patient: PatientId
    id: FactId = ""
    kind: Literal["meal"]
    time: Moment | None = None
    value: Number | None = None
    unit: Literal["g"] = "g"
    note: Note = ""


class Insulin(Body):
    """A dose of insulin."""

    patient: PatientId
    id: FactId = ""
    kind: Literal["insulin"]
    time: Moment | None = None
    value: Annotated[StrictFloat | StrictInt, Field(ge=0, le=1000, allow_inf_nan=False)]
    unit: Literal["U"] = "U"
    note: Note = ""


class Remark(Body):
    """Any other note to show with the curve."""

    patient: PatientId
    id: FactId = ""
    kind: Literal["note"]
    time: Moment | None = None
    note: Annotated[Note, Field(min_length=1)]


Charted = Annotated[Oxygen | Consciousness | Meal | Insulin | Remark, Field(discriminator="kind")]
_charted: TypeAdapter[Oxygen | Consciousness | Meal | Insulin | Remark] = TypeAdapter(Charted)


@dataclass(frozen=True, slots=True)
class FactFault:
    """Why an entry was refused."""

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class FactsTaken:
    """The number of accepted facts, and the refused ones with reasons; ``ids`` are the history's ids of the accepted ones."""

    taken: int
    refused: int
    errors: list[FactFault]
    ids: list[str]


_SCHEMA = TypeAdapter(Charted | list[Charted]).json_schema(ref_template="#/components/schemas/{model}")
SCHEMAS: dict[str, Any] = _SCHEMA.pop("$defs")
"""Schemas of the bodies, for the OpenAPI document."""


@router.post(
    "",
    response_model=FactsTaken,
    responses=problems(
        "malformed-body", "unauthenticated", "forbidden", "foreign-origin", "body-too-large", "unsupported-media-type",
        "nothing-taken", "overloaded", "log-unavailable", "store-unavailable", "storage-full",
    ),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}},
)  # fmt: skip
async def chart(request: Request, context: Context, actor: Caller) -> Response:
    """Chart one fact or several; ``time`` defaults to now. An invalid entry never prevents a valid one."""
    require(actor, Action.FACT_WRITE)
    entries = await _entries(request)
    refusals = RejectedEntries()
    letters: list[DeadLetter] = []
    good: list[records.Fact] = []
    now = context.service.clock.now()
    alike: Counter[bytes] = Counter()
    for index, entry in enumerate(entries):
        fact = _read(context, actor, entry, now)
        if isinstance(fact, records.Fact):
            fact.id = _id(actor, entry, fact, alike)
            good.append(fact)
            continue
        reason, detail = fact
        refusals.add(index, reason, detail)
        body = json.dumps(entry).encode()[:_KEPT]
        letters.append(DeadLetter(now, actor.name, reason, f"fact {index}", detail, body))
    await asyncio.gather(*map(context.service.append, good))
    for fact in good:
        context.accounts.audit(actor, Action.FACT_WRITE, fact.patient, detail=fact.kind)
    if letters:
        context.refused.update(refusals.counts)
        await context.letters.keep(actor.name, letters[: context.letters.room(actor.name)])
        if not good:
            raise Problem("nothing-taken", faults=refusals.faults, extra={"taken": 0, "refused": len(refusals)})
    ids = [fact.id for fact in good]
    return respond({"taken": len(good), "refused": len(refusals), "errors": refusals.faults, "ids": ids})


def _id(actor: Actor, entry: Any, fact: records.Fact, alike: Counter[bytes]) -> str:  # noqa: ANN401 - as it was sent
    """The id of a fact, from its author, its content, its time if given, and its number among equal facts of a request.

    So a repeated request charts nothing twice, and two doses at the same moment are two facts.
    """
    said = json.dumps(
        [actor.kind, actor.name, {**entry, "time": fact.time if entry.get("time") else None}], sort_keys=True
    )
    content = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=10)
    if not entry.get("id") and not entry.get("time"):
        content.update(str(fact.time).encode())  # without a time, nothing says whether it is a repetition
    alike[content.digest()] += 1
    content.update(str(alike[content.digest()]).encode())
    return content.hexdigest()


async def _entries(request: Request) -> list[Any]:
    """The entries of the body; raises ``Problem``."""
    headers = dict(request.scope["headers"])
    kind = media_type(headers.get(b"content-type", b""))
    if kind != "application/json":
        raise Problem("unsupported-media-type", "send facts as application/json")
    with _room.share() as share:
        body = await read_body(headers, request.receive, _LARGEST, share)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem("malformed-body", f"the body is not JSON: {error}") from None
    entries = found if isinstance(found, list) else [found]
    if len(entries) > _MOST:
        raise Problem("body-too-large", f"{len(entries)} facts; at most {_MOST} in one request")
    return entries


def _read(context: AppContext, actor: Actor, entry: object, now: int) -> records.Fact | tuple[str, str]:
    """The record of an entry, or (reason, sentence) if it is refused."""
    if isinstance(entry, dict) and len(entry) > _MEMBERS:  # otherwise each member would give an error of its own
        return "too_many_fields", f"{len(entry)} members; a fact has at most {_MEMBERS}"
    try:
        body = _charted.validate_python(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _REASONS.get(first["type"], first["type"]), f"{where}: {first['msg']}".removeprefix(": ")
    time = now if body.time is None else body.time
    return (
        _out_of_time(context, time, now)
        or _out_of_reach(context, actor, body.patient, time)
        or _record(body, time, actor.name)
    )


def _out_of_time(context: AppContext, time: int, now: int) -> tuple[str, str] | None:
    settings = context.settings
    if time > now + settings.future_tolerance_s * 1e6:
        return "time_in_future", f"{iso(time)} is ahead of the service's clock"
    if time < now - settings.oldest_accepted_s * 1e6:
        return "time_too_old", f"{iso(time)} is too long ago"
    return None


def _out_of_reach(context: AppContext, actor: Actor, patient: str, time: int) -> tuple[str, str] | None:
    profile = context.service.registry.get(patient)
    if profile is None or not actor.covers(profile.ward, patient):
        return "unknown_patient", "no such patient"
    if not may(actor, Action.FACT_WRITE, profile.ward, patient):
        return "out_of_scope", "you may not chart for this patient"
    if not profile.active:
        return "discharged_patient", "the patient is discharged; admit them again first"
    if time < profile.begin:
        return (
            "before_stay",
            f"{iso(time)} is before the patient's present stay; facts of earlier stays are not accepted",
        )
    return None


def _record(body: Oxygen | Consciousness | Meal | Insulin | Remark, time: int, by: str) -> records.Fact:
    value: float | str | None = None
    unit = ""
    if isinstance(body, Oxygen | Meal | Insulin):
        value, unit = None if body.value is None else float(body.value), body.unit
    elif isinstance(body, Consciousness):
        value = body.value
    return records.Fact(patient=body.patient, kind=body.kind, time=time, value=value, unit=unit, note=body.note, by=by)


_REASONS = {
    "literal_error": "unknown_value",
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "union_tag_invalid": "unknown_kind",
    "union_tag_not_found": "missing_field",
    "model_attributes_type": "not_an_object",
    "dict_type": "not_an_object",
    "model_type": "not_an_object",
    "string_type": "wrong_type",
    "float_type": "wrong_type",
    "int_type": "wrong_type",
    "finite_number": "not_finite",
}
