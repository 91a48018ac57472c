"""Signing in and out, and tickets for sockets."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.responses import RedirectResponse

from api.accounts import Actor, SignedIn
from api.accounts.errors import LinkRefused
from api.answers import Responses, problems, respond
from api.fields import Body
from api.guard import same_origin
from api.problems import Problem
from api.wiring import COOKIE, Caller, Wired, Wiring

__all__ = ["router"]

router = APIRouter(tags=["session"])

_VERSION = version("vitaltwin")


@dataclass(frozen=True, slots=True)
class ClockPace:
    """How fast service time runs against the wall's."""

    speed: float


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, and what they may see."""

    name: str
    role: str
    wards: list[str]
    clock: ClockPace
    demo: bool
    version: str


@dataclass(frozen=True, slots=True)
class SocketTicket:
    """Good for one socket, for ``expires_in`` seconds."""

    ticket: str
    expires_in: int


class SignIn(Body):
    """Name and password of a local account."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


_FOLLOWED: Responses = {303: {"description": "To the ward, signed in; or to the sign-in page when the link is spoilt."}}
_ANY = problems("unauthenticated", "forbidden", "foreign-origin", "store-unavailable")


@router.get("/v1/session", response_model=Session, responses=_ANY)
async def read_session(wired: Wired, actor: Caller) -> Response:
    """Who stands behind this request."""
    return respond(_session(wired, actor))


@router.post(
    "/v1/session",
    response_model=Session,
    responses=problems(
        "malformed-body", "invalid-credentials", "foreign-origin", "body-too-large", "unsupported-media-type",
        "invalid", "too-many-attempts", "store-unavailable",
    ),
)  # fmt: skip
async def sign_in(request: Request, wired: Wired, body: SignIn) -> Response:
    """Sign in with name and password; the session is a cookie."""
    origin = request.headers.get("origin")
    if origin is not None and not same_origin(origin, request.headers.get("host", "")):
        raise Problem("foreign-origin")
    address = request.client.host if request.client else ""
    signed = await wired.accounts.sign_in(body.name, body.password, address)
    response = respond(_session(wired, signed.actor))
    _remember(request, response, signed)
    return response


@router.delete("/v1/session", status_code=204, responses=_ANY)
async def sign_out(wired: Wired, actor: Caller) -> Response:
    """End this session."""
    if actor.kind == "account":
        await wired.accounts.sign_out(actor)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.post("/v1/tickets", response_model=SocketTicket, responses=_ANY | problems("too-many-attempts"))
async def issue_ticket(wired: Wired, actor: Caller) -> Response:
    """A ticket to open one socket with."""
    ticket = await wired.accounts.issue_ticket(actor)
    return respond(SocketTicket(ticket.ticket, ticket.expires_in))


@router.get(
    "/sign-in",
    status_code=303,
    response_class=RedirectResponse,
    responses=_FOLLOWED | problems("invalid", "store-unavailable"),
)
async def follow_link(
    request: Request, wired: Wired, token: Annotated[str, Query(max_length=256, description="Of the one-time link.")]
) -> Response:
    """Sign in by a one-time link."""
    try:
        signed = await wired.accounts.redeem_link(token)
    except LinkRefused:
        return RedirectResponse("/sign-in.html#link", 303)
    response = RedirectResponse("/", 303)
    _remember(request, response, signed)
    return response


def _session(wired: Wiring, actor: Actor) -> Session:
    pace = ClockPace(wired.service.clock.speed)
    return Session(actor.name, actor.role, sorted(actor.wards), pace, wired.settings.demo, _VERSION)


def _remember(request: Request, response: Response, signed: SignedIn) -> None:
    response.set_cookie(
        COOKIE,
        signed.token,
        max_age=signed.max_age,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
