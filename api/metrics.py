"""Figures for Prometheus: what the service counts, what the doors refused, and how long requests take."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wiring import Wiring

__all__ = ["MEDIA_TYPE", "Figures", "Timing", "exposition"]

MEDIA_TYPE = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call] # they double every series and say nothing of ours

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_GROWING = (
    "taken", "refused", "late", "duplicate", "implausible", "gated", "readings", "records", "frames", "bytes", "alarms",
    "slow", "written", "appended", "total", "commits", "steps", "dead_letters",
)  # fmt: skip
"""A figure whose name ends in one of these words only ever grows."""


class _Counted(Collector):
    """The counters of service, accounts and hub, read when somebody asks."""

    def __init__(self, wired: Wiring) -> None:
        self._wired = wired

    def collect(self) -> Iterable[Metric]:
        """Every figure under its name."""
        wired = self._wired
        ready = float(wired.service.ready)
        yield GaugeMetricFamily("vitaltwin_ready", "1 once state is restored and the log writable", ready)
        yield GaugeMetricFamily("vitaltwin_patients", "Patients admitted", len(wired.service.registry))
        refused = CounterMetricFamily("vitaltwin_refused", "Entries refused at the doors, by reason", labels=["reason"])
        for reason, count in wired.refused.items():
            refused.add_metric([reason], count)
        yield refused
        for part, counters in (
            ("", wired.service.counters()),
            ("websocket_", wired.hub.counters()),
            ("accounts_", wired.accounts.counters()),
        ):
            for name, value in counters.items():
                yield _metric(part, name, value)


def _metric(part: str, name: str, value: float) -> Metric:
    clean = "".join(letter if letter.isalnum() else "_" for letter in name)
    said = f"{part}{name}".replace("_", " ").strip().capitalize()
    if clean.endswith(_GROWING):
        return CounterMetricFamily(f"vitaltwin_{part}{clean}", said, value)
    return GaugeMetricFamily(f"vitaltwin_{part}{clean}", said, value)


class Figures:
    """The registry of one application."""

    def __init__(self, wired: Wiring) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Counted(wired))
        self.requests = Histogram(
            "vitaltwin_http_request_seconds",
            "Time to answer a request, by route",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self.registry,
        )


def exposition(figures: Figures) -> bytes:
    """Everything in the text form Prometheus reads."""
    return generate_latest(figures.registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Timing:
    """ASGI middleware that measures requests; it costs a few microseconds."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._requests = figures.requests
        self._children: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._child(scope, status).observe(time.perf_counter() - started)

    def _child(self, scope: Scope, status: int) -> Histogram:
        route = getattr(scope.get("route"), "path", "") or (scope["path"] if "endpoint" in scope else "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(method, route, str(status))
        return child
