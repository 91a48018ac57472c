"""What ``vitaltwin evaluate`` prints for people: tables, each with a sentence that says what it means."""

from math import isfinite
from typing import TYPE_CHECKING

import typer

from api.cli.output import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.recordings.chances import ChanceScores, Side, Warned
    from streams.recordings.evaluate import Evaluation
    from streams.recordings.groups import Group

__all__ = ["show"]

_SHOWN_MIN = ("30", "60")
"""Horizons whose groups are printed; if a signal has neither, its first one. JSON has all."""
_FEWEST_IN_BIN = 10
_FEWEST_EVENTS = 10
_KINDS = {"within_30_min": "in 30 min", "next_reading": "next reading"}
_GROUPS = {"after_step": "after a step", "lowest_tenth": "lowest tenth", "highest_tenth": "highest tenth"}


def show(result: "Evaluation") -> None:
    """Print all tables that have rows."""
    _horizons(result)
    _groups(result)
    _chances(result)
    _reliability(result)
    _warnings(result)
    _hypo_alarms(result)


def _horizons(result: "Evaluation") -> None:
    rows = []
    for name, signal in result.signals.items():
        for minutes, score in signal.horizons.items():
            median = signal.median[minutes]
            rows.append(
                [
                    name, minutes, f"{score.pairs:,}", f"{score.rmse:.2f}", f"{score.mae:.2f}", f"{score.crps:.2f}",
                    *(f"{100 * share:.0f}" for share in score.coverage.values()),
                    f"{score.skill:+.3f}", f"{median['rmse']:.2f}", f"{median['skill']:+.3f}",
                ]
            )  # fmt: skip
    title = f"{result.file}: {result.readings:,} readings of {result.patients} patients"
    columns = ["signal", "min", "pairs", "RMSE", "MAE", "CRPS", "50 %", "80 %", "95 %", "skill", "RMSE*", "skill*"]
    table(title, columns, rows)
    typer.echo("* median over patients")


def _groups(result: "Evaluation") -> None:
    rows = []
    for name, signal in result.signals.items():
        shown = [minutes for minutes in _SHOWN_MIN if minutes in signal.groups] or list(signal.groups)[:1]
        for minutes in shown:
            for group in signal.groups[minutes]:
                shares = (f"{100 * share:.0f}" for share in (group.coverage, group.below, group.above))
                rows.append([name, minutes, _group(group), f"{group.pairs:,}", *shares])
    if not rows:
        return
    table("Where the 80 % band holds", ["signal", "min", "group", "pairs", "inside %", "below %", "above %"], rows)
    _say(
        "Of 100 readings, about 80 should lie inside the band, 10 below it and 10 above it, in every group.",
        "A level is the reading at which the forecast was made. After a step: made at most 30 min after a reading",
        "that was 4 spreads or more off its forecast. Lowest and highest tenth: the patients whose own coverage is",
        "lowest and highest; with few readings a patient, they differ by chance alone. Groups of fewer than 300",
        "readings are left out.",
    )


def _group(group: "Group") -> str:
    if group.group != "level":
        return _GROUPS[group.group]
    if group.begin is None:
        return f"below {group.end:g}"
    return f"{group.begin:g} and above" if group.end is None else f"{group.begin:g} to {group.end:g}"


def _limits(result: "Evaluation") -> "Iterator[tuple[str, str, Side]]":
    """Signal, limit in words, and scores of each limit."""
    for name, signal in result.signals.items():
        for side in signal.crossings:
            yield name, f"{'below' if side.side == 'low' else 'above'} {side.limit:g}", side


