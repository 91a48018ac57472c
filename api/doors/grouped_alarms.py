"""Active alarms by cause, for a list that a person can take in: a silent ward is one entry."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from api.http.answers import Time, iso
from api.live.alarm import Alarm, alarm_of
from twins.alarms.causes import Cause, causes
from twins.records import Transition

__all__ = ["GroupedAlarms", "entries_by_cause"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: ``alarm`` with those shown under it, or a ward in which many patients fell silent together.

    ``summary`` says it in a sentence. ``alarm`` is the first of the ``ids``. ``patients`` of the ward's ``of`` are
    concerned since ``since``; of a silent ward that is when the last readings came. ``unanswered`` of the alarms are not
    acknowledged.
    """

    kind: Literal["alarm", "silent_ward"]
    summary: str
    ward: str
    priority: Literal["high", "medium", "low"]
    patients: int
    of: int
    since: Time
    unanswered: int
    alarm: Alarm[Time]
    ids: list[str]


@dataclass(frozen=True, slots=True)
class GroupedAlarms:
    """All active alarms by cause, most urgent first: every alarm is in exactly one entry."""

    entries: list[Entry]
    alarms: int
    unanswered: int


def entries_by_cause(active: Iterable[Transition], size_of: Callable[[], Mapping[str, int]]) -> GroupedAlarms:
    """The entries of these active alarms; ``size_of`` counts the patients of each ward."""
    entries = [_entry(one) for one in causes(active, size_of())]
    return GroupedAlarms(entries, sum(len(one.ids) for one in entries), sum(one.unanswered for one in entries))


def _entry(cause: Cause) -> Entry:
    first = cause.alarms[0]
    return Entry(
        kind=cause.kind, summary=_summary(cause), ward=cause.ward,
        priority=cause.priority,  # type: ignore[arg-type] # the record's words are these
        patients=cause.patients, of=cause.of, since=iso(cause.since), unanswered=cause.unanswered,
        alarm=alarm_of(first, iso), ids=[one.alarm for one in cause.alarms],
    )  # fmt: skip


def _summary(cause: Cause) -> str:
    first = cause.alarms[0]
    if cause.kind == "silent_ward":
        ward = f"ward {cause.ward}" if cause.ward else "patients without a ward"
        return f"{cause.patients} of {max(cause.of, cause.patients)} patients send nothing since {iso(cause.since)} ({ward})"
    more = f", and {len(cause.alarms) - 1} more of the same cause" if len(cause.alarms) > 1 else ""
    return f"{first.condition}{f' of {first.signal}' if first.signal else ''}: patient {first.patient}{more}"
