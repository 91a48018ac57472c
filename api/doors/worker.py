"""The HTTP door of a worker: liveness, readiness and metrics. Nothing about any patient."""

import json
from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from api.http.metrics import MEDIA_TYPE, metrics_of

__all__ = ["open_door"]


class _Counted(Collector):
    def __init__(self, health: Callable[[], dict[str, object]], counters: Callable[[], dict[str, int | float]]) -> None:
        self._health = health
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Every metric under its name."""
        yield GaugeMetricFamily(
            "vitaltwin_ready",
            "1 once every partition is restored and read almost to its end",
            float(bool(self._health()["ready"])),
        )
        yield from metrics_of(self._counters())


async def open_door(
    host: str, port: int, health: Callable[[], dict[str, object]], counters: Callable[[], dict[str, int | float]]
) -> tuple[web.AppRunner, int]:
    """Serve ``/health/live``, ``/health/ready`` and ``/metrics``; returns the runner to clean up at the end, and the port."""
    registry = CollectorRegistry()
    registry.register(_Counted(health, counters))

    async def live(_: web.Request) -> web.Response:
        return _json({"alive": True}, 200)

    async def ready(_: web.Request) -> web.Response:
        parts = health()
        return _json({"ready": parts["ready"], "parts": parts}, 200 if parts["ready"] else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": MEDIA_TYPE})

    app = web.Application()
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, runner.addresses[0][1]


def _json(content: dict[str, object], status: int) -> web.Response:
    return web.Response(text=json.dumps(content), status=status, content_type="application/json")