def _chances(result: "Evaluation") -> None:
    rows = [
        [
            name, limit, _KINDS[one.kind], f"{one.count:,}", f"{one.events:,}", f"{100 * one.stated:.1f}",
            f"{100 * one.true:.1f}", _signed(one.skill), f"{one.ece:.3f}",
        ]
        for name, limit, side in _limits(result) for one in side.chances
    ]  # fmt: skip
    if not rows:
        return
    columns = ["signal", "limit", "a reading", "chances", "came", "stated %", "came %", "skill", "error"]
    table("The stated chance of a reading beyond a limit", columns, rows)
    _say(
        "Stated: the mean of the chances that were stated. Came: how many of these readings came. The two shares",
        "should be equal. Skill compares the chances with always stating the share that came: 1 is perfect, 0 is no",
        "better, below 0 is worse. Error is the mean distance between stated chance and share that came, over ten",
        "bins; 0.05 means 5 of 100. With fewer than 50 that came, skill and error are mostly luck.",
    )


def _reliability(result: "Evaluation") -> None:
    rows = []
    for name, limit, side in _limits(result):
        for one in side.chances:
            if one.events >= _FEWEST_EVENTS:
                rows.append([name, limit, "came %", *_true(one)])
                rows.append(["", _KINDS[one.kind], "chances", *(_short(each.count) for each in one.bins)])
    if not rows:
        return
    columns = ["signal", "limit", "", *(f"{10 * at}–" for at in range(9)), "90–100 %"]
    table("What became of the stated chances, by tenths", columns, rows)
    _say(
        "Of the chances between 30 and 40 %, for example, between 30 and 40 of 100 should have come.",
        f"A bin with fewer than {_FEWEST_IN_BIN} chances has no share. Limits that fewer than {_FEWEST_EVENTS} readings",
        "crossed are left out.",
    )


def _true(one: "ChanceScores") -> list[str]:
    return [f"{100 * each.true:.0f}" if each.count >= _FEWEST_IN_BIN else "" for each in one.bins]


def _warnings(result: "Evaluation") -> None:
    rows = [
        [name, limit, f"{side.crossings:,}", f"{side.warned:,}", *_warned(side.first), *_warned(side.beside)]
        for name, limit, side in _limits(result)
        if side.crossings or side.first.raised or side.beside.raised
    ]
    if not rows:
        return
    columns = ["signal", "limit", "crossings", "warned", "first", "true %", "lead", "beside", "true %", "lead"]
    table("Warnings: alarms of a predicted crossing", columns, rows)
    _say(
        "Crossings: readings beyond the limit with none beyond it in the 30 min before; warned: with a warning in",
        "that time. First warnings were raised while no limit alarm of the patient was on, the others beside one.",
        "True: the share that a reading beyond the limit followed, among those whose end is known. Lead: how many",
        "minutes ahead the true ones were (median).",
    )


def _warned(one: "Warned") -> list[str]:
    share = f"{100 * one.true / one.judged:.0f}" if one.judged else ""
    return [f"{one.raised:,}", share, f"{one.lead_min:.0f}" if isfinite(one.lead_min) else ""]


def _hypo_alarms(result: "Evaluation") -> None:
    for name, signal in result.signals.items():
        alarms = signal.hypo_alarms
        if alarms is not None:
            table(
                f"{name}: predicted low, events of at least 15 min below 70 mg/dL, 5 to 45 min ahead",
                ["events", "days", "alarms", "sensitivity", "precision", "false / day", "lead min"],
                [[str(alarms.events), f"{alarms.days:.1f}", str(alarms.alarms), f"{alarms.sensitivity:.3f}",
                  f"{alarms.precision:.2f}", f"{alarms.false_alarms_per_day:.2f}", f"{alarms.lead_min:.0f}"]],
            )  # fmt: skip


def _signed(figure: float) -> str:
    return f"{figure:+.2f}" if isfinite(figure) else ""


def _short(count: int) -> str:
    """A count in at most four characters.

    >>> _short(812), _short(1_234), _short(31_839), _short(2_000_000)
    ('812', '1.2k', '32k', '2M')
    """
    if count < 1_000:
        return str(count)
    if count < 1_000_000:
        return f"{count / 1_000:.1f}k" if count < 9_950 else f"{count / 1_000:.0f}k"
    return f"{count / 1_000_000:.0f}M"


def _say(*lines: str) -> None:
    typer.echo("\n".join(lines))
