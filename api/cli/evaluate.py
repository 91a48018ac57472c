"""``vitaltwin evaluate``: how good the forecasts and alarms are on a recorded file."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import Failure, failures, print_json, progress, say
from api.cli.replay import load

__all__ = ["evaluate"]


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="CSV or CSV.gz: patient,time,signal,value,unit", exists=True, dir_okay=False)
    ],
    *,
    signals: Annotated[str, typer.Option(help="Only these signals, separated by commas.")] = "",
    limit_patients: Annotated[int | None, typer.Option(min=1, help="Only this many patients.")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only patients at odd places by id: `fit` uses those at even places.")
    ] = False,
    diagrams: Annotated[
        Path | None, typer.Option(help="Also write reliability diagrams (SVG) to this folder.", file_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Stream a recorded file through the twins and score forecasts and alarms, using only past readings.

    Skill is 1 - RMSE / RMSE of persistence; coverage is the share of readings inside the 50, 80 and 95 % bands. Stated
    chances of a reading beyond a limit are compared with what came; the diagrams show those with 50 events or more.
    """
    from streams.recordings.evaluate import evaluate as run

    with failures():
        recording = load(file, signals=signals, limit_patients=None if held_out else limit_patients)
        if held_out:
            recording = recording.of_patients(sorted(recording.columns.patients)[1::2], limit_patients)
            if not len(recording):
                raise Failure(f"{file.name} has a single patient: none is held out")
        with progress() as bars:
            task = bars.add_task("streaming through the twins", total=len(recording))
            result = run(recording, lambda done: bars.update(task, completed=done))
        if diagrams is not None:
            from api.cli.diagrams import write_diagrams

            for path in write_diagrams(result, diagrams):
                say(f"wrote {path}")
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(result))
    else:
        from api.cli.evaluated import show

        show(result)
