"""``vitaltwin fit --chances``: fits how stated chances are recalibrated."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.cli.output import Failure, failures, print_json, progress, table

if TYPE_CHECKING:
    from streams.recordings.chance_fit import ChanceFit, ChancesFit
    from streams.recordings.recording import Recording
    from twins.models.channel.recalibration import Recalibration

__all__ = ["fit_chances", "read_all", "row_of_chance"]


def fit_chances(files: list[Path], signals: list[str], *, as_json: bool) -> None:
    """Fit, and print the rows of ``twins/models/channel/recalibration.py`` and the scores of held-out patients."""
    from twins.signals import BY_NAME

    unknown = sorted(name for name in signals if name not in BY_NAME or not BY_NAME[name].filtered)
    if unknown:
        raise typer.BadParameter(f"unknown or not filtered: {', '.join(unknown)}", param_hint="--signal")
    with failures():
        found = _fit(read_all(files), signals)
        if not found.fits:
            raise Failure("too few readings beyond a limit to fit on: no signal has 20")
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found) | {"files": [file.name for file in files]})
        return
    table(
        "held-out patients: Brier skill and expected calibration error, of raw and of stated chances",
        ["signal", "kind", "side", "file", "chances", "events", "skill", "error", "skill stated", "error stated"],
        [row for one in found.fits for row in _scores(one)],
    )
    for one in found.fits:
        typer.echo(f"    {row_of_chance((one.signal, one.kind, one.side), one.result)}")
    typer.echo("others:")
    for kind, sides in found.others.items():
        for side, result in sides.items():
            typer.echo(f"    {row_of_chance((kind, side), result)}")


def row_of_chance(key: tuple[str, ...], one: "Recalibration") -> str:
    """A row for ``twins/models/channel/recalibration.py``, with three digits."""
    names = ", ".join(f'"{word}"' for word in key)
    return f"({names}): Recalibration({one.slope:.3g}, {one.offset:.3g}, {one.precision:.3g}),"


def read_all(files: list[Path]) -> "list[Recording]":
    """Read recorded files, with progress bars."""
    from streams.recordings.recording import read

    recordings = []
    with progress() as bars:
        for file in files:
            task = bars.add_task(f"reading {file.name}", total=file.stat().st_size)
            recordings.append(read(file, lambda done, task=task: bars.update(task, completed=done)))  # type: ignore[misc]
    return recordings


def _fit(recordings: "list[Recording]", signals: list[str]) -> "ChancesFit":
    from streams.recordings.chance_fit import fit_chances as run

    with progress() as bars:
        tasks = {one.name: bars.add_task(f"streaming {one.name}", total=len(one)) for one in recordings}
        fitting = bars.add_task("fitting", total=None)
        return run(
            recordings, signals,
            read=lambda name, done: bars.update(tasks[name], completed=done),
            fitted=lambda name: bars.update(fitting, description=f"fitted {name}"),
        )  # fmt: skip


def _scores(one: "ChanceFit") -> list[list[str]]:
    return [
        [
            one.signal, one.kind, one.side, file.file, f"{file.chances:,}", f"{file.events:,}", f"{file.raw_skill:+.3f}",
            f"{file.raw_ece:.3f}", f"{file.skill:+.3f}", f"{file.ece:.3f}",
        ]
        for file in one.held_out
        if file.events
    ]  # fmt: skip
