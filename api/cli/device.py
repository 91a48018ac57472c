"""``vitaltwin device``: the keys of devices and programs."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.opened import Database, done
from api.cli.output import print_json, say
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Device keys: create, list or revoke them.")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The device's name.")],
    *,
    ward: Annotated[list[str] | None, typer.Option(help="A ward it reaches, '*' for all; may be repeated.")] = None,
    patient: Annotated[list[str] | None, typer.Option(help="A patient it reaches; may be repeated.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="observations:write, facts:write or patients:read; may be repeated.",
            show_default="observations:write",
        ),
    ] = None,
    may_admit: Annotated[bool, typer.Option("--may-admit", help="Its readings admit unknown patients.")] = False,
    second_source: Annotated[
        bool,
        typer.Option(
            "--second-source", help="It is a second source: another device of the patient measures the same quantity."
        ),
    ] = False,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            help="The unit of a signal's readings without a unit, for example glucose=mmol/L; may be repeated."
        ),
    ] = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Create a key and print it, only this once. A running service accepts it at once."""
    units = dict(said.split("=", 1) for said in unit or () if "=" in said)
    if len(units) < len(unit or ()):
        raise typer.BadParameter("use signal=unit, each signal once", param_hint="--unit")

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
        say("warning: without --ward or --patient it reaches no patient")
    typer.echo(found["key"])


@app.command("list")
def list_devices(
    *, database: Database = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """List all keys that are not revoked: id, name, wards and patients."""

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
        reach = ", ".join([*one["wards"], *one["patients"]]) or "no patient"  # type: ignore[misc] # names
        typer.echo(f"{one['id']}  {one['name']:<24} {reach}{admits}")


@app.command("revoke")
def revoke(
    device: Annotated[str, typer.Argument(help="The key's id, as in `vitaltwin device list`.")],
    *,
    database: Database = None,
) -> None:
    """Revoke a key. A running service refuses it within some seconds."""
    done(settings_of(database=database), lambda accounts, by: accounts.revoke_device(by, device))
    say(f"{device} is revoked")
