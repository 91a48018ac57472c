"""The application: all doors, the pages and the middleware, over the given parts."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.routing import Route

from api import doors
from api.accounts import Accounts
from api.accounts.corrections import Corrections
from api.alerts.outbox import NoticeWriter
from api.context import COOKIE, AppContext
from api.doors.observations import Observations
from api.http import problems
from api.http.body import Bounded
from api.http.cursors import Cursors
from api.http.guard import Guard
from api.http.metrics import Figures, Timing
from api.http.proxied import Proxied
from api.http.static import pages
from api.http.strangers import Strangers
from api.http.windows import Windows
from api.intake.dead_letters import DeadLetters
from api.live.alarm_counts import AlarmCounts
from api.live.hub import Hub
from api.live.service_health import ServiceHealth
from api.live.sockets import router as sockets
from api.live.state import LiveState
from api.openapi import describe
from api.runtime import Service
from streams.settings import Settings

__all__ = ["create_app"]

_BY_HAND = 60
"""Admissions a minute that one person may always make, even if fewer are allowed by readings."""
_HERE = Path(__file__).parent
_ABOUT = (
    "A living model of every monitored patient. Decision support in development, not a certified medical device. "
    "Errors are problem+json (RFC 9457); times are ISO 8601 with a zone; the Link header leads to the next page of a list."
)


def create_app(service: Service, accounts: Accounts, view: LiveState, hub: Hub, settings: Settings) -> FastAPI:
    """The ASGI application; its lifespan starts the given parts in order, and stops them again."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.listen(hub.publish)
        service.listen(Corrections(accounts).heard)
        service.listen(counts.heard)
        outbox = NoticeWriter(accounts)
        service.listen(outbox.heard)
        await service.start()
        try:
            await accounts.open()
            context.cursors.key = accounts.sealing_key  # a list begun at one door can be continued at any other
            outbox.open()
            try:
                yield
            finally:
                await hub.stop()
                await outbox.close()
                await accounts.close()
        finally:
            await service.stop()

    app = FastAPI(
        title="vitaltwin",
        version=version("vitaltwin"),
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },  # /metrics has its own; paths may contain patient ids
    )
    pulse = ServiceHealth(service, settings.max_lag_readings)
    hub.health = pulse.now
    by_hand = Windows([(max(_BY_HAND, settings.new_patients_per_minute), 60.0)])
    counts = AlarmCounts(service.clock.now)
    cursors, letters = Cursors(secrets.token_bytes(32)), DeadLetters(service)
    context = AppContext(service, accounts, view, hub, settings, cursors, pulse, by_hand, letters, counts)
    figures = Figures(context)
    app.state.context = context
    app.state.figures = figures
    problems.install(app)
    app.router.routes.insert(
        0, Route("/v1/observations", Observations(context), methods=["POST"], include_in_schema=False)
    )
    for router in doors.ROUTERS:
        app.include_router(router)
    app.include_router(sockets(hub, accounts))
    app.router.routes.extend(pages(_HERE / "reference", "/docs"))
    page_routes = pages(_HERE / "pages")
    app.router.routes.extend(page_routes)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign] # FastAPI's way of changing the document
    app.add_middleware(Bounded, larger={"/v1/observations": 0, "/v1/facts": 0, "/v1/devices": 2 << 20})
    app.add_middleware(Guard, bind=settings.host, allowed=settings.allowed_hosts)
    app.add_middleware(Timing, figures=figures)
    app.add_middleware(Strangers, accounts=accounts, rate=settings.stranger_requests_per_second, cookie=COOKIE)
    own = [route.path for route in page_routes]
    app.add_middleware(Proxied, trusted=settings.trusted_proxies, prefix=settings.path_prefix, own=own)
    return app
