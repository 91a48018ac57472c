"""``vitaltwin alarms``: the table of an alarm's states, and the site's policy about alarms."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import escalation
from api.cli.opened import Database
from api.cli.output import Failure, failures, print_json, say
from api.cli.rules import AccountName, Json, Url
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.cli.administrator import Administrator

__all__ = ["app", "policy"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="How alarms behave. See docs/alarms.md.")
policy = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The policy about alarms: what latches, longest pauses, reminders. A file in TOML has what differs from the default.",
)
app.add_typer(policy, name="policy")
app.add_typer(escalation.app, name="escalation")
app.command("on-call")(escalation.on_call)
File = Annotated[Path, typer.Argument(help="A policy in TOML (or .json).", exists=True, dir_okay=False)]
Ward = Annotated[str, typer.Option(help="A ward.", show_default="the whole site")]
_URL = "http://127.0.0.1:8000"


@app.command("table")
def table() -> None:
    """Print the table of states and events of an alarm, and that of its signals, as Markdown."""
    from twins.alarms.table import markdown

    typer.echo(markdown(), nl=False)


@policy.command("check")
def check(file: File, *, as_json: Json = False) -> None:
    """Check a file without a service. Exit code 1 if there is a mistake."""
    with failures():
        _, found = _read(file)
    if as_json:
        print_json({"valid": not found, "errors": [{"field": place, "detail": detail} for place, detail in found]})
    elif not found:
        typer.echo(f"{file}: no mistake")
    else:
        _report(file, found)
    if found:
        raise typer.Exit(1)


@policy.command("set")
def set_policy(
    file: File,
    *,
    ward: Ward = "",
    url: Url = _URL,
    account: AccountName = "",
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Replace the policy of a running service, for the whole site or for one ward."""
    with failures():
        written, found = _read(file)
        if found:
            _report(file, found)
            raise Failure("nothing was set")
        service = _administrator(url, account, database)
        try:
            answer = service.put(_path(ward), written)
        finally:
            service.close()
    _print(answer, as_json=as_json)


@policy.command("show")
def show(
    *, ward: Ward = "", url: Url = _URL, account: AccountName = "", database: Database = None, as_json: Json = False
) -> None:
    """Show the policy in force, for the whole site or in one ward."""
    with failures():
        service = _administrator(url, account, database)
        try:
            answer = service.get(_path(ward))
        finally:
            service.close()
    _print(answer, as_json=as_json)


def _administrator(url: str, account: str, database: Path | None) -> "Administrator":
    from api.cli.administrator import Administrator

    return Administrator(url, account, settings_of(database=database))


def _path(ward: str) -> str:
    from urllib.parse import quote

    return f"/v1/alarm-policy?ward={quote(ward, safe='')}" if ward else "/v1/alarm-policy"


def _read(file: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What a file says, and its mistakes (place, what is allowed)."""
    import json
    import tomllib

    from twins.alarms.policy import read_policy

    try:
        text = file.read_text("utf-8")
        written = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (UnicodeDecodeError, ValueError) as error:
        raise Failure(f"{file} cannot be read: {error}") from error
    return written, [(one.field, one.detail) for one in read_policy(written)[1]]


def _report(file: Path, found: list[tuple[str, str]]) -> None:
    for place, detail in found:
        say(f"{file}: {place or 'the file'}: {detail}")


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    by = f", set by {answer['set_by']} at {answer['set_at']}" if answer["set_at"] else ", nothing set here"
    say(f"{answer['ward'] or 'the whole site'}{by}; * is set here")
    given = answer["given"]
    for name, value in answer["in_force"].items():
        if isinstance(value, dict):
            for key, one in value.items():
                mark = "*" if key in given.get(name, {}) else " "
                typer.echo(f"{mark} {f'{name}.{key}':<34} {_text(one)}")
        else:
            typer.echo(f"{'*' if name in given else ' '} {name:<34} {_text(value)}")


def _text(value: float) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"
