"""``vitaltwin fit --bands``: fits how forecasts are corrected by level, side and after changes."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.cli.fit_chances import read_all
from api.cli.output import Failure, failures, print_json, progress

if TYPE_CHECKING:
    from twins.models.channel.corrections_fitted import Correction

__all__ = ["fit_bands", "row_of_correction"]


def fit_bands(files: list[Path], *, as_json: bool) -> None:
    """Fit, and print the rows of ``twins/models/channel/corrections_fitted.py``."""
    from streams.recordings.band_fit import fit_bands as run

    with failures():
        recordings = read_all(files)
        with progress() as bars:
            tasks = {one.name: bars.add_task(f"streaming {one.name}", total=len(one) // 2) for one in recordings}
            found = run(recordings, lambda name, done: bars.update(tasks[name], completed=done))
        if not found:
            raise Failure("no signal has two readings of one patient to fit on")
    if as_json:
        import msgspec

        rows = {name: {str(minutes): one for minutes, one in horizons.items()} for name, horizons in found.items()}
        print_json({"corrections": msgspec.to_builtins(rows), "files": [file.name for file in files]})
        return
    for name, horizons in found.items():
        typer.echo(f'    "{name}": {{')
        for minutes, one in horizons.items():
            typer.echo(f"        {minutes}: {row_of_correction(one)},")
        typer.echo("    },")


def row_of_correction(one: "Correction") -> str:
    """A correction as the table has it, without the last arguments if they are the usual ones."""
    from msgspec import structs

    arguments = list(structs.astuple(one))
    while arguments and arguments[-1] == ():
        arguments.pop()
    return f"Correction({', '.join(map(str, arguments))})"
