"""A NEWS2 score as doors and sockets tell it: one shape, whose times are text in HTTP and milliseconds on ``/ws``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from api.live.alarm import finite
from twins.records import Score

__all__ = ["News2", "news2_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News2(Generic[T]):
    """A NEWS2 score; a parameter that is missing or too old is never counted as 0 but named.

    ``measured`` is the time of the newest vital sign that counts. ``state`` is ``old`` when all of those are stale, ``void``
    when none counts any more: then there is no ``score``.
    """

    score: int | None
    risk: str
    partial: bool
    parts: dict[str, int]
    missing: list[str]
    stale: list[str]
    ages_s: dict[str, float | None]
    at: T
    state: Literal["current", "old", "void"]
    measured: T | None


def news2_of(score: Score, moment: Callable[[int], T]) -> News2[T]:
    """A score as it is told; ``moment`` tells times, which are µs."""
    return News2(
        score=score.total if score.state != "void" else None,
        risk=score.risk,
        partial=score.partial,
        parts=score.parts,
        missing=score.missing,
        stale=score.stale,
        ages_s={name: finite(age) for name, age in score.ages_s.items()},
        at=moment(score.time),
        state=score.state,
        measured=moment(score.measured) if score.measured else None,
    )
