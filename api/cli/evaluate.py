"""``vitaltwin evaluate``: how good the forecasts and alarms are on a recorded file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import failures, print_json, progress, table
from api.cli.replay import load

if TYPE_CHECKING:
    from streams.recordings.evaluate import Evaluation

__all__ = ["evaluate"]


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="CSV or CSV.gz: patient,time,signal,value,unit", exists=True, dir_okay=False)
    ],
    *,
    signals: Annotated[str, typer.Option(help="Only these signals, separated by commas.")] = "",
    limit_patients: Annotated[int | None, typer.Option(min=1, help="Only this many patients.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Stream a recorded file through the twins and score forecasts and alarms, using only past readings.

    Skill is 1 - RMSE / RMSE of persistence; coverage is the share of readings inside the 50, 80 and 95 % bands.
    """
    from streams.recordings.evaluate import evaluate as run

    with failures():
        recording = load(file, signals=signals, limit_patients=limit_patients)
        with progress() as bars:
            task = bars.add_task("streaming through the twins", total=len(recording))
            result = run(recording, lambda done: bars.update(task, completed=done))
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(result))
    else:
        _print(result)


def _print(result: "Evaluation") -> None:
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
    for name, signal in result.signals.items():
        alarms = signal.hypo_alarms
        if alarms is not None:
            table(
                f"{name}: predicted low, events of at least 15 min below 70 mg/dL, 5 to 45 min ahead",
                ["events", "days", "alarms", "sensitivity", "precision", "false / day", "lead min"],
                [[str(alarms.events), f"{alarms.days:.1f}", str(alarms.alarms), f"{alarms.sensitivity:.3f}",
                  f"{alarms.precision:.2f}", f"{alarms.false_alarms_per_day:.2f}", f"{alarms.lead_min:.0f}"]],
            )  # fmt: skip
