"""A NEWS2 score in HTTP answers and socket messages: one type; its times are text in HTTP and milliseconds on ``/ws``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from api.live.alarm import finite
from twins.records import Score

__all__ = ["News2", "news2_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News2(Generic[T]):
    """A NEWS2 score. A parameter that is missing or too old is listed, never counted as 0.

    ``measured`` is the time of the newest vital sign that counts. ``state`` is ``old`` when all of them are stale, ``void``
    when none counts any more: then there is no ``score``. ``rise`` is by how much it is above the lowest score of the last
    two hours, of the same inputs; null: there was none.
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
    rise: int | None


def news2_of(score: Score, moment: Callable[[int], T]) -> News2[T]:
    """The answer for a score; ``moment`` converts times from µs."""
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
        rise=score.rise if score.state != "void" else None,
    )
