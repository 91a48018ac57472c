"""``vitaltwin alarms escalation``: who is called when nobody answers an alarm, and who is on call."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from api.cli.opened import Database
from api.cli.output import Failure, failures, print_json, say
from api.cli.rules import AccountName, Json, Url
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.cli.administrator import Administrator

__all__ = ["app", "on_call"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Who is called when nobody answers an alarm: chains of steps, and schedules of people. See docs/escalation.md.",
)
File = Annotated[Path, typer.Argument(help="Chains and schedules in TOML (or .json).", exists=True, dir_okay=False)]
_URL = "http://127.0.0.1:8000"


@app.command("check")
def check(file: File, *, as_json: Json = False) -> None:
    """Check a file without a service: every mistake with its place. Exit code 1 if there is one."""
    with failures():
        plan, mistakes = _read(file)
    if as_json:
        print_json({"valid": not mistakes, "errors": mistakes})
    else:
        for one in mistakes:
            say(f"{file}: {one}")
        if not mistakes:
            typer.echo(f"{file}: {len(plan.get('chains', []))} chains, {len(plan.get('schedules', []))} schedules")
    if mistakes:
        raise typer.Exit(1)


@app.command("set")
def set_escalation(
    file: File, *, url: Url = _URL, account: AccountName = "", database: Database = None, as_json: Json = False
) -> None:
    """Set the chains and schedules of a file in a running service; others stay as they are. Says what reaches nobody."""
    with failures():
        plan, mistakes = _read(file)
        if mistakes:
            for mistake in mistakes:
                say(f"{file}: {mistake}")
            raise Failure("nothing was set")
        service = _administrator(url, account, database)
        try:
            answers = [_put(service, f"/v1/schedules/{quote(one['name'])}", one, "name") for one in plan["schedules"]]
            answers += [
                _put(service, f"/v1/escalations?{_place(one)}", one, "ward", "priority") for one in plan["chains"]
            ]
        finally:
            service.close()
    if as_json:
        print_json({"set": answers})
        return
    for answer in answers:
        typer.echo(f"{_name(answer)}: set")
        _warn(answer)


@app.command("show")
def show(*, url: Url = _URL, account: AccountName = "", database: Database = None, as_json: Json = False) -> None:
    """Show chains and schedules, who is on call now, and what reaches nobody."""
    with failures():
        service = _administrator(url, account, database)
        try:
            chains, schedules = (service.get(f"/v1/{name}")["items"] for name in ("escalations", "schedules"))
        finally:
            service.close()
    if as_json:
        print_json({"chains": chains, "schedules": schedules})
        return
    if not chains:
        typer.echo("no alarm is escalated: nobody has set a chain")
    for one in chains:
        typer.echo(_name(one))
        for step in one["steps"]:
            typer.echo(f"  after {step['after_s']:g} s: {', '.join(step['to'])}")
        if one["repeat"]:
            typer.echo(f"  again {one['repeat']} times, each {one['repeat_after_s']:g} s later")
    for one in schedules:
        typer.echo(f"{_name(one)}: {', '.join(one['on_call']) or 'nobody'} on call now")
    for one in (*chains, *schedules):
        _warn(one)


def on_call(
    *,
    at: Annotated[str, typer.Option(help="The moment, ISO 8601 with a zone. Default: now.")] = "",
    url: Url = _URL,
    account: AccountName = "",
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show who is on call, by schedule."""
    with failures():
        service = _administrator(url, account, database)
        try:
            answer = service.get("/v1/on-call" + (f"?{urlencode({'at': at})}" if at else ""))
        finally:
            service.close()
    if as_json:
        print_json(answer)
        return
    for name, people in answer["schedules"].items():
        typer.echo(f"{name}: {', '.join(people) or 'nobody'}")


def _read(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The chains and schedules of a file as requests, and every mistake with its place."""
    import tomllib

    from pydantic import ValidationError

    from api.alerts.plans import Plan, chain_json, chain_of, faults_of, schedule_json, schedule_of

    try:
        text = file.read_text("utf-8")
        written = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        return {}, [str(error)]
    try:
        plan = Plan.model_validate(written)
    except ValidationError as error:
        return {}, faults_of(error)
    return {
        "chains": [chain_json(chain_of(one, one.ward, one.priority, "")) for one in plan.chains],
        "schedules": [schedule_json(schedule_of(one, one.name, "")) for one in plan.schedules],
    }, []


def _put(service: "Administrator", path: str, body: dict[str, Any], *named: str) -> dict[str, Any]:
    return service.put(path, {name: value for name, value in body.items() if name not in named})


def _place(chain: dict[str, Any]) -> str:
    return urlencode({"ward": chain["ward"], "priority": chain["priority"]})


def _name(one: dict[str, Any]) -> str:
    if "name" in one:
        return f"schedule {one['name']}"
    return f"{one['priority']} priority in {'ward ' + one['ward'] if one['ward'] else 'every ward'}"


def _warn(one: dict[str, Any]) -> None:
    for warning in one["warnings"]:
        say(f"{_name(one)}: {warning['field']}: {warning['detail']}")


def _administrator(url: str, account: str, database: Path | None) -> "Administrator":
    from api.cli.administrator import Administrator

    return Administrator(url, account, settings_of(database=database))
