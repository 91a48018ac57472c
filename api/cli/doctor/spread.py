"""Checks for the distributed service: Kafka and its topics, workers, InfluxDB, accounts, and the parts on this machine."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from api.cli.doctor.finding import Finding
from api.cli.doctor.local import Look, asked
from streams.clock import Clock
from streams.errors import HistoryUnavailable, KafkaUnusable

if TYPE_CHECKING:
    from streams.kafka.group import Group
    from streams.settings import Settings

__all__ = ["LOOKS"]

_CLOSE_S, _APART_S = 2.0, 30.0
_ALL_SAFE = 3
"""With so many copies another one stays in sync when a broker fails."""


def _installed(_: "Settings") -> Iterator[Finding]:
    missing = [name for name in ("faust", "aiokafka", "aiohttp", "influxdb_client", "psycopg") if not find_spec(name)]
    if missing:
        yield Finding("installation", "wrong", f"{', '.join(missing)} missing: pip install 'vitaltwin[distributed]'")


def _kafka(settings: "Settings") -> Iterator[Finding]:
    if not find_spec("aiokafka") or not find_spec("faust"):
        return
    from streams.kafka import group, topics
    from streams.kafka.worker import log_time

    try:
        brokers = asyncio.run(topics.brokers(settings))
        yield Finding("Kafka", "good", f"{settings.kafka_servers}, {brokers} broker{'s' * (brokers != 1)}")
        wrong = asyncio.run(topics.mismatches(settings))
        for one in wrong:
            yield Finding("topics", "wrong", one)
        if wrong:
            return
        yield Finding("topics", "good", f"as `vitaltwin init` creates them, {settings.kafka_partitions} partitions")
        if brokers >= _ALL_SAFE > settings.kafka_replication:
            advice = "with VITALTWIN_KAFKA_REPLICATION=3 nothing is lost when a broker fails"
            yield Finding("topics", "note", f"{settings.kafka_replication} copy only, with {brokers} brokers: {advice}")
        for one in asyncio.run(topics.differences(settings)):
            yield Finding("topics", "note", one)
        yield _clock(asyncio.run(log_time.asked(settings)))
        yield from _workers(settings, asyncio.run(group.look(settings)))
    except KafkaUnusable as error:
        yield Finding("Kafka", "wrong", str(error))


def _clock(brokers_us: int) -> Finding:
    """The difference between this machine's clock and the broker's, which gives the log its time."""
    apart_s = (Clock().now() - brokers_us) / 1e6
    offset = f"{abs(apart_s):.1f} s {'ahead of' if apart_s > 0 else 'behind'} Kafka's"
    if abs(apart_s) <= _CLOSE_S:
        return Finding("clocks", "good", f"this machine's is {offset}")
    advice = "the doors check readings by their own clocks: synchronise all machines with one source (NTP)"
    return Finding("clocks", "wrong" if abs(apart_s) > _APART_S else "note", f"this machine's is {offset}; {advice}")


def _workers(settings: "Settings", seen: "Group") -> Iterator[Finding]:
    held = sum(map(len, seen.members.values()))
    idle = settings.kafka_partitions - held
    each = ", ".join(f"{host} {len(mine)}" for host, mine in seen.members.items())
    if not seen.members:
        yield Finding(
            "workers", "wrong", "none: start one with `vitaltwin worker`; until then accepted readings wait in the log"
        )
    elif idle:
        yield Finding(
            "workers", "wrong", f"{idle} partitions are not assigned, as during a rebalance; assigned: {each}"
        )
    else:
        yield Finding("workers", "good", f"{len(seen.members)}; partitions assigned: {each}")
    furthest = max(seen.behind, key=lambda partition: seen.behind[partition], default=0)
    behind = sum(seen.behind.values())
    late = behind > settings.ready_lag * max(1, len(seen.members))
    yield Finding(
        "checkpoints", "wrong" if late else "good",
        f"{behind:,} records behind the log's end, most in partition {furthest}: {seen.behind.get(furthest, 0):,}",
    )  # fmt: skip


def _influx(settings: "Settings") -> Iterator[Finding]:
    if not settings.influx_url:
        yield Finding("InfluxDB", "note", "no history is stored: set VITALTWIN_INFLUX_URL")
        return
    if not find_spec("influxdb_client"):
        return
    from streams.history.influx import mismatches

    try:
        wrong = asyncio.run(mismatches(settings))
    except HistoryUnavailable as error:
        yield Finding("InfluxDB", "wrong", str(error))
        return
    for one in wrong:
        yield Finding("InfluxDB", "wrong", one)
    if not wrong:
        yield Finding("InfluxDB", "good", f"{settings.influx_url}, buckets and task as `vitaltwin init` creates them")
    spilled = [file.stat().st_size for file in settings.spill_folder.glob("**/*") if file.is_file()]
    if sum(spilled):
        yield Finding(
            "InfluxDB, spill", "note", f"{sum(spilled) / 1e6:,.1f} MB wait in {settings.spill_folder.absolute()}"
        )


def _accounts(settings: "Settings") -> Iterator[Finding]:
    from api.accounts.errors import StoreUnavailable
    from api.accounts.examination import examine

    if not settings.accounts_database:
        yield Finding("accounts", "note", f"in {settings.database.absolute()}: several doors need one PostgreSQL")
        return
    try:
        seen = asyncio.run(examine(settings.accounts_database))
    except StoreUnavailable as error:
        yield Finding("accounts", "wrong", str(error))
        return
    if seen.revision == seen.wanted:
        yield Finding("accounts", "good", f"{seen.where}, {seen.server}")
    else:
        found = f"tables of revision {seen.revision}" if seen.revision else "no tables"
        yield Finding("accounts", "wrong", f"{seen.where}: {found}, not {seen.wanted}; run `vitaltwin init`")


def _here(settings: "Settings") -> Iterator[Finding]:
    yield asked("worker here", settings.host, settings.worker_port)
    yield asked("doors here", settings.host, settings.port)


LOOKS: tuple[Look, ...] = (_installed, _kafka, _influx, _accounts, _here)
