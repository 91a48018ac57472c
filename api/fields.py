"""What requests are made of: texts, names and moments that are known to be good once they are read."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.answers import microseconds
from streams.identity import flaw

__all__ = ["Body", "Label", "Moment", "Note", "PatientId", "Ward"]


class Body(BaseModel):
    """A request's body: nothing is guessed, nothing unknown is passed over."""

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
        wrong = flaw(value, what)
        if wrong:
            raise PydanticCustomError("bad_name", "{wrong}", {"wrong": wrong})
        return value

    return check


def _line(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("bad_text", "no control characters, no line breaks")
    return value


def _text(value: str) -> str:
    if not all(character.isprintable() or character in "\n\t" for character in value):
        raise PydanticCustomError("bad_text", "no control characters besides line breaks")
    return value


def _schema(**schema: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **schema})


_NAME = _schema(minLength=1, maxLength=128, description="Printable; no slash, no space at the ends, not . or ..")

Moment = Annotated[int, BeforeValidator(_moment), _schema(format="date-time")]
"""A time in a request, µs since 1970 once read."""

PatientId = Annotated[str, AfterValidator(_checked("a patient's id")), _NAME]
Ward = Annotated[str, AfterValidator(_checked("a ward's name")), _NAME]
Label = Annotated[
    str,
    StringConstraints(max_length=128),
    AfterValidator(_line),
    _schema(maxLength=128, description="One line, printable."),
]
Note = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(_text),
    _schema(maxLength=2000, description="Printable, line breaks allowed."),
]
