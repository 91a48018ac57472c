"""The application's parts, available to every door, and the actor of a request."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.accounts import Accounts, Action, Actor, require
from api.accounts.errors import Unauthenticated
from api.http.cursors import Cursors
from api.http.guard import host_name, is_loopback, same_origin
from api.http.problems import Problem
from api.http.windows import Windows
from api.intake.dead_letters import DeadLetters
from api.live.alarm_counts import AlarmCounts
from api.live.hub import Hub
from api.live.service_health import ServiceHealth
from api.live.state import LiveState
from api.runtime import Service
from streams.settings import Settings
from twins.records import Profile

__all__ = ["COOKIE", "AppContext", "Caller", "Context", "caller", "own_pages_only", "patient_of", "settled"]

COOKIE = "vitaltwin_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PAUSE = 0.002
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts of one running application.

    ``refused`` counts refused readings by reason, ``admitted`` the recent admissions by hand, by key or session.
    """

    service: Service
    accounts: Accounts
    view: LiveState
    hub: Hub
    settings: Settings
    cursors: Cursors
    pulse: ServiceHealth
    admitted: Windows
    letters: DeadLetters
    alarm_counts: AlarmCounts
    refused: Counter[str] = field(default_factory=Counter)
    previews: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Previews of limits run one at a time."""


def app_context(connection: HTTPConnection) -> AppContext:
    """The parts of the application that serves this connection."""
    found: AppContext = connection.app.state.context
    return found


async def caller(connection: HTTPConnection) -> Actor:
    """The actor of a request, by device key, session cookie, or the demonstration's local browser.

    Raises ``Unauthenticated``, or ``Problem`` foreign-origin when another site sent the browser here.
    """
    context = app_context(connection)
    headers = connection.headers
    authorization = headers.get("authorization", "")
    if authorization:
        if authorization[:7].lower() != _BEARER:
            raise Unauthenticated("only Authorization: Bearer with a device key is accepted here")
        return await context.accounts.recognise_device(authorization[7:].strip())
    token = connection.cookies.get(COOKIE)
    if token is not None:
        try:
            actor = await context.accounts.authenticate(token)
        except Unauthenticated:
            if not _local_demo(context, connection):
                raise
            actor = context.accounts.demo_actor()
    elif _local_demo(context, connection):
        actor = context.accounts.demo_actor()
    else:
        raise Unauthenticated("neither a session nor a device key came with the request")
    own_pages_only(connection, strict=actor.kind != "demo")
    return actor


def _local_demo(context: AppContext, connection: HTTPConnection) -> bool:
    if not context.settings.demo or connection.client is None:
        return False
    return is_loopback(connection.client.host) and is_loopback(host_name(connection.headers.get("host", "")))


def own_pages_only(connection: HTTPConnection, *, strict: bool) -> None:
    """Refuse a change that another site requests through the browser; without ``strict``, other programs may pass."""
    if connection.scope.get("method", "GET") in _SAFE:
        return
    headers = connection.headers
    origin = headers.get("origin")
    if origin is None and not strict and "sec-fetch-site" not in headers:
        return
    if origin is None or not same_origin(origin, headers.get("host", "")):
        raise Problem("foreign-origin")


def patient_of(context: AppContext, actor: Actor, patient: str, action: Action = Action.PATIENT_READ) -> Profile:
    """The patient's profile if the actor may do this there.

    Raises ``Problem`` not-found both for an unknown patient and for one that the actor may not see, else ``Forbidden``.
    """
    require(actor, action)
    profile = context.service.registry.get(patient)
    if profile is None or not actor.covers(profile.ward, patient):
        raise Problem("not-found", "no such patient")
    require(actor, action, profile.ward, patient)
    return profile


async def settled(condition: Callable[[], bool], seconds: float = 1.0) -> bool:
    """Wait until an appended record takes effect, at most ``seconds``: the answer then shows the state after it."""
    for _ in range(int(seconds / _PAUSE)):
        if condition():
            return True
        await asyncio.sleep(_PAUSE)
    return condition()


Context = Annotated[AppContext, Depends(app_context)]
Caller = Annotated[Actor, Depends(caller)]
