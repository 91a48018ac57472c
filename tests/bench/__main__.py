"""``infra/bench NAME``: run one benchmark and print its figures."""

import signal
import sys
from typing import Annotated, Any

import typer

from api.cli import environment
from api.cli.output import failures, print_json, table
from tests.bench import BENCHES, OPTIONS, run
from tests.bench.against import against
from tests.bench.machine import machine

__all__ = ["bench", "main"]


def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHES)}.")],
    *,
    quick: Annotated[
        bool, typer.Option(help="A short run that only shows that it works; its figures mean little.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="What `latency` measures: embedded or kafka.")] = "embedded",
    only: Annotated[
        str, typer.Option(help="The only fault for `failover`, abuse for `abuse`, or file for `alarms`.")
    ] = "",
    runs: Annotated[
        int, typer.Option(min=0, help="How often `failover` runs each fault and `restore` starts; 0: the default.")
    ] = 0,
    place: Annotated[
        str, typer.Option(help="Whose recordings `alarms` uses: patients at odd places, or at even ones (fitted on).")
    ] = "odd",
    commit: Annotated[
        str, typer.Option("--against", help="Also measure this commit, alternating with the present one, and compare.")
    ] = "",
    pairs: Annotated[int, typer.Option(min=1, help="With --against: how many runs of each.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Measure the service on this machine."""
    if name not in BENCHES:
        raise typer.BadParameter(f"there is no benchmark {name!r}; known: {', '.join(BENCHES)}", param_hint="NAME")
    given = {"runtime": (runtime, "embedded"), "only": (only, ""), "runs": (runs, 0), "place": (place, "odd")}
    options = {option: value for option, (value, usual) in given.items() if value != usual}
    wrong = [option for option in options if option not in OPTIONS.get(name, ())]
    if wrong:
        raise typer.BadParameter(f"bench {name} has no option --{wrong[0]}", param_hint=f"--{wrong[0]}")
    with failures():
        if commit:
            said = [part for option, value in options.items() for part in (f"--{option}", str(value))]
            figures = against(commit, name, [*said, *(["--quick"] if quick else [])], pairs)
        else:
            figures = run(name, quick=quick, **options)
        figures["machine"] = machine()
    if as_json:
        print_json(figures)
    else:
        table(f"bench {name}", ["figure", "value"], [[key, value] for key, value in _flat(figures)])


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in figures.items():
        if type(value) is dict:  # others print themselves
            rows.extend(_flat(value, f"{prefix}{key}."))
        else:
            rows.append((prefix + str(key), f"{value:,.4g}" if isinstance(value, float) else str(value)))
    return rows


def main() -> None:
    """Run one benchmark. Exit codes: 0 good, 1 the work failed, 2 wrong usage, 130 interrupted."""
    environment.prepare()
    # As an exception it ends what a benchmark has started, and removes its folders and working trees.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    app.command()(bench)
    try:
        app(prog_name="infra/bench")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
