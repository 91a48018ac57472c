"""Notices of escalated alarms: who was called, when, and whether the alarm was answered meanwhile."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action, require
from api.accounts.notices import NoticeQuestion
from api.context import Caller, Context, patient_of
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Composed
from api.http.problems import Problem
from api.live.notice import NoticeView, notice_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/notices", tags=["alarms"])


@dataclass(frozen=True, slots=True)
class NoticeList:
    """One page of notices, newest first; the Link header leads to the next."""

    items: list[NoticeView[Time]]
    next: str | None


@router.get(
    "",
    response_model=NoticeList,
    responses=problems("unauthenticated", "forbidden", "not-found", "invalid", "bad-cursor", "store-unavailable"),
)
async def list_notices(
    *,
    request: Request,
    context: Context,
    actor: Caller,
    patient: Annotated[Composed, Query(max_length=128, description="Only this patient's.")] = "",
    ward: Annotated[Composed | None, Query(max_length=128, description="Only this ward's.")] = None,
    alarm: Annotated[str, Query(max_length=64, description="Only those of this alarm.")] = "",
    state: Annotated[Literal["pending", "cancelled", ""], Query(description="Only those in this state.")] = "",
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """The outbox: notices that are due because nobody answered an alarm, and those that were cancelled.

    A pending notice is for the channels to send until it expires. The answer to an alarm cancels its notices.
    """
    require(actor, Action.PATIENT_READ, ward)
    if patient:
        patient_of(context, actor, patient)
    context.accounts.audit(actor, Action.PATIENT_READ, patient, detail=f"notices {ward or '*'}")
    purpose = f"notices {patient} {ward} {alarm} {state} {sorted(actor.wards)}"
    place = context.cursors.open(cursor, purpose)
    everything = actor.everywhere and ward is None
    found = await context.accounts.notices.page(
        NoticeQuestion(
            wards=None if everything else [ward] if ward is not None else sorted(actor.wards),
            patients=None if everything else sorted(actor.patients) if ward is None else (),
            patient=patient, alarm=alarm, state=state, before=_place(place), limit=limit + 1,
        )
    )  # fmt: skip
    more = found[limit - 1] if len(found) > limit else None
    following = context.cursors.seal(f"{more.due}:{more.id}", purpose) if more else None
    items = [notice_of(one, iso) for one in found[:limit]]
    return respond(NoticeList(items, following), headers=context.cursors.link(request.url, following))


def _place(sealed: str | None) -> tuple[int, str] | None:
    if sealed is None:
        return None
    due, colon, name = sealed.partition(":")
    if not colon or not due.isdecimal():
        raise Problem("bad-cursor")
    return int(due), name
