"""``vitaltwin account``: people who can sign in."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.opened import Database, done
from api.cli.output import print_json, say
from api.cli.serve import address, settings_of

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Accounts: list them, or make a sign-in link.")


@app.command("list")
def list_accounts(
    *, database: Database = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """List all accounts: name, role, wards, whether it is disabled."""

    async def work(accounts: "Accounts", by: "Actor") -> list[dict[str, object]]:
        return [
            {"name": one.name, "role": one.role, "wards": list(one.wards), "disabled": one.disabled}
            for one in await accounts.list_accounts(by)
        ]

    found = done(settings_of(database=database), work)
    if as_json:
        print_json({"accounts": found})
        return
    for one in found:
        wards = ", ".join(one["wards"]) or "no ward"  # type: ignore[arg-type] # names
        typer.echo(f"{one['name']:<24} {one['role']:<10} {'disabled  ' if one['disabled'] else ''}{wards}")


@app.command("link")
def link(
    name: Annotated[str, typer.Argument(help="The account's name, as in `vitaltwin account list`.")],
    *,
    url: Annotated[
        str,
        typer.Option(help="Where browsers reach the service.", show_default="http://127.0.0.1:8000, by the settings"),
    ] = "",
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Make a one-time link to sign in and set a password. It works once, within a day.

    Use it for people who have lost their password, also for the only administrator. Earlier links of the account become invalid.
    """
    settings = settings_of(database=database)
    token = done(settings, lambda accounts, by: accounts.sign_in_link(by, name))
    base = url.rstrip("/") or address(settings.host, settings.port) + settings.path_prefix
    found = f"{base}/sign-in?token={token}"
    if as_json:
        print_json({"address": found})
        return
    say(f"signs {name} in once, within a day:")
    typer.echo(found)
