"""Opens the accounts database for commands on the service's machine. The service may be running or stopped."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.cli.output import Failure, failures
from api.cli.serve import accounts_url

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor
    from streams.settings import Settings

__all__ = ["Database", "done"]

T = TypeVar("T")
Database = Annotated[
    Path | None,
    typer.Option(
        help="The embedded service's file.", dir_okay=False, show_default="vitaltwin.db, or as the settings say"
    ),
]


def done(settings: "Settings", work: "Callable[[Accounts, Actor], Awaitable[T]]") -> T:
    """Run ``work`` as the user of this terminal and return its result. A failure prints one line and exits with 1."""

    async def run() -> T:
        async with _opened(settings) as (accounts, by):
            return await work(accounts, by)

    with failures():
        return asyncio.run(run())


@asynccontextmanager
async def _opened(settings: "Settings") -> "AsyncIterator[tuple[Accounts, Actor]]":
    """The accounts of a service, and the user of this terminal; nothing is created."""
    from msgspec import structs

    from api.accounts import Accounts
    from api.accounts.examination import examine
    from streams.clock import Clock

    if not settings.accounts_database and not settings.database.exists():
        raise Failure(f"there is no {settings.database}; name the service's file with --database")
    seen = await examine(accounts_url(settings))
    if seen.revision != seen.wanted:
        state = "no accounts yet" if seen.revision is None else "accounts of another version"
        raise Failure(f"{seen.where} has {state}: start the service of this version with it once")
    accounts = Accounts(accounts_url(settings), Clock())
    system = accounts.system_actor()
    await accounts.open()
    try:
        yield accounts, structs.replace(system, name=f"{system.name} ({_user()})")
    finally:
        await accounts.close()


def _user() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return f"user {os.getuid()}"
