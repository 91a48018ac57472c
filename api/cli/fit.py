"""``vitaltwin fit``: fits the motion of signals, their bands, or the chances they state; prints table rows.

The rows are for ``twins/models/channel/modes.py``; with ``--chances`` for ``recalibration.py`` there, with ``--bands`` for
``corrections_fitted.py``.
"""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.fit_bands import fit_bands
from api.cli.fit_chances import fit_chances, read_all
from api.cli.output import Failure, failures, print_json, progress, say, table

if TYPE_CHECKING:
    from streams.recordings.fit import Fit, SignalFit
    from streams.recordings.recording import Recording
    from twins.models.channel.modes import Modes

__all__ = ["Form", "fit", "row_of"]


class Form(Enum):
    """The available forms: the names in ``twins.fitting.forms``, repeated here so that ``--help`` is quick."""

    ALL = "all"
    SINGLE = "single"
    OU = "ou"
    TREND = "trend"
    COUPLED = "coupled"
    MATERN32 = "matern32"
    MATERN52 = "matern52"
    THREE = "three"


def fit(
    files: Annotated[
        list[Path], typer.Argument(help="CSV or CSV.gz: patient,time,signal,value,unit", exists=True, dir_okay=False)
    ],
    *,
    signal: Annotated[
        list[str] | None,
        typer.Option(help="Only this signal; may be repeated. NAME+NAME fits two together.", show_default="all"),
    ] = None,
    form: Annotated[Form, typer.Option(help="The form of motion, or all to compare them.")] = Form.ALL,
    bands: Annotated[
        bool,
        typer.Option("--bands", help="Fit how forecasts are corrected by level and after changes, not the motion."),
    ] = False,
    chances: Annotated[
        bool, typer.Option("--chances", help="Fit how stated chances are recalibrated, not the motion.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit the motion of signals to every second patient (in order of id), and evaluate it on the others.

    Prints, for each signal, the row to paste into twins/models/channel/modes.py, the readings used of each file, and for
    each form its mean score (nats, less is better) and its skill: 1 - RMSE / RMSE of persistence on the evaluation
    patients, mean over the files.

    With --chances: streams every file through the twins, fits slope and offset of the chance of a reading beyond a limit,
    and prints the rows to paste into twins/models/channel/recalibration.py, with the Brier skill and the calibration
    error of the evaluation patients before and after.

    With --bands: streams every file through the twins with the corrections in force, and prints the rows to paste into
    twins/models/channel/corrections_fitted.py. Run it again with the new rows until the widths no longer change.
    """
    from twins.fitting.forms import FORMS

    if bands:
        fit_bands(files, as_json=as_json)
        return
    if chances:
        fit_chances(files, signal or [], as_json=as_json)
        return

    groups = _groups(signal or [])
    forms = tuple(FORMS) if form is Form.ALL else (form.value,)
    with failures():
        recordings = read_all(files)
        if not signal:
            groups = [group for group in groups if _has_readings(recordings, group)]
        found = _fit(recordings, groups, forms)
        if not found:
            raise Failure("no signal has 8 plausible readings of one patient to fit on")
    if as_json:
        import msgspec

        print_json(
            {
                "fits": [msgspec.to_builtins(one) | {"rows": _rows(one)} for one in found],
                "files": [f.name for f in files],
            }
        )
        return
    for one in found:
        _print(one)


def row_of(name: str, modes: "Modes") -> str:
    """A signal's row for ``twins/models/channel/modes.py``, with four digits, or more if two modes nearly cancel."""
    from msgspec import structs

    digits = 4 if modes.slow_s > 1.9 * modes.fast_s else 8
    figures = [float(f"{figure:.{digits}g}") for figure in structs.astuple(modes)]
    if figures[-1] == 0.0:
        figures.pop()
    return f'"{name}": Modes({", ".join(f"{figure:_}" for figure in figures)}),'


def _groups(asked: list[str]) -> list[list[str]]:
    from twins.signals import BY_NAME

    known = [name for name, one in BY_NAME.items() if one.filtered]
    groups = [words.split("+") for words in asked] if asked else [[name] for name in known]
    unknown = sorted({name for group in groups for name in group} - set(known))
    if unknown:
        raise typer.BadParameter(f"unknown or not filtered: {', '.join(unknown)}", param_hint="--signal")
    return groups


def _has_readings(recordings: "list[Recording]", group: list[str]) -> bool:
    from twins.signals import BY_NAME

    return any((recording.columns.signal == BY_NAME[name].code).any() for recording in recordings for name in group)


def _fit(recordings: "list[Recording]", groups: list[list[str]], forms: tuple[str, ...]) -> "list[SignalFit]":
    from streams.recordings.fit import fit as run

    found = []
    with progress() as bars:
        task = bars.add_task("fitting", total=len(groups) * len(forms))
        for group in groups:
            label = "+".join(group)
            bars.update(task, description=f"fitting {label}")
            one = run(recordings, group, forms, tell=lambda _: bars.advance(task))
            if one is None:
                say(f"{label}: too few readings to fit on, skipped")
                bars.advance(task, len(forms))
            else:
                found.append(one)
    return found


def _rows(one: "SignalFit") -> dict[str, list[str]]:
    """Rows to paste, by form."""
    return {
        name: [row_of(signal, form.modes) for signal in one.signals]
        for name, form in one.forms.items()
        if form.modes is not None
    }


def _print(one: "SignalFit") -> None:
    chosen = one.forms[one.chosen]
    name = "+".join(one.signals)
    table(
        f"{name}: readings used, and the result of {one.chosen}",
        ["file", "patients", "readings", "pairs", "score", "patients*", "readings*", "pairs*", "score*"],
        _use(chosen),
    )
    from streams.recordings.fit import SHOWN_MIN

    minutes = [str(number) for number in SHOWN_MIN]
    table(
        f"{name}: forms",
        ["form", "score", "score*", *(f"{number} min*" for number in minutes), "at a bound"],
        [
            [
                form, f"{result.train:.4f}", f"{result.held_out:.4f}",
                *(f"{result.skill[number]:+.3f}" if number in result.skill else "" for number in minutes),
                ", ".join(result.at_bound),
            ]
            for form, result in one.forms.items()
        ],
    )  # fmt: skip
    typer.echo("* on the evaluation patients")
    for row in _rows(one).get(
        one.chosen, [f"the channel twin has no form {one.chosen}: {_parameters(chosen.parameters)}"]
    ):
        typer.echo(row)
    typer.echo()


def _use(form: "Fit") -> list[list[str]]:
    halves: list[dict[str, Any]] = [{use.file: use for use in uses} for uses in (form.train_files, form.held_out_files)]
    rows = []
    for file in dict.fromkeys([*halves[0], *halves[1]]):
        row = [file]
        for half in halves:
            use = half.get(file)
            row += (
                [f"{use.patients:,}", f"{use.readings:,}", f"{use.pairs:,}", f"{use.score:.3f}"]
                if use
                else ["0", "", "", ""]
            )
        rows.append(row)
    return rows


def _parameters(parameters: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.4g}" for name, figure in parameters.items())
