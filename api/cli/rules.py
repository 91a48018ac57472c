"""``vitaltwin rules``: the site's own alarm rules."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.opened import Database
from api.cli.output import Failure, failures, print_json, say
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.cli.administrator import Administrator
    from api.rules import Read

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The site's own alarm rules, such as: SpO2 below 92 and respiratory rate above 24 for a minute. See docs/rules.md.",
)
File = Annotated[Path, typer.Argument(help="Rules in TOML (or .json).", exists=True, dir_okay=False)]
Url = Annotated[str, typer.Option(help="The running service.", envvar="VITALTWIN_URL")]
AccountName = Annotated[
    str,
    typer.Option(
        "--account",
        help="An administrator; the password comes from VITALTWIN_PASSWORD or is asked for.",
        show_default="an administrator of the service's file on this machine",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
_URL = "http://127.0.0.1:8000"


@app.command("check")
def check(file: File, *, as_json: Json = False) -> None:
    """Check a file without a service: every mistake with its line and what is allowed. Exit code 1 if there is one."""
    with failures():
        read = _read(file)
    if as_json:
        print_json({
            "valid": not read.findings, "rules": len(read.rules), "version": _version(read),
            "errors": [
                {"line": one.line, "field": one.field, "character": one.character, "detail": one.detail}
                for one in read.findings
            ],
        })  # fmt: skip
    else:
        _report(file, read)
        if not read.findings:
            typer.echo(f"{file}: {len(read.rules)} rules, version {_version(read)}")
    if read.findings:
        raise typer.Exit(1)


@app.command("set")
def set_rules(
    file: File, *, url: Url = _URL, account: AccountName = "", database: Database = None, as_json: Json = False
) -> None:
    """Replace the rules of a running service by those of a file."""
    import tomllib

    with failures():
        read = _read(file)
        if read.findings:
            _report(file, read)
            raise Failure("nothing was set")
        text = file.read_text("utf-8")
        import json

        written = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        service = _administrator(url, account, database)
        try:
            answer = service.put("/v1/rules", {"rules": [], **written})
        finally:
            service.close()
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{len(answer['rules'])} rules in force, version {answer['version']}")


@app.command("show")
def show(*, url: Url = _URL, account: AccountName = "", database: Database = None, as_json: Json = False) -> None:
    """Show the rules in force, their version, and who set them when."""
    with failures():
        service = _administrator(url, account, database)
        try:
            answer = service.get("/v1/rules")
        finally:
            service.close()
    if as_json:
        print_json(answer)
        return
    if not answer["version"]:
        typer.echo("nobody has set any rules")
        return
    say(
        f"version {answer['version']}, set by {answer['set_by'] or 'somebody'} at {answer['set_at']}, {answer['time_zone']}"
    )
    for rule in answer["rules"]:
        wait = f" for {rule['for_s']:g} s" if rule.get("for_s") else ""
        often = f", {rule['times']} times in {rule['within_s'] / 60:g} min" if rule.get("times", 1) > 1 else ""
        typer.echo(f"{rule['id']:<24} {rule.get('priority', 'medium'):<7} {rule['when']}{wait}{often}")


def _administrator(url: str, account: str, database: Path | None) -> "Administrator":
    from api.cli.administrator import Administrator

    return Administrator(url, account, settings_of(database=database))


def _read(file: Path) -> "Read":
    from api.rules import read_rules
    from streams.clock import Clock

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return read_rules(text, Clock().now(), as_json=file.suffix == ".json")


def _version(read: "Read") -> str | None:
    from twins.records import SetRules

    return None if read.findings else SetRules(rules=read.rules, zone=read.zone).version


def _report(file: Path, read: "Read") -> None:
    for one in read.findings:
        say(f"{file}: {one}")
