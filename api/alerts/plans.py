"""Chains of escalation and schedules of people on call as people write them, in requests and in files."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api.http.answers import iso
from api.http.fields import Body, Composed, Moment
from twins import zones
from twins.records import EscalationStep, Override, Rotation, SetEscalation, SetSchedule

__all__ = ["ChainBody", "OverrideBody", "Plan", "ScheduleBody", "chain_of", "faults_of", "override_of", "schedule_of"]

MOST_STEPS = 20
_NAME = r"[\w.@+-]{1,64}"
_TARGET = re.compile(rf"(role:(viewer|clinician|admin)|schedule:{_NAME}|person:{_NAME})")


def _target(value: str) -> str:
    if not _TARGET.fullmatch(value):
        raise PydanticCustomError(
            "bad_target", "write role:viewer, role:clinician, role:admin, schedule:NAME or person:NAME"
        )
    return value


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise PydanticCustomError("bad_name", "1 to 64 letters, digits or any of . _ @ + -")
    return value


def _clock(value: str) -> str:
    try:
        zones.minutes_of(value)
    except ValueError:
        raise PydanticCustomError("bad_time_of_day", "a time of day is written HH:MM, like 07:30") from None
    return value


def _zone(value: str) -> str:
    if not zones.known(value):
        raise PydanticCustomError("unknown_zone", "no such time zone; use an IANA name, like Europe/Berlin")
    return value


def _day(value: object) -> str:
    """A date as text; TOML has dates of its own."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise PydanticCustomError("bad_date", "a date is written YYYY-MM-DD") from None


def _later(value: object) -> object:
    """A moment as text; TOML has moments of its own."""
    return value.isoformat() if isinstance(value, datetime) else value


Name = Annotated[str, AfterValidator(_name)]
Target = Annotated[str, AfterValidator(_target)]
ClockTime = Annotated[str, AfterValidator(_clock)]
Seconds = Annotated[float, Field(strict=False, ge=0, le=86_400, allow_inf_nan=False)]
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class StepBody(Body):
    """Call everybody in ``to`` if nobody has answered ``after_s`` after the step before, or after the alarm sounded."""

    after_s: Seconds
    to: Annotated[list[Target], Field(min_length=1, max_length=20)]


class ChainBody(Body):
    """Who is called while nobody answers; after the last step again, ``repeat`` times, each ``repeat_after_s`` later.

    An alarm that sounded longer than ``age_limit_s`` ago is not escalated any more.
    """

    steps: Annotated[list[StepBody], Field(min_length=1, max_length=MOST_STEPS)]
    repeat: Annotated[int, Field(ge=0, le=10)] = 0
    repeat_after_s: Annotated[Seconds, Field(ge=30)] = 300.0
    age_limit_s: Annotated[float, Field(strict=False, ge=60, le=604_800, allow_inf_nan=False)] = 14_400.0


