"""The field types of requests: texts, names and times, validated when they are read."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.http.answers import microseconds
from streams.log.identity import composed, flaw

__all__ = ["Body", "Composed", "Label", "Moment", "Note", "PatientId", "Ward"]


class Body(BaseModel):
    """A request's body: strict types, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _moment(value: object) -> int:
    """µs since 1970 of an ISO 8601 text with a zone."""
    if not isinstance(value, str):
        raise PydanticCustomError("time_unreadable", "a time is ISO 8601 text, like 2026-01-01T00:00:00.000Z")
    try:
        found = datetime.fromisoformat(value.replace(" ", "+") if "T" in value.upper() else value)
    except ValueError:
        raise PydanticCustomError("time_unreadable", "a time is ISO 8601, like 2026-01-01T00:00:00.000Z") from None
    if found.tzinfo is None:
        raise PydanticCustomError("time_without_zone", "the time has no zone; end it with Z or an offset")
    return microseconds(found)


def _checked(what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        name = composed(value)
        wrong = flaw(name, what)
        if wrong:
            raise PydanticCustomError("bad_name", "{wrong}", {"wrong": wrong})
        return name

    return check


_REFUSED_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REFUSED = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
"""Marks that change the direction of text, and invisible marks that no script needs.

Not among them: joiners and direction marks (U+200C to U+200F), which belong to words in many scripts, and wide and
no-break spaces, which occur in names.
"""
_BREAKS = re.compile("\r\n|[\r\v\f\u0085\u2028\u2029]")


def _unwelcome(value: str, besides: str = "") -> bool:
    if value.isascii() and value.isprintable():
        return False
    if _REFUSED.search(value):
        return True
    return any(character not in besides and category(character) in _REFUSED_KINDS for character in value)


def _line(value: str) -> str:
    if _unwelcome(value):
        raise PydanticCustomError(
            "bad_text", "no control characters, no line breaks, no marks that change the text direction"
        )
    return composed(value)


def _text(value: str) -> str:
    value = _BREAKS.sub("\n", value)
    if _unwelcome(value, "\n\t"):
        raise PydanticCustomError(
            "bad_text", "no control characters except line breaks, no marks that change the text direction"
        )
    return composed(value)


def _schema(**schema: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **schema})


_NAME = _schema(
    minLength=1,
    maxLength=128,
    description="Printable; no slash, no space at the ends, not . or ..; normalised to Unicode form NFC.",
)

Moment = Annotated[int, BeforeValidator(_moment), _schema(format="date-time")]
"""A time in a request, µs since 1970 once read."""

Composed = Annotated[str, AfterValidator(composed)]
"""A name to look up, in the form in which names are stored."""

PatientId = Annotated[str, AfterValidator(_checked("a patient's id")), _NAME]
Ward = Annotated[str, AfterValidator(_checked("a ward's name")), _NAME]
Label = Annotated[
    str,
    StringConstraints(max_length=128),
    AfterValidator(_line),
    _schema(maxLength=128, description="One line."),
]
Note = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(_text),
    _schema(maxLength=2000, description="Line breaks are allowed; each becomes a line feed."),
]
