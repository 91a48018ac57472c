"""Dead letters: refused input with the reason and the original bytes."""

import base64
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.accounts import Action, require
from api.context import Caller, Context
from api.http.answers import Time, iso, problems, respond

__all__ = ["router"]

router = APIRouter(prefix="/v1/dead-letters", tags=["administration"])


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Refused input: ``source`` sent it, ``where`` names the part, ``body`` has the original bytes in base64."""

    id: int
    received: Time
    source: str
    reason: str
    where: str
    detail: str
    body: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """One page, newest first; the Link header leads to the next."""

    items: list[DeadLetter]
    next: str | None


@router.get(
    "",
    response_model=DeadLetters,
    responses=problems("bad-cursor", "unauthenticated", "forbidden", "invalid", "store-unavailable"),
)
async def read_dead_letters(
    request: Request,
    context: Context,
    actor: Caller,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Refused input, newest first."""
    require(actor, Action.DEAD_LETTERS_READ)
    place = context.cursors.open(cursor, "dead letters")
    found = await context.service.dead_letters(int(place) if place else None, limit + 1)
    page = found[:limit]
    following = context.cursors.seal(str(page[-1][0]), "dead letters") if len(found) > limit else None
    context.accounts.audit(actor, Action.DEAD_LETTERS_READ, detail=f"{len(page)} letters")
    items = [
        DeadLetter(
            id=number,
            received=iso(one.received),
            source=one.source,
            reason=one.reason,
            where=one.where,
            detail=one.detail,
            body=base64.b64encode(one.body).decode(),
        )
        for number, one in page
    ]
    return respond(DeadLetters(items, following), headers=context.cursors.link(request.url, following))
