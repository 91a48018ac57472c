"""Answers: times as text, bodies as JSON, and the documented problems of every operation."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from fastapi import Response
from pydantic import AwareDatetime, WithJsonSchema

from api.http.problems import MEDIA_TYPE, PROBLEMS

__all__ = [
    "Responses", "Time", "iso", "iso_all", "microseconds", "milliseconds", "or_none", "problems", "respond", "with_plain_names",
]  # fmt: skip

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A moment in an answer: ISO 8601 in UTC, to the millisecond."""

Responses = dict[int | str, dict[str, Any]]
"""The type of FastAPI's ``responses`` of an operation."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_US = 253_402_300_799_999_999


def iso(time_us: int) -> str:
    """µs since 1970 as ISO 8601 in UTC, to the millisecond.

    >>> iso(1_767_225_600_250_000)
    '2026-01-01T00:00:00.250Z'
    """
    moment = _EPOCH + timedelta(microseconds=max(0, min(time_us, _LAST_US)))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_all(times_us: npt.NDArray[np.int64]) -> list[str]:
    """``iso`` for a whole column."""
    texts: list[str] = np.datetime_as_string((times_us // 1000).astype("datetime64[ms]"), timezone="UTC").tolist()
    return texts


def microseconds(moment: AwareDatetime) -> int:
    """A moment with a zone as µs since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def milliseconds(time_us: int) -> int:
    """µs as whole ms."""
    return time_us // 1000


def or_none(values: npt.NDArray[Any]) -> list[float | None]:
    """A column for JSON: values that are not finite become ``None``."""
    listed: list[float | None] = values.tolist()
    if np.isfinite(values).all():
        return listed
    return [value if finite else None for value, finite in zip(listed, np.isfinite(values).tolist(), strict=True)]


def respond(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``content`` (dataclasses, structs, dicts) as JSON; NaN becomes null."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def problems(*slugs: str) -> Responses:
    """The ``responses`` of an operation that may answer with these problems."""
    found: Responses = {}
    for slug in slugs:
        kind = PROBLEMS[slug]
        said = found.get(kind.status)
        found[kind.status] = {
            "description": f"{said['description']} · {kind.title}" if said else kind.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return found


def with_plain_names(document: dict[str, Any]) -> dict[str, Any]:
    """Remove the type of times from schema names: types shared by HTTP and ``/ws`` are generic in it."""
    named = re.sub(rb'"([^"]*?\w)_(?:Annotated_str__WithJsonSchema__|int_)"', rb'"\1"', msgspec.json.encode(document))
    plain: dict[str, Any] = msgspec.json.decode(named)
    return plain
