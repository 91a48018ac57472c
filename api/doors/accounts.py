"""Accounts: people who can sign in, managed by administrators."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api import accounts
from api.context import Caller, Context
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Ward

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["administration"])

Role = Literal["viewer", "clinician", "admin"]
Password = Annotated[str, Field(min_length=1, max_length=1024)]
Wards = Annotated[list[Literal["*"] | Ward], Field(max_length=1000, description='Ward names; "*" is every ward.')]


@dataclass(frozen=True, slots=True)
class Account:
    """A person who can sign in."""

    name: str
    role: Role
    wards: list[str]
    disabled: bool
    created: Time
    last_sign_in: Time | None


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts."""

    items: list[Account]


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A link that signs in once. Pass it on to its person."""

    address: str


class Wanted(Body):
    """A new account. Without a password the person first signs in by a link; without wards it sees no patient."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@+\-]+$")]
    role: Role
    wards: Annotated[Wards, Field(default_factory=list)]
    password: Password | None = None


class Change(Body):
    """The changes; fields that are omitted or null stay as they are."""

    role: Role | None = None
    wards: Wards | None = None
    disabled: bool | None = None
    password: Password | None = None


class NewPassword(Body):
    """One's own new password; ``current`` is not needed after signing in by a link."""

    current: Annotated[str, Field(max_length=1024)] = ""
    new: Password


_ANY = problems("unauthenticated", "forbidden", "foreign-origin", "invalid", "store-unavailable")
_WRITE = _ANY | problems("malformed-body", "not-found", "conflict", "body-too-large", "unsupported-media-type")


@router.get("/accounts", response_model=Accounts, responses=_ANY)
async def list_accounts(context: Context, actor: Caller) -> Response:
    """All accounts, including disabled ones."""
    return respond(Accounts([_told(one) for one in await context.accounts.list_accounts(actor)]))


@router.post("/accounts", status_code=201, response_model=Account, responses=_WRITE)
async def create_account(context: Context, actor: Caller, body: Wanted) -> Response:
    """Create an account."""
    made = await context.accounts.create_account(actor, body.name, body.role, wards=body.wards, password=body.password)
    return respond(_told(made), 201)


@router.patch("/accounts/{name}", response_model=Account, responses=_WRITE)
async def change_account(context: Context, actor: Caller, name: str, body: Change) -> Response:
    """Change role, wards or password, or disable: all of it or nothing. A new password or disabling ends the sessions."""
    changed = await context.accounts.change_account(
        actor, name, role=body.role, wards=body.wards, disabled=body.disabled, password=body.password
    )
    return respond(_told(changed))


@router.post("/accounts/{name}/link", response_model=SignInLink, responses=_ANY | problems("not-found", "conflict"))
async def make_link(context: Context, actor: Caller, name: str) -> Response:
    """A one-time link, for an invitation or a forgotten password."""
    token = await context.accounts.sign_in_link(actor, name)
    return respond(SignInLink(f"{context.settings.path_prefix}/sign-in?token={token}"))


@router.put(
    "/session/password", status_code=204, responses=_WRITE | problems("invalid-credentials", "too-many-attempts")
)
async def change_password(context: Context, actor: Caller, body: NewPassword) -> Response:
    """Change one's own password; this ends one's other sessions."""
    await context.accounts.change_password(actor, body.current, body.new)
    return Response(status_code=204)


def _told(account: accounts.Account) -> Account:
    return Account(
        name=account.name,
        role=account.role,  # type: ignore[arg-type] # a Role's text is one of the three
        wards=list(account.wards),
        disabled=account.disabled,
        created=iso(account.created),
        last_sign_in=None if account.last_sign_in is None else iso(account.last_sign_in),
    )
