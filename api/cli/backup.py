"""``vitaltwin backup`` and ``restore``: copy the service's file while it runs, and restore such a copy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import failures, print_json, say
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from streams.embedded.backup import Copied

__all__ = ["backup", "restore"]

_DATABASE = typer.Option(help="The service's file.", dir_okay=False, show_default="vitaltwin.db")
_JSON = typer.Option("--json", help="Print the contents of the copy as JSON.")


def backup(
    file: Annotated[Path, typer.Argument(help="The copy; the file must not exist yet.", dir_okay=False)],
    *,
    database: Annotated[Path | None, _DATABASE] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Copy the service's file while it runs, as of one moment, and verify the copy. No other way of copying is safe."""
    with failures():
        from streams.embedded.backup import backup as copy

        copied = copy(settings_of(database=database).database, file)
    _print(file, copied, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A copy made by backup.", exists=True, dir_okay=False)],
    *,
    database: Annotated[Path | None, _DATABASE] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Verify a copy and make it the service's file. The present file is renamed, not deleted. Stop the service first."""
    with failures():
        from streams.embedded.backup import restore_backup

        place = settings_of(database=database).database
        copied, aside = restore_backup(file, place)
    _print(place, copied, as_json=as_json)
    if aside is not None:
        say(f"the earlier file is now {aside}")


def _print(place: Path, copied: "Copied", *, as_json: bool) -> None:
    from api.http.answers import iso

    if as_json:
        print_json({"file": str(place), "bytes": copied.bytes, "newest": iso(copied.newest), "rows": copied.rows})
        return
    records, patients = copied.rows["log"], copied.rows.get("checkpoints", 0)
    say(
        f"{place}: {copied.bytes / 1e6:,.1f} MB, verified; {records:,} records of the log, {patients:,} checkpoints,"
        f" newest of {iso(copied.newest)}"
    )
