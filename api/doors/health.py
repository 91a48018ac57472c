"""Liveness and readiness of the service, its metrics, and the explanations of its problems."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.context import AppContext, Context, caller
from api.http.answers import Responses, problems, respond
from api.http.metrics import MEDIA_TYPE, exposition
from api.http.problems import PROBLEMS, Problem

__all__ = ["router"]

router = APIRouter(tags=["health"])


@dataclass(frozen=True, slots=True)
class Alive:
    """The service answers."""

    alive: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the state is restored and the log can be written, with details."""

    ready: bool
    parts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """A type of problem and what to do about it."""

    type: str
    title: str
    status: int
    advice: str


_UNREADY: Responses = {503: {"description": "Not ready", "model": Ready}}
_FIGURES: Responses = {200: {"description": "Metrics in the text format of Prometheus.", "content": {"text/plain": {}}}}


@router.get("/health/live", response_model=Alive)
async def live() -> Response:
    """Answers as long as the program runs."""
    return respond(Alive(alive=True))


@router.get(
    "/health/ready",
    response_model=Ready,
    responses=_UNREADY | problems("unauthenticated"),
)
async def ready(request: Request, context: Context) -> Response:
    """200 once the state is restored and the log can be written, else 503."""
    await _admitted(request, context)
    # Readings are accepted while the accounts server is unreachable, so it does not affect readiness.
    parts = context.service.health() | {"accounts": context.accounts.reach.trouble or "ok"}
    good = context.service.ready and bool(parts.get("ready", True)) and context.pulse.now().writes != "overloaded"
    return respond(Ready(good, parts), 200 if good else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses=_FIGURES | problems("unauthenticated", "store-unavailable"),
)
async def metrics(request: Request, context: Context) -> Response:
    """Metrics of the service for Prometheus."""
    await _admitted(request, context)
    return Response(exposition(request.app.state.figures), media_type=MEDIA_TYPE)


@router.get("/problems/{slug}", response_model=ProblemPage, responses=problems("not-found", "invalid"))
async def explain(slug: str) -> Response:
    """Explain a type of problem."""
    kind = PROBLEMS.get(slug)
    if kind is None:
        raise Problem("not-found", "no such problem")
    return respond(ProblemPage(kind.address, kind.title, kind.status, kind.advice))


async def _admitted(request: Request, context: AppContext) -> None:
    if context.settings.metrics_need_sign_in:
        await caller(request)
