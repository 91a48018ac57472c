"""Metrics for Prometheus: counters of the service, refused entries, and request durations."""

import time
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.context import AppContext
from api.http.connections import Connections
from api.http.logs import request_id

__all__ = ["MEDIA_TYPE", "Figures", "Timing", "exposition", "metrics_of"]

MEDIA_TYPE = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call] # they double every series and say nothing of ours

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_KNOWN: dict[str, tuple[bool, str]] = {
    "patients": (False, "Patients admitted"),
    "worker_lag_readings": (False, "Readings in the log that the twins have not processed yet"),
    "worker_lag_seconds": (False, "Age of the oldest input that the twins have not processed yet"),
    "clock_set_back": (True, "Times the log's time went back with the wall clock"),
    "worker_failures": (True, "Records that the twins could not process"),
    "model_failures": (True, "Failed calls of a site's models"),
    "models_begun_anew": (True, "Blocks of patients whose checkpoint a site's model could not use"),
    "worker_lag_records": (False, "Records in the log that this worker has not processed yet"),
    "worker_records": (True, "Records processed"),
    "worker_gaps": (True, "Gaps in record offsets that were read again"),
    "worker_set_back": (True, "Times the log's time was set back because it was ahead of the broker's"),
    "worker_received_ahead": (True, "Records whose received time was later than their arrival"),
    "worker_checkpoints_damaged": (True, "Checkpoints that could not be read"),
    "estimate_age_seconds": (False, "Age of the newest input that the twins have processed, by partition"),
    "clock_apart_seconds": (False, "How far the log's time is ahead of this machine's clock"),
    "kafka_reached": (False, "1 while Kafka answers"),
    "worker_holes": (True, "Holes in the log itself"),
    "worker_skipped": (True, "Repeated records that were ignored"),
    "worker_poison": (True, "Unreadable records, stored as dead letters"),
    "worker_restores": (True, "Partitions restored from checkpoints"),
    "worker_checkpoints": (True, "Blocks written as checkpoints"),
    "worker_checkpoint_bytes": (True, "Bytes of checkpoints written"),
    "worker_partitions": (False, "Partitions assigned"),
    "worker_partitions_restored": (False, "Partitions whose twins are restored"),
    "worker_unanswered": (False, "Records sent that Kafka has not confirmed yet"),
    "history_points": (True, "Points that InfluxDB has accepted"),
    "history_dropped": (True, "Points lost for any reason"),
    "history_spilled_bytes": (False, "Bytes on disk that InfluxDB has not accepted yet"),
    "history_buffered": (False, "Readings and estimates not yet written to the history"),
    "history_backlog": (False, "Rows of the history waiting to be compacted"),
    "log_commits": (True, "Group commits of the log"),
    "log_records": (True, "Records appended to the log"),
    "log_bytes": (False, "Bytes of the records in the log"),
    "log_wal_pages": (False, "Pages of the write-ahead file when last looked at"),
    "log_waiting_bytes": (False, "Bytes of observations waiting for the disk"),
    "log_failures": (True, "Failed commits and clean-ups of the log"),
    "twins_rebuilt": (True, "Patients whose twins were rebuilt from the log at the start"),
    "spool_readings": (True, "Readings stored on disk while Kafka was unreachable"),
    "hub_outcomes": (True, "Outcomes received from workers"),
    "hub_repeated": (True, "Repeated outcomes that were ignored"),
    "hub_alarms": (True, "Alarm transitions received from workers"),
    "hub_alarms_repeated": (True, "Repeated alarm transitions that were ignored"),
    "hub_unreadable": (True, "Unreadable messages from workers"),
    "dead_letters": (True, "Dead letters stored"),
    "websocket_connections": (False, "Sockets open now"),
    "websocket_subscriptions": (False, "Subscriptions open now"),
    "websocket_frames": (True, "Messages sent to sockets"),
    "websocket_bytes": (True, "Bytes sent to sockets"),
    "websocket_slow": (True, "Sockets closed because they were too slow"),
    "websocket_alarms": (True, "Alarm transitions delivered"),
    "websocket_offset": (False, "Number of the newest event"),
    "connections_open": (False, "Connections open now"),
    "connections_evicted": (True, "Waiting connections closed to make room for others"),
    "connections_refused": (True, "Connections refused because no other could be closed"),
    "connections_overdue": (True, "Connections closed because a request was not complete in time"),
    "connections_stalled": (True, "Connections dropped because the client did not read"),
    "accounts_reached": (False, "1 while the accounts database answers"),
    "accounts_audit_written": (True, "Entries written to the audit trail"),
}
"""Name → (whether it is a counter, description). Metrics not listed here are counters if they end in ``_total``."""

