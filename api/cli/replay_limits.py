"""``vitaltwin replay-limits``: what other limits or rules would have done in the last days."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.opened import Database
from api.cli.output import Failure, failures, print_json, say, table
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["replay_limits"]

_DAY_US = 86_400_000_000
_PATIENCE_S = 150.0
_SAID = {
    "answers": "what people did about alarms",
    "earlier_limits": "limits that were set differently then",
    "alarms_off": "alarms that were turned off",
    "begin": "the twins' state at the beginning",
    "arrival": "when readings arrived",
    "corrections": "corrections of readings",
}


def replay_limits(
    *,
    limits: Annotated[
        list[str] | None,
        typer.Option("--set", help="A limit or delay, like heart_rate.low=45 or glucose.low=3.9mmol/L; several times."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(help="Rules of the site instead of the present ones: TOML.", exists=True, dir_okay=False),
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Only this patient.")] = None,
    ward: Annotated[str | None, typer.Option(help="All present patients of this ward.")] = None,
    days: Annotated[float, typer.Option(min=0.001, max=31, help="The last so many days.")] = 1.0,
    stored: Annotated[
        bool, typer.Option("--stored", help="Stored readings only, as if each had arrived when it was measured.")
    ] = False,
    url: Annotated[str, typer.Option(help="The running service.", envvar="VITALTWIN_URL")] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="VITALTWIN_KEY", help="A device key with the scope patients:read.")] = "",
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the readings of a patient or a ward again with other limits or rules: alarms gained and lost. Nothing is set.

    Asks a running service; with --database it works on the embedded service's file, which may be in use.
    """
    if (patient is None) == (ward is None):
        raise typer.BadParameter("name a patient or a ward", param_hint="--patient")
    if not limits and rules is None:
        raise typer.BadParameter("give limits with --set, or --rules", param_hint="--set")
    body: dict[str, Any] = {"days": days, "source": "history" if stored else "log"}
    body |= {"patient": patient} if patient is not None else {"ward": ward}
    if limits:
        body["limits"] = _limits(limits)
    if rules is not None:
        try:
            body["rules"] = tomllib.loads(rules.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{rules.name} is no TOML: {error}", param_hint="--rules") from error
    with failures():
        found = _asked(url, key, body) if database is None else _run(settings_of(database=database), body)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _limits(given: list[str]) -> dict[str, dict[str, Any]]:
    """``heart_rate.low=45`` and ``glucose.low=3.9mmol/L`` as the body of a request."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, sign, amount = text.partition("=")
        signal, dot, bound = name.strip().partition(".")
        digits = len(amount) - len(amount.lstrip("+-0123456789.eE"))
        try:
            value = float(amount[:digits])
        except ValueError:
            value = float("nan")
        if not sign or not dot or value != value:  # noqa: PLR0124 - not a number
            raise typer.BadParameter(f"{text!r} is not like heart_rate.low=45", param_hint="--set")
        limits = found.setdefault(signal, {})
        limits[bound] = value
        unit = amount[digits:].strip()
        if unit and limits.setdefault("unit", unit) != unit:
            raise typer.BadParameter(f"{signal} has two units", param_hint="--set")
    return found


def _asked(url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    from streams.recordings.client import Door

    try:
        door = Door(url, key, _PATIENCE_S)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error
    with door:
        return door.send("/v1/limits/preview", body)


def _run(settings: "Settings", body: dict[str, Any]) -> dict[str, Any]:
    import msgspec
    from pydantic import ValidationError

    from api.cli.offline_preview import run
    from api.http.problems import Problem

    if not settings.database.exists():
        raise Failure(f"there is no {settings.database}; name the service's file with --database")
    say("restoring the twins from the file")
    try:
        answer: dict[str, Any] = msgspec.to_builtins(run(settings, body))
    except Problem as problem:
        first = problem.faults[0] if problem.faults else None
        raise Failure(f"{first.field}: {first.detail or problem.detail}" if first else problem.detail) from problem
    except ValidationError as error:
        first_error = error.errors()[0]
        raise typer.BadParameter(first_error["msg"], param_hint=".".join(map(str, first_error["loc"]))) from error
    return answer


def _show(found: dict[str, Any]) -> None:
    present, changed = found["present"], found["changed"]
    rows = [[name, f"{present[name]:g}", f"{changed[name]:g}"] for name in ("alarms", "rises", "sustained", "true_s")]
    names = sorted({*present["by_condition"], *changed["by_condition"]})
    rows += [
        [name, str(present["by_condition"].get(name, 0)), str(changed["by_condition"].get(name, 0))] for name in names
    ]
    whole = f"{found['patients']} patients, {found['readings']:,} readings, {found['start']} to {found['end']}"
    table(whole, ["alarms", "as set now", "changed"], rows)
    for name in ("lost", "gained"):
        listed = [
            [
                one["patient"],
                one["condition"],
                one["signal"],
                one["onset"],
                one["end"] or "goes on",
                f"{one['extreme'] or 0:g}",
            ]
            for one in found[name][:20]
        ]
        if listed:
            more = f", the first {len(listed)}" if found[f"{name}_count"] > len(listed) else ""
            columns = ["patient", "condition", "signal", "onset", "end", "worst"]
            table(f"{found[f'{name}_count']} {name}{more}", columns, listed)
    say(
        f"{found['lost_count']} lost, {found['lost_sustained']} of them lasted 60 s or more; {found['gained_count']} gained"
    )
    say(f"readings from {' and '.join(one['source'] for one in found['parts']) or 'nowhere'}; not reproduced: "
        f"{', '.join(_SAID.get(one, one) for one in found['missing'])}")  # fmt: skip
