"""``vitaltwin repair``: a file that no service starts on, made usable again."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import failures, print_json, say

__all__ = ["repair"]


def repair(
    file: Annotated[Path, typer.Argument(help="The service's one file.", exists=True, dir_okay=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False,
) -> None:
    """Repair a service's file while no service uses it: damage, broken checkpoints, a time ahead of this machine's clock.

    Nothing is deleted: a damaged file stays beside the new one. Correct the machine's clock first.
    """
    with failures():
        from streams.clock import Clock
        from streams.embedded.repair import repair as mend

        done = mend(file, Clock())
    if as_json:
        print_json({"done": done})
        return
    for sentence in done:
        say(sentence)
    say(f"{file} can be served" if done else f"{file} needs no repair")