_READINGS = "readings_"


class _Counted(Collector):
    """The counters of service, accounts and hub, read at each scrape."""

    def __init__(self, context: AppContext, figures: "Figures") -> None:
        self._wired = context
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Every metric under its name."""
        context = self._wired
        ready = float(bool(context.service.health().get("ready")))
        yield GaugeMetricFamily("vitaltwin_ready", "1 once the state is restored and the log is writable", ready)
        yield _labelled("vitaltwin_refused", "Entries refused at the doors, by reason", "reason", context.refused)
        yield from metrics_of(context.service.counters())
        yield from context.alarm_counts.metrics()
        if self._figures.connections is not None:
            yield from metrics_of(self._figures.connections.counters(), "connections_")
        for part, found in (("websocket_", context.hub.counters()), ("accounts_", context.accounts.counters())):
            yield from metrics_of(found, part)


def metrics_of(counters: Mapping[str, float], part: str = "") -> Iterable[Metric]:
    """Counters as metrics; those that begin with ``readings_`` become one metric with a label.

    A name that ends with a dot and a number belongs to a partition.
    """
    readings = {name[len(_READINGS) :]: value for name, value in counters.items() if name.startswith(_READINGS)}
    if readings:
        yield _labelled("vitaltwin_readings", "Readings that the twins have processed, by result", "status", readings)
    parted: dict[str, GaugeMetricFamily] = {}
    for name, value in counters.items():
        if name.startswith(_READINGS):
            continue
        figure, _, partition = name.partition(".")
        if partition:
            if figure not in parted:
                said = _KNOWN[figure][1]
                parted[figure] = GaugeMetricFamily(f"vitaltwin_{figure}", said, labels=["partition"])
            parted[figure].add_metric([partition], value)
        else:
            yield _metric(part + _clean(name), value)
    yield from parted.values()


def _labelled(name: str, said: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _metric(name: str, value: float) -> Metric:
    plain = name.removesuffix("_total")
    grows, said = _KNOWN.get(plain, (plain != name, plain.replace("_", " ").capitalize()))
    name = plain if grows else name
    return (CounterMetricFamily if grows else GaugeMetricFamily)(f"vitaltwin_{name}", said, value)


def _clean(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


class Figures:
    """The metrics registry of one application."""

    def __init__(self, context: AppContext) -> None:
        self.registry = CollectorRegistry()
        self.connections: Connections | None = None
        """The server's connections, once there is a server."""
        self.registry.register(_Counted(context, self))
        self.requests = Histogram(
            "vitaltwin_http_request_seconds",
            "Time to answer a request, by route",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self.registry,
        )


def exposition(figures: Figures) -> bytes:
    """All metrics in the text format of Prometheus."""
    return generate_latest(figures.registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Timing:
    """ASGI middleware that gives each request an id (in answer and log lines) and measures it; costs some microseconds."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._requests = figures.requests
        self._children: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = request_id(scope["headers"])
        # No unbind needed: the server runs every request as a task with its own context.
        structlog.contextvars.bind_contextvars(request=request.decode())
        if scope["type"] == "http":
            await self._timed(scope, receive, send, request)
        else:
            await self._app(scope, receive, send)

    async def _timed(self, scope: Scope, receive: Receive, send: Send, request: bytes) -> None:
        status = 500
        started = time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request)]
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
