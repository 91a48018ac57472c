"""``vitaltwin init``, ``worker`` and ``api``: the service on several machines, with Kafka, InfluxDB and PostgreSQL."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import Failure, failures, print_json, say
from api.cli.serve import NOTICE, Running, accounts_url, leave_key, quicken, run, settings_of

if TYPE_CHECKING:
    from api.runtime import Service
    from streams.history.base import History
    from streams.settings import Settings

__all__ = ["doors", "initialise", "worker"]


def initialise(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print what was created as JSON.")] = False
) -> None:
    """Create what the distributed service needs: Kafka topics, InfluxDB buckets and tasks, the tables of accounts.

    It may be run any number of times. Existing parts stay. If one of them cannot work (for example another partition
    count), the command fails and changes nothing. If retention or replication differ from the settings, it prints the
    command that changes them. Addresses are read from VITALTWIN_... variables.
    """
    _installed()
    with failures():
        made, differing = asyncio.run(_initialise(settings_of()))
        if as_json:
            print_json({"made": made, "differs": differing})
        else:
            for name, new in made.items():
                typer.echo(f"{'made   ' if new else 'present'}  {name}")
        for one in differing:
            say(f"differs  {one}")
        if differing:
            say("these were not changed: the service runs with them, but not as the settings say")


async def _initialise(settings: "Settings") -> tuple[dict[str, bool], list[str]]:
    from api.accounts import Accounts
    from streams.clock import Clock
    from streams.kafka import topics

    made = {f"topic {name}": new for name, new in (await topics.make(settings)).items()}
    if settings.influx_url:
        from streams.history.influx import prepare

        made |= await prepare(settings)
    if settings.accounts_database:
        accounts = Accounts(url=accounts_url(settings), clock=Clock())
        made["tables of accounts"] = await accounts.open()
        await accounts.close()
    return made, await topics.differences(settings)


def worker(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port of health and metrics.", show_default="8001")
    ] = None,
) -> None:
    """Run a worker: it takes its share of the partitions, runs their twins, and hands them over when it ends.

    Start as many as the load needs, on any machines. Ctrl-C or SIGTERM ends one, and the others take over.
    """
    _installed()
    with failures():
        settings = settings_of(worker_port=port)
        os.umask(0o077)  # files that wait on disk for InfluxDB contain patient ids
        quicken()(_work(settings))


async def _work(settings: "Settings") -> None:
    import gc

    from api.doors.worker import open_door
    from streams.kafka.topics import mismatches
    from streams.kafka.worker.worker import KafkaWorker
    from streams.worker.site_models import site_models
    from twins.warm_up import warm

    wrong = await mismatches(settings)
    if wrong:
        raise Failure("; ".join(wrong))
    for _ in warm():
        pass  # before any partition is assigned: no partition should wait for the compiler
    history = _history(settings, writes=True)
    working = KafkaWorker(settings, history, site_models())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    door, port = await open_door(settings.host, settings.worker_port, working.health, working.counters)
    say(f"vitaltwin worker on Kafka at {settings.kafka_servers}; health and metrics on {settings.host}:{port}")
    say(NOTICE)
    gc.freeze()
    gc.enable()
    try:
        await working.run(stop)
    finally:
        await door.cleanup()
        history.close()
        if working.stranded:
            say("Kafka did not confirm that this worker leaves: the others take over when its session times out")
            os._exit(int(not stop.is_set()))


def doors(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port.", show_default="8000")] = None,
) -> None:
    """Run the doors of the distributed service: HTTP, WebSocket and dashboard. They have no state of their own; run several.

    Needs what `vitaltwin init` creates, and workers for the twins.
    """
    _installed()
    with failures():
        run(settings_of(host=host, port=port), _welcome, _on_kafka)


def _on_kafka(settings: "Settings") -> "Service":
    from streams.kafka.door.service import KafkaService

    return KafkaService(settings, _history(settings, writes=False))


def _history(settings: "Settings", *, writes: bool) -> "History":
    if not settings.influx_url:
        from streams.history.nothing import NoHistory

        return NoHistory()
    from streams.history.influx import InfluxHistory

    return InfluxHistory(settings, writes=writes)


async def _welcome(running: Running) -> list[Awaitable[None]]:
    settings = running.settings
    say(f"vitaltwin doors on {running.url}, on Kafka at {settings.kafka_servers}")
    say(NOTICE)
    if not settings.influx_url:
        say("no history is stored: set VITALTWIN_INFLUX_URL to an InfluxDB")
    link = await running.accounts.first_start_link(beside_others=True)
    if link is not None:
        say(f"first start: sign in once at {running.url}{settings.path_prefix}/sign-in?token={link}")
        say("             (one of the links printed by the doors is enough; the others then become invalid)")
    await leave_key(running)
    return []


def _installed() -> None:
    missing = [name for name in ("faust", "aiokafka", "aiohttp") if find_spec(name) is None]
    if missing:
        say(f"error: {', '.join(missing)} missing: pip install 'vitaltwin[distributed]'")
        sys.exit(1)
