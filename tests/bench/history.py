"""``infra/bench history``: the history in InfluxDB: writing speed, its cost for the worker, reading speed."""

import asyncio
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from api.cli.output import Failure, say
from api.cli.serve import settings_of
from streams.clock import Clock
from streams.history.columns import Segment, segment_of
from streams.history.influx.line_protocol import Tags, observation_lines
from streams.settings import Settings
from tests.bench import history_disk
from tests.support.influx import Influx

if TYPE_CHECKING:
    from streams.history.base import History

__all__ = ["run"]

_PATIENTS = 1_000
_FRAME = 1_000
_DAY_S = 86_400
_NOWHERE = "http://127.0.0.1:9"


def run(*, quick: bool = False) -> dict[str, Any]:
    """Readings of 1,000 patients × 5 signals in frames of 1,000, and the client's own batching writer, in one run.

    ``lines_per_s`` is the encoding alone, on one core. At this rate some readings go to InfluxDB through the spill on disk.
    A rate ends when InfluxDB (for ``spill``: the disk) has the last reading. ``caller_us`` is the cost of one frame for the
    calling thread. Then a day of one signal at 1 Hz is read. If the settings name an InfluxDB, that one is used and the
    buckets created there are deleted at the end; otherwise an own one, which also measures the size ``on_disk``.
    """
    settings = settings_of()
    if find_spec("influxdb_client") is None:
        raise Failure("bench history needs pip install 'vitaltwin[distributed]'")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # figures alone go to standard output
    rows = 100_000 if quick else 1_000_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = {"influx_bucket": f"vitaltwin_bench_{uuid.uuid4().hex[:8]}", "influx_spill": folder / "live"}
        named = settings.influx_url
        if not named:
            influx = stack.enter_context(Influx()).settings
            settings = settings.model_copy(
                update={"influx_url": influx.influx_url, "influx_token": influx.influx_token}
            )
        figures = asyncio.run(_run(settings.model_copy(update=own), rows))
    return figures if named else figures | {"on_disk": history_disk.run(quick=quick)}


