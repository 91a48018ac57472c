"""``vitaltwin doctor``: checks the configuration and everything that the service needs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import failures, print_json
from api.cli.serve import settings_of

__all__ = ["doctor"]

_SPREAD = ("VITALTWIN_KAFKA_", "VITALTWIN_INFLUX_", "VITALTWIN_ACCOUNTS_DATABASE")


def doctor(
    *,
    distributed: Annotated[
        bool | None,
        typer.Option(
            "--distributed/--embedded",
            help="The type of service to check.",
            show_default="distributed if its settings are given",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port of the service to check.")] = None,
    database: Annotated[Path | None, typer.Option(help="The embedded service's file.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check everything that a service needs. Exit code 1 if something is wrong.

    For the distributed service: Kafka and its topics, the workers and their lag, InfluxDB, accounts, and the parts that
    run on this machine.
    """
    from api.cli.doctor import local, spread

    with failures():
        settings = settings_of(port=port, database=database)
        if distributed is None:
            distributed = any(name.startswith(_SPREAD) for name in os.environ)
        looks = local.MACHINE + (spread.LOOKS if distributed else local.EMBEDDED)
        found = [finding for look in looks for finding in look(settings)]
    wrong = [finding for finding in found if finding.state == "wrong"]
    if as_json:
        print_json({"good": not wrong, "findings": [finding._asdict() for finding in found]})
    else:
        marks = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}
        for finding in found:
            typer.echo(f"{marks[finding.state]}  {finding.name:<18} {finding.detail}")
        typer.echo(f"\n{len(wrong)} wrong" if wrong else "\nnothing wrong")
    if wrong:
        raise typer.Exit(1)
