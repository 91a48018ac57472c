"""``vitaltwin device``: the keys by which devices and programs speak."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.opened import Database, done
from api.cli.output import print_json, say
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Device keys: make, list or revoke them.")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the device is called.")],
    *,
    ward: Annotated[
        list[str] | None, typer.Option(help="A ward it reaches, '*' for all; may be given several times.")
    ] = None,
    patient: Annotated[list[str] | None, typer.Option(help="A patient it reaches; may be given several times.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="observations:write, facts:write or patients:read; may be given several times.",
            show_default="observations:write",
        ),
    ] = None,
    may_admit: Annotated[
        bool, typer.Option("--may-admit", help="Its readings admit patients whom nobody has admitted.")
    ] = False,
    second_source: Annotated[
        bool, typer.Option("--second-source", help="It is the second to measure what it does.")
    ] = False,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            help="The unit of a signal's readings that name none, as glucose=mmol/L; may be given several times."
        ),
    ] = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Make a key and print it, this once. A running service knows it from its first use on."""
    units = dict(said.split("=", 1) for said in unit or () if "=" in said)
    if len(units) < len(unit or ()):
        raise typer.BadParameter("say signal=unit, each signal once", param_hint="--unit")

    async def work(accounts: "Accounts", by: "Actor") -> dict[str, str]:
        made = await accounts.create_device(
            by,
            name,
            scopes=scope or ("observations:write",),
            wards=ward or (),
            patients=patient or (),
            may_admit=may_admit,
            second_source=second_source,
            units=units,
        )
        return {"key": made.key, "id": made.device.id}

    found = done(settings_of(database=database), work)
    if as_json:
        print_json(found)
        return
    if not ward and not patient:
        say("warning: without --ward or --patient it reaches nobody")
    typer.echo(found["key"])


@app.command("list")
def list_devices(
    *, database: Database = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """List every key that is not revoked: id, name, reach."""

    async def work(accounts: "Accounts", by: "Actor") -> list[dict[str, object]]:
        return [
            {
                "id": one.id,
                "name": one.name,
                "scopes": list(one.scopes),
                "wards": list(one.wards),
                "patients": list(one.patients),
                "may_admit": one.may_admit,
                "units": one.units,
            }
            for one in await accounts.list_devices(by)
            if one.revoked is None
        ]

    found = done(settings_of(database=database), work)
    if as_json:
        print_json({"devices": found})
        return
    for one in found:
        admits = ", may admit" if one["may_admit"] else ""
        reach = ", ".join([*one["wards"], *one["patients"]]) or "nobody"  # type: ignore[misc] # names
        typer.echo(f"{one['id']}  {one['name']:<24} {reach}{admits}")


@app.command("revoke")
def revoke(
    device: Annotated[str, typer.Argument(help="Its id, as `vitaltwin device list` shows it.")],
    *,
    database: Database = None,
) -> None:
    """Refuse a key; a running service does so within some seconds."""
    done(settings_of(database=database), lambda accounts, by: accounts.revoke_device(by, device))
    say(f"{device} is revoked")
