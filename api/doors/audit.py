"""The audit trail: who read or changed what."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.answers import Time, iso, problems, respond
from api.fields import Composed
from api.problems import Problem
from api.wiring import Caller, Wired

__all__ = ["router"]

router = APIRouter(prefix="/v1/audit", tags=["administration"])


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail."""

    id: int
    time: Time
    actor: str
    kind: str
    action: str
    patient: str
    detail: str
    outcome: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page, newest first; the Link header leads to the next."""

    items: list[AuditEntry]
    next: str | None


@router.get(
    "",
    response_model=AuditPage,
    responses=problems("bad-cursor", "unauthenticated", "forbidden", "invalid", "store-unavailable"),
)
async def read_audit(
    *,
    request: Request,
    wired: Wired,
    actor: Caller,
    patient: Annotated[Composed | None, Query(max_length=128, description="Only what concerns this patient.")] = None,
    by: Annotated[str | None, Query(max_length=128, description="Only what this account or device did.")] = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Who read or changed what, newest first."""
    purpose = f"audit {patient} {by}"
    place = wired.cursors.open(cursor, purpose)
    try:
        page = await wired.accounts.audit_page(actor, place, limit=limit, patient=patient, actor=by)
    except ValueError:
        raise Problem("bad-cursor") from None
    following = wired.cursors.seal(page.next, purpose) if page.next else None
    items = [
        AuditEntry(one.id, iso(one.time), one.actor, one.kind, one.action, one.patient, one.detail, one.outcome)
        for one in page.entries
    ]
    return respond(AuditPage(items, following), headers=wired.cursors.link(request.url, following))
