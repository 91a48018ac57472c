"""A notice in HTTP answers and on streams: one type; its times are text in HTTP and milliseconds on ``/ws`` and SSE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from twins.records import Notice

__all__ = ["NoticeView", "notice_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NoticeView(Generic[T]):
    """A message that is due to people because nobody answered an alarm.

    ``id`` stays the same over all its states. ``to`` are the targets of the step: ``role:NAME``, ``schedule:NAME`` or
    ``person:NAME``. ``people`` are those who were on call or named when it became due; members of roles are listed only by
    ``GET /v1/notices``. A notice is ``cancelled`` when the alarm is answered or over, with the event as ``reason``. After
    ``expires`` it is not sent any more.
    """

    id: str
    alarm: str
    patient: str
    ward: str
    condition: str
    signal: str
    priority: Literal["high", "medium", "low"]
    step: int
    to: list[str]
    people: list[str]
    due: T
    expires: T
    state: Literal["pending", "cancelled"]
    reason: str
    changed: T


def notice_of(notice: Notice, moment: Callable[[int], T]) -> NoticeView[T]:
    """The notice for clients; ``moment`` converts times from µs."""
    return NoticeView(
        id=notice.id, alarm=notice.alarm, patient=notice.patient, ward=notice.ward, condition=notice.condition,
        signal=notice.signal, priority=notice.priority,  # type: ignore[arg-type] # the record's words are these
        step=notice.step, to=notice.to, people=notice.people, due=moment(notice.due), expires=moment(notice.expires),
        state=notice.state, reason=notice.reason, changed=moment(notice.changed),
    )  # fmt: skip
