"""What ``vitaltwin init`` creates in InfluxDB: buckets with their retention, and the task that thins readings."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from influxdb_client import InfluxDBClient
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.organization import Organization
from influxdb_client.domain.task_create_request import TaskCreateRequest
from urllib3.exceptions import HTTPError

from streams.errors import HistoryUnavailable
from streams.history.influx.flux import text
from streams.settings import Settings

__all__ = ["alarms_bucket", "minutes_bucket", "mismatches", "prepare"]

Answer = TypeVar("Answer")

_SHORTEST_S = 3600
"""InfluxDB's shortest retention."""


def alarms_bucket(settings: Settings) -> str:
    """The bucket of alarm transitions and facts."""
    return f"{settings.influx_bucket}_alarms"


def minutes_bucket(settings: Settings) -> str:
    """The bucket of readings by the minute."""
    return f"{settings.influx_bucket}_1m"


class _Found(NamedTuple):
    organisation: Organization
    keep: dict[str, int]
    present: dict[str, Bucket | None]
    task: str
    flux: str
    known: bool
    wrong: list[str]


async def prepare(settings: Settings) -> dict[str, bool]:
    """Create what is missing; by name, whether it was created now.

    Raises:
        HistoryUnavailable: InfluxDB does not answer, has no such organisation, or something exists in another form;
            then nothing is changed.
    """
    return await asyncio.to_thread(_with_client, settings, _make)


async def mismatches(settings: Settings) -> list[str]:
    """A sentence for everything that is missing or wrong; raises ``HistoryUnavailable`` as above."""
    found = await asyncio.to_thread(_with_client, settings, _look)
    missing = [f"bucket {name}" for name, bucket in found.present.items() if bucket is None]
    missing += [] if found.known else [f"task {found.task}"]
    return found.wrong + [f"{name} is missing: `vitaltwin init` creates it" for name in missing]


def _with_client(settings: Settings, work: Callable[[InfluxDBClient, Settings], Answer]) -> Answer:
    with InfluxDBClient(
        settings.influx_url, settings.influx_token.get_secret_value(), org=settings.influx_organisation, timeout=20_000
    ) as client:
        try:
            return work(client, settings)
        except InfluxDBError as error:
            raise HistoryUnavailable(f"InfluxDB refuses: {_reason(error)}") from error
        except (HTTPError, OSError) as error:
            raise HistoryUnavailable(f"InfluxDB at {settings.influx_url} does not answer") from error


def _look(client: InfluxDBClient, settings: Settings) -> _Found:
    try:
        (organisation, *_) = client.organizations_api().find_organizations(org=settings.influx_organisation)
    except (InfluxDBError, ValueError) as error:
        if isinstance(error, InfluxDBError) and getattr(error, "status", 404) != 404:
            raise
        raise HistoryUnavailable(
            f"InfluxDB has no organisation {settings.influx_organisation}, or its token may not see it"
        ) from error
    wanted = {
        settings.influx_bucket: settings.history_retention_days,
        alarms_bucket(settings): settings.alarm_retention_days,
        minutes_bucket(settings): settings.alarm_retention_days,
    }
    buckets = client.buckets_api()
    keep = {name: max(_SHORTEST_S, round(days * 86_400)) for name, days in wanted.items()}
    present = {name: buckets.find_bucket_by_name(name) for name in keep}
    task = f"{settings.influx_bucket} by the minute"
    flux = _thinning(settings, task)
    tasks = client.tasks_api().find_tasks(name=task)
    (known, *_) = [one for one in tasks if one.org_id == organisation.id] or [None]
    wrong = [_mismatch(name, bucket, keep[name]) for name, bucket in present.items() if bucket is not None]
    if known is not None and known.flux.strip() != flux.strip():
        wrong.append(f"the task {task!r} is not ours: delete it, then `vitaltwin init` creates it")
    return _Found(organisation, keep, present, task, flux, known is not None, [reason for reason in wrong if reason])


def _make(client: InfluxDBClient, settings: Settings) -> dict[str, bool]:
    found = _look(client, settings)
    if found.wrong:
        raise HistoryUnavailable("; ".join(found.wrong))
    for name, bucket in found.present.items():
        if bucket is None:
            rules = BucketRetentionRules(type="expire", every_seconds=found.keep[name])
            client.buckets_api().create_bucket(bucket_name=name, retention_rules=rules, org=found.organisation)
    if not found.known:
        wanted = TaskCreateRequest(org_id=found.organisation.id, status="active", flux=found.flux)
        client.tasks_api().create_task(task_create_request=wanted)
    made = {f"bucket {name}": bucket is None for name, bucket in found.present.items()}
    return made | {f"task {found.task}": not found.known}


def _mismatch(name: str, bucket: Bucket, keep_s: int) -> str:
    """What is wrong with an existing bucket; empty if nothing is."""
    kept = sum(rule.every_seconds for rule in bucket.retention_rules or [])
    if kept == keep_s:
        return ""
    days = f"{kept / 86_400:g} days" if kept else "for ever"
    return f"bucket {name} keeps points {days}, not {keep_s / 86_400:g} days: change it there or in the settings"


def _thinning(settings: Settings, task: str) -> str:
    """The task: accepted readings by the minute.

    Every five minutes it computes the last twenty again, for late readings. It has four separate queries: the storage
    answers each by itself, but for a shared variable Flux would go through all readings.
    """
    questions = "\n".join(f'minutes(fn: {name}, field: "{name}")' for name in ("mean", "min", "max", "count"))
    return f"""import "date"

option task = {{name: {text(task)}, every: 5m, offset: 30s}}

minutes = (fn, field) =>
    from(bucket: {text(settings.influx_bucket)})
        |> range(start: date.truncate(t: -20m, unit: 1m), stop: date.truncate(t: now(), unit: 1m))
        |> filter(fn: (r) => r._measurement == "observation" and r._field == "value")
        |> aggregateWindow(every: 1m, fn: fn, createEmpty: false, timeSrc: "_start")
        |> set(key: "_field", value: field)
        |> to(bucket: {text(minutes_bucket(settings))})

{questions}
"""


def _reason(error: InfluxDBError) -> str:
    return str(getattr(error, "message", None) or getattr(error, "reason", None) or error)[:200]
