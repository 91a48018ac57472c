"""``vitaltwin audit``: the audit trail."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from api.cli.opened import Database, done
from api.cli.output import failures, say
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor
    from streams.settings import Settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit trail: who read or changed what.")
_DAY_US = 86_400_000_000


@app.callback()
def _group() -> None:
    """Keep the group: with a single command, Typer would make the command the group."""


@app.command("export")
def export(
    *,
    days: Annotated[
        float | None, typer.Option(min=0, help="Only the last so many days.", show_default="everything")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, for its owner only.", dir_okay=False, show_default="standard output"),
    ] = None,
    database: Database = None,
) -> None:
    """Write the audit trail, oldest entry first, one JSON object per line. The export is itself recorded."""
    settings = settings_of(database=database)
    with failures():
        if out is None:
            _export(settings, days, typer.get_binary_stream("stdout"))
            return
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            count = _export(settings, days, file)
    say(f"{count} entries in {out}")


def _export(settings: "Settings", days: float | None, out: BinaryIO) -> int:
    async def work(accounts: "Accounts", by: "Actor") -> int:
        from api.doors.audit import ndjson
        from streams.clock import Clock

        since = 0 if days is None else Clock().now() - int(days * _DAY_US)
        detail = "everything" if days is None else f"the last {days:g} days"
        count = 0
        async for some in accounts.audit_entries(by, since=since, detail=detail):
            out.write(ndjson(some))
            count += len(some)
        return count

    return done(settings, work)