class RotationBody(Body):
    """People who take turns, from ``start`` on: hand-over at ``handover`` by the clocks of ``zone``.

    ``every`` is ``day`` or ``week`` (then on ``weekday``), ``length`` how many of them a turn lasts. ``hours`` limits the
    rotation to a part of the day, which may go past midnight.
    """

    people: Annotated[list[Name], Field(min_length=1, max_length=100)]
    start: str
    handover: ClockTime = "08:00"
    every: Literal["day", "week"] = "week"
    weekday: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] = "mon"
    length: Annotated[int, Field(ge=1, le=52)] = 1
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    hours: Annotated[list[ClockTime], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="before")
    @classmethod
    def dates(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a request contains
        """Read the date."""
        return given | {"start": _day(given["start"])} if isinstance(given, dict) and "start" in given else given


class OverrideBody(Body):
    """From ``start`` until ``end`` ``person`` is on call, for one person of the rotation or for everybody."""

    start: Moment
    end: Moment
    person: Name
    instead_of: Name | Literal[""] = ""

    @model_validator(mode="before")
    @classmethod
    def moments(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a request contains
        """Read moments of a TOML file like those of a request."""
        return {name: _later(value) for name, value in given.items()} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def in_order(self) -> OverrideBody:
        """The end is after the start."""
        if self.end <= self.start:
            raise PydanticCustomError("out_of_order", "the end must be after the start")
        return self


class ScheduleBody(Body):
    """Who is on call: all rotations count at once, and overrides replace their people."""

    rotations: Annotated[list[RotationBody], Field(max_length=20)] = Field(default_factory=list)
    overrides: Annotated[list[OverrideBody], Field(max_length=500)] = Field(default_factory=list)

    @model_validator(mode="after")
    def something(self) -> ScheduleBody:
        """An empty schedule is deleted by DELETE, not by an empty body."""
        if not self.rotations and not self.overrides:
            raise PydanticCustomError("empty", "a schedule needs a rotation or an override; DELETE removes it")
        return self


class _NamedChain(ChainBody):
    priority: Literal["high", "medium", "low"]
    ward: Annotated[Composed, Field(max_length=128)] = ""


class _NamedSchedule(ScheduleBody):
    name: Name


class Plan(Body):
    """A file: chains and schedules. What it does not name stays as it is."""

    chains: list[_NamedChain] = Field(default_factory=list)
    schedules: list[_NamedSchedule] = Field(default_factory=list)


def faults_of(error: ValidationError) -> list[str]:
    """Every mistake of a file with its place, like ``chains[0].steps[1].to[0]: …``."""
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"])
        found.append(f"{place.lstrip('.') or 'the file'}: {one['msg']}")
    return found


def chain_of(body: ChainBody, ward: str, priority: Literal["high", "medium", "low"], by: str) -> SetEscalation:
    """The command that sets a chain."""
    return SetEscalation(
        ward=ward, priority=priority, steps=[EscalationStep(step.after_s, step.to) for step in body.steps],
        repeat=body.repeat, repeat_after_s=body.repeat_after_s, age_limit_s=body.age_limit_s, by=by,
    )  # fmt: skip


def schedule_of(body: ScheduleBody, name: str, by: str) -> SetSchedule:
    """The command that sets a schedule."""
    rotations = [
        Rotation(
            people=one.people, start=one.start, handover=one.handover, every=one.every,
            weekday=_WEEKDAYS.index(one.weekday), length=one.length, zone=one.zone,
            hours=(one.hours[0], one.hours[1]) if one.hours else None,
        )
        for one in body.rotations
    ]  # fmt: skip
    return SetSchedule(name=name, rotations=rotations, overrides=[override_of(one) for one in body.overrides], by=by)


def override_of(body: OverrideBody) -> Override:
    """An override as it is in the log."""
    return Override(start=body.start, end=body.end, person=body.person, instead_of=body.instead_of)


def chain_json(chain: SetEscalation) -> dict[str, Any]:
    """A chain as a request or a file writes it."""
    steps = [{"after_s": step.after_s, "to": step.to} for step in chain.steps]
    return {
        "ward": chain.ward, "priority": chain.priority, "steps": steps, "repeat": chain.repeat,
        "repeat_after_s": chain.repeat_after_s, "age_limit_s": chain.age_limit_s,
    }  # fmt: skip


def schedule_json(schedule: SetSchedule) -> dict[str, Any]:
    """A schedule as a request or a file writes it."""
    rotations = [
        {
            "people": one.people, "start": one.start, "handover": one.handover, "every": one.every,
            "weekday": _WEEKDAYS[one.weekday % 7], "length": one.length, "zone": one.zone,
            **({"hours": list(one.hours)} if one.hours else {}),
        }
        for one in schedule.rotations
    ]  # fmt: skip
    overrides = [
        {"start": iso(one.start), "end": iso(one.end), "person": one.person, "instead_of": one.instead_of}
        for one in schedule.overrides
    ]
    return {"name": schedule.name, "rotations": rotations, "overrides": overrides}


def local(time: int, zone: str) -> str:
    """A moment by the clocks of a zone, for people."""
    return f"{datetime.fromtimestamp(time / 1e6, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