async def _run(settings: Settings, rows: int) -> dict[str, Any]:
    from streams.history.influx import prepare

    frames = [_frame(first) for first in range(0, rows, _FRAME)]
    figures: dict[str, Any] = {"readings": rows}
    began = time.perf_counter()
    tags = Tags("observation")
    size = sum(len(observation_lines(tags, frame).body) for frame in frames)
    figures |= {"lines_per_s": rows / (time.perf_counter() - began), "bytes_per_line": size / rows}
    await prepare(settings)
    try:
        say(f"{rows:,} readings into InfluxDB")
        figures["influx"] = await _written(settings, frames)
        away = {"influx_url": _NOWHERE, "influx_spill": settings.spill_folder.with_name("away")}
        figures["spill"] = await _written(settings.model_copy(update=away), frames)
        peer = frames[: max(1, len(frames) // 10)]
        say(f"{len(peer) * _FRAME:,} with the client's batching writer")
        figures["batching_writer"] = {"readings_per_s": await asyncio.to_thread(_by_the_client, settings, peer)}
        figures["ratio"] = figures["influx"]["readings_per_s"] / figures["batching_writer"]["readings_per_s"]
        figures["read_a_day_s"] = await _read(settings)
    finally:
        await asyncio.to_thread(_remove, settings)
    return figures


def _frame(first: int) -> Segment:
    at = np.arange(first, first + _FRAME)
    columns = (
        (at // _PATIENTS % 5).astype("u2"), Clock().now() - 3_600_000_000 + at // (5 * _PATIENTS) * 1_000_000,
        np.round(80 + 9 * np.sin(at), 1), np.zeros(_FRAME, "u1"),
    )  # fmt: skip
    return segment_of([f"patient-{number:04d}" for number in range(_PATIENTS)], (at % _PATIENTS).astype("u4"), columns)


async def _written(settings: Settings, frames: list[Segment]) -> dict[str, float]:
    from streams.history.influx import InfluxHistory

    history = InfluxHistory(settings, writes=True)
    began = time.perf_counter()
    _hand_over(history, frames)
    handed_over = time.perf_counter() - began
    await history.settled()
    while settings.influx_url != _NOWHERE and history.counters()["history_spilled_bytes"]:  # noqa: ASYNC110 - nothing tells when the disk is empty
        await asyncio.sleep(0.01)
    elapsed = time.perf_counter() - began
    dropped = history.counters()["history_dropped"]
    await asyncio.to_thread(history.close)
    if dropped:
        raise Failure(f"{dropped} points were dropped")
    return {"readings_per_s": len(frames) * _FRAME / elapsed, "caller_us": 1e6 * handed_over / len(frames)}


def _hand_over(history: "History", frames: list[Segment]) -> None:
    for offset, segment in enumerate(frames):
        signal, at, value, status = segment.columns
        history.add_observations(0, offset, segment.patients, segment.patient, signal, at, value, status)
        history.complete(0, offset)


def _by_the_client(settings: Settings, frames: list[Segment]) -> float:
    """Readings a second of the client's batching writer, given the finished lines."""
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import WriteOptions

    tags = Tags("peer")
    began = time.perf_counter()
    with InfluxDBClient(
        settings.influx_url, settings.influx_token.get_secret_value(), org=settings.influx_organisation
    ) as client, client.write_api(write_options=WriteOptions(batch_size=5_000)) as writer:  # fmt: skip
        for frame in frames:
            lines = observation_lines(tags, frame).body.decode().splitlines()
            writer.write(settings.influx_bucket, record=lines, write_precision="us")
    return len(frames) * _FRAME / (time.perf_counter() - began)


async def _read(settings: Settings) -> dict[str, float]:
    """Seconds to read a day of one signal, the best of three."""
    from streams.history.influx import InfluxHistory

    history = InfluxHistory(settings, writes=True)
    begin = Clock().now() - _DAY_S * 1_000_000
    nothing = np.zeros(_DAY_S, "u4")
    at = begin + np.arange(_DAY_S) * 1_000_000
    columns = (nothing.astype("u2"), at, np.round(80 + 9 * np.sin(np.arange(_DAY_S)), 1))
    history.add_observations(0, 0, ["day"], nothing, *columns, nothing.astype("u1"))
    history.add_estimates(0, 0, ["day"], nothing, *columns, np.ones(_DAY_S), np.ones(_DAY_S, "f4"))
    history.complete(0, 0)
    await history.settled()
    if history.counters()["history_points"] != 2 * _DAY_S:
        raise Failure("InfluxDB did not take the day that was to be read")
    window = ("day", 0, begin, begin + _DAY_S * 1_000_000)
    asked = {
        "readings": lambda: history.observations(*window),
        "readings_as_300": lambda: history.observations(*window, points=300),
        "estimates_as_300": lambda: history.estimates(*window, points=300),
        "page_of_1000": lambda: history.observations_page(*window),
    }
    best = {}
    for name, ask in asked.items():
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            await ask()  # type: ignore[no-untyped-call]
            taken.append(time.perf_counter() - began)
        best[name] = min(taken)
    await asyncio.to_thread(history.close)
    return best


def _remove(settings: Settings) -> None:
    from influxdb_client.client.influxdb_client import InfluxDBClient

    with InfluxDBClient(
        settings.influx_url, settings.influx_token.get_secret_value(), org=settings.influx_organisation
    ) as client:
        for bucket in client.buckets_api().find_buckets(limit=100).buckets:
            if bucket.name.startswith(settings.influx_bucket):
                client.buckets_api().delete_bucket(bucket)
        for task in client.tasks_api().find_tasks(name=f"{settings.influx_bucket} by the minute"):
            client.tasks_api().delete_task(task.id)
