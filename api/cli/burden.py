"""``vitaltwin burden``: how many alarms there were, what became of them, and how that compares with guidelines."""

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from api.cli.opened import Database, done
from api.cli.output import Failure, failures, print_json, table
from api.cli.serve import settings_of

if TYPE_CHECKING:
    from api.accounts import Accounts, Actor
    from streams.settings import Settings

__all__ = ["burden"]

_DAY_US = 86_400_000_000


def burden(
    *,
    ward: Annotated[str | None, typer.Option(help="Only this ward.", show_default="all")] = None,
    days: Annotated[float, typer.Option(min=0.001, max=400, help="The last so many days.")] = 1.0,
    zone: Annotated[str, typer.Option(help="Time zone of the hours, like Europe/Berlin.")] = "UTC",
    url: Annotated[
        str,
        typer.Option(help="Ask a running service over HTTP instead of reading its file.", envvar="VITALTWIN_URL"),
    ] = "",
    key: Annotated[
        str, typer.Option(envvar="VITALTWIN_KEY", help="With --url: a device key with the scope patients:read.")
    ] = "",
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Print the burden of alarms: rates, floods, answers, the most frequent sources, and guidelines.

    By default it reads the file of the embedded service, which may be running.
    """
    with failures():
        found = _asked(url, key, ward, days, zone) if url else _read(settings_of(database=database), ward, days, zone)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _asked(url: str, key: str, ward: str | None, days: float, zone: str) -> dict[str, Any]:
    from api.http.answers import iso
    from streams.recordings.client import Door

    try:
        door = Door(url, key)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error
    with door:
        now, _ = door.clock()
        query = {"start": iso(now - int(days * _DAY_US)), "zone": zone} | ({} if ward is None else {"ward": ward})
        return door.get(f"/v1/alarm-burden?{urlencode(query)}")


def _read(settings: "Settings", ward: str | None, days: float, zone: str) -> dict[str, Any]:
    """From the service's file; the period ends now, or with the newest alarm where the file's clock is ahead."""
    import msgspec

    from api.doors.burden import burden_answer, hours_of, zone_named
    from api.http.problems import Problem
    from streams.clock import Clock
    from streams.history import SqliteHistory
    from streams.history.burden import TooMany, burden_of

    async def work(accounts: "Accounts", by: "Actor") -> dict[str, Any]:
        history = SqliteHistory(settings.database)
        try:
            newest = await history.alarms(None, 0, 1 << 62, limit=1)
            end = max([Clock().now(), *(one.time for one in newest.items)]) + 1
            start = end - int(days * _DAY_US)
            wards = None if ward is None else [ward]
            made = await burden_of(history, start, end, wards, hours_of(zone_named(zone)))
        except TooMany as error:
            raise Failure(str(error)) from error
        finally:
            history.close()
        accounts.audit(by, "alarm_burden.read", detail=f"the last {days:g} days{f' ward {ward}' if ward else ''}")
        answer: dict[str, Any] = msgspec.to_builtins(burden_answer(made, ward, zone))
        return answer

    try:
        return done(settings, work)
    except Problem as problem:
        raise typer.BadParameter(problem.detail, param_hint="--zone") from problem


def _show(found: dict[str, Any]) -> None:
    answers = found["answers"]
    whose = "all wards" if found["ward"] is None else f"ward {found['ward']}"
    rows = [
        ["alarms", str(found["alarms"])],
        ["rises of priority", str(found["rises"])],
        ["patient-days", _number(found["patient_days"])],
        ["alarms per patient-day", _number(found["per_patient_day"])],
        ["alarms per 10 min", _number(found["per_10_min"])],
        ["most within 10 min", str(found["most_in_10_min"])],
        ["busiest ward", found["band"]],
        ["floods", str(len(found["floods"]))],
        ["acknowledged", _percent(answers["acknowledged_share"])],
        ["median s until acknowledged", _number(answers["median_s"])],
        ["ended by themselves within 10 s", _percent(answers["ended_soon_share"])],
    ]
    table(f"Alarms of {whose}, {found['start']} to {found['end']}", ["figure", "value"], rows)
    for title, name in (("By priority", "by_priority"), ("By condition", "by_condition"), ("By ward", "by_ward")):
        table(
            title,
            [title[3:], "alarms", "per patient-day", "acknowledged", "over in 10 s"],
            [
                [
                    one["name"] or "–",
                    str(one["alarms"]),
                    _number(one["per_patient_day"]),
                    _share(one, "acknowledged"),
                    _share(one, "ended_soon"),
                ]
                for one in found[name]
            ],
        )
    table(
        "Most frequent sources",
        ["patient", "condition", "signal", "alarms", "share"],
        [
            [one["patient"], one["condition"], one["signal"], str(one["alarms"]), _percent(one["share"])]
            for one in found["sources"]
        ],
    )
    table(
        "Guidelines (ISA-18.2, EEMUA 191), busiest ward",
        ["guideline", "found", "at most", "met"],
        [
            [
                one["name"],
                _number(one["value"]),
                _number(one["limit"]),
                {True: "yes", False: "no", None: "–"}[one["met"]],
            ]
            for one in found["guidelines"]
        ],
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _share(group: dict[str, Any], name: str) -> str:
    return _percent(group[name] / group["alarms"] if group["alarms"] else None)
