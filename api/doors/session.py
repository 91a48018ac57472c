"""Sign-in, sign-out, and tickets for sockets."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.responses import HTMLResponse

from api.accounts import Actor, SignedIn
from api.accounts.browsers import LIFETIME_DAYS
from api.accounts.errors import Unauthenticated
from api.context import COOKIE, AppContext, Caller, Context, own_pages_only
from api.http.answers import problems, respond
from api.http.fields import Body
from api.http.problems import Problem
from api.http.static import Page

__all__ = ["router"]

router = APIRouter(tags=["session"])

_VERSION = version("vitaltwin")
_BROWSER = "vitaltwin_browser"
_LINK_PAGE = Page(Path(__file__).parents[1] / "pages" / "link.html")


@dataclass(frozen=True, slots=True)
class ClockPace:
    """The speed of service time relative to the wall clock."""

    speed: float


@dataclass(frozen=True, slots=True)
class Session:
    """The signed-in person and what they may see; ``by_link`` until a person who came by a one-time link has set a password."""

    name: str
    role: str
    wards: list[str]
    by_link: bool
    clock: ClockPace
    demo: bool
    version: str


@dataclass(frozen=True, slots=True)
class SocketTicket:
    """A ticket for one socket, valid for ``expires_in`` seconds."""

    ticket: str
    expires_in: int


class SignIn(Body):
    """Name and password of a local account."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


_ANY = problems("unauthenticated", "forbidden", "foreign-origin", "store-unavailable")


@router.get("/v1/session", response_model=Session, responses=_ANY)
async def read_session(context: Context, actor: Caller) -> Response:
    """The actor of this request."""
    return respond(_session(context, actor))


@router.post(
    "/v1/session",
    response_model=Session,
    responses=problems(
        "malformed-body", "invalid-credentials", "foreign-origin", "body-too-large", "unsupported-media-type",
        "invalid", "too-many-attempts", "store-unavailable",
    ),
)  # fmt: skip
async def sign_in(request: Request, context: Context, body: SignIn) -> Response:
    """Sign in with name and password; the session is a cookie."""
    own_pages_only(request, strict=False)
    signed = await context.accounts.sign_in(body.name, body.password, _address(request), request.cookies.get(_BROWSER))
    return _signed_in(request, context, signed)


@router.delete("/v1/session", status_code=204, responses=_ANY)
async def sign_out(context: Context, actor: Caller) -> Response:
    """End this session."""
    if actor.kind == "account":
        await context.accounts.sign_out(actor)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path=_cookie_path(context), httponly=True, samesite="strict")
    return response


@router.post("/v1/tickets", response_model=SocketTicket, responses=_ANY | problems("too-many-attempts"))
async def issue_ticket(context: Context, actor: Caller) -> Response:
    """Issue a ticket to open one socket."""
    ticket = await context.accounts.issue_ticket(actor)
    return respond(SocketTicket(ticket.ticket, ticket.expires_in))


@router.get("/sign-in", response_class=HTMLResponse)
async def show_link(
    request: Request,
    token: Annotated[str, Query(max_length=256, description="The token of the one-time link; not checked here.")] = "",
) -> Response:
    """The page of a one-time link. Reading it changes nothing, because mail scanners and other sites read it too."""
    del token
    return await _LINK_PAGE(request)


@router.post(
    "/sign-in",
    response_model=Session,
    responses=problems(
        "link-refused", "foreign-origin", "signed-in-already", "invalid", "too-many-attempts", "store-unavailable"
    ),
)
async def follow_link(
    request: Request,
    context: Context,
    token: Annotated[str, Query(max_length=256, description="The token of the one-time link.")],
    instead_of: Annotated[
        str, Query(max_length=128, description="The signed-in person whose session in this browser is to end.")
    ] = "",
) -> Response:
    """Sign in by a one-time link. A person already signed in here must be named: nobody is replaced by accident."""
    own_pages_only(request, strict=False)
    present = await _present(request, context)
    if present is not None and present.name != instead_of:
        raise Problem("signed-in-already", f"{present.name} is signed in here", extra={"name": present.name})
    signed = await context.accounts.redeem_link(token, _address(request), request.cookies.get(_BROWSER))
    if present is not None:
        await context.accounts.sign_out(present)
    return _signed_in(request, context, signed)


async def _present(request: Request, context: AppContext) -> Actor | None:
    try:
        return await context.accounts.authenticate(request.cookies.get(COOKIE))
    except Unauthenticated:
        return None


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _session(context: AppContext, actor: Actor) -> Session:
    pace = ClockPace(context.service.clock.speed)
    return Session(actor.name, actor.role, sorted(actor.wards), actor.by_link, pace, context.settings.demo, _VERSION)


def _signed_in(request: Request, context: AppContext, signed: SignedIn) -> Response:
    response = respond(_session(context, signed.actor))
    for name, value, seconds in (
        (COOKIE, signed.token, signed.max_age),
        (_BROWSER, signed.browser, LIFETIME_DAYS * 86_400),
    ):
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=_cookie_path(context),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


def _cookie_path(context: AppContext) -> str:
    return f"{context.settings.path_prefix}/"
