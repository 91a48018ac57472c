"""The audit trail: who read or changed what, in pages or as a complete export."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from api import accounts
from api.context import Caller, Context
from api.http.answers import Responses, Time, iso, problems, respond
from api.http.fields import Composed, Moment
from api.http.problems import Problem

__all__ = ["ndjson", "router"]

router = APIRouter(prefix="/v1/audit", tags=["administration"])


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the trail. Refusals within a quarter of an hour are one entry with a ``count`` and the time of the first."""

    id: int
    time: Time
    actor: str
    kind: str
    action: str
    patient: str
    detail: str
    outcome: str
    count: int


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
    context: Context,
    actor: Caller,
    patient: Annotated[Composed | None, Query(max_length=128, description="Only entries about this patient.")] = None,
    by: Annotated[str | None, Query(max_length=128, description="Only entries of this account or device.")] = None,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Who read or changed what, newest first."""
    purpose = f"audit {patient} {by}"
    place = context.cursors.open(cursor, purpose)
    try:
        page = await context.accounts.audit_page(actor, place, limit=limit, patient=patient, actor=by)
    except ValueError:
        raise Problem("bad-cursor") from None
    following = context.cursors.seal(page.next, purpose) if page.next else None
    items = [_told(entry) for entry in page.entries]
    return respond(AuditPage(items, following), headers=context.cursors.link(request.url, following))


_LINES: Responses = {200: {"description": "One entry per line", "content": {"application/x-ndjson": {}}}}


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=_LINES | problems("unauthenticated", "forbidden", "invalid", "store-unavailable"),
)
async def export_audit(
    context: Context,
    actor: Caller,
    since: Annotated[Moment | None, Query(description="Start of the time range.")] = None,
    until: Annotated[Moment | None, Query(description="End of the time range, exclusive.")] = None,
) -> Response:
    """All entries, oldest first, one JSON object per line. Store them elsewhere before retention deletes them."""
    stretch = f"from {iso(since) if since else 'the first'} to {iso(until) if until else 'the last'}"
    entries = context.accounts.audit_entries(actor, since=since or 0, until=until, detail=stretch)
    nothing: list[accounts.AuditEntry] = []
    first = await anext(entries, nothing)  # a refusal must come before the answer begins

    async def lines() -> AsyncIterator[bytes]:
        yield ndjson(first)
        async for some in entries:
            yield ndjson(some)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def ndjson(entries: Sequence[accounts.AuditEntry]) -> bytes:
    """Entries in export format, one per line."""
    return b"".join(msgspec.json.encode(_told(entry)) + b"\n" for entry in entries)


def _told(entry: accounts.AuditEntry) -> AuditEntry:
    return AuditEntry(
        id=entry.id,
        time=iso(entry.time),
        actor=entry.actor,
        kind=entry.kind,
        action=entry.action,
        patient=entry.patient,
        detail=entry.detail,
        outcome=entry.outcome,
        count=entry.count,
    )
