"""Output of commands: results on standard output, messages on standard error."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

__all__ = ["Failure", "failures", "print_json", "progress", "say", "table"]


_NARROWEST = 120
"""Columns; no table is wider."""


class Failure(Exception):
    """The work failed; the message gives the reason, and the program exits with 1."""


def say(text: str) -> None:
    """Print a line for the user on standard error."""
    typer.echo(text, err=True)


def print_json(figures: object) -> None:
    """Print figures for a program as one JSON document; not-a-number becomes ``null``."""
    typer.echo(json.dumps(_plain(figures), indent=2, ensure_ascii=False))


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print figures as a table; the first column is text, the others are numbers."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    # A pipe has no width: do not wrap rows there. A narrow terminal wraps them itself; cropped figures would be lost.
    width = max(Console().width, _NARROWEST) if sys.stdout.isatty() else 200
    Console(width=width, height=25).print(drawn)  # without a height, a dumb terminal would have 80 columns


@contextmanager
def progress(*columns: "ProgressColumn") -> Iterator["Progress"]:
    """A progress bar on standard error, removed when done; nothing if it is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), *columns)
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


@contextmanager
def failures() -> Iterator[None]:
    """Turn what may go wrong outside the program into one plain line and exit code 1."""
    from streams.errors import StreamsError

    try:
        yield
    except Exception as error:
        if not isinstance(error, (StreamsError, Failure, OSError, *_of_accounts())):
            raise
        say(f"error: {error}")
        raise typer.Exit(1) from error


def _of_accounts() -> tuple[type[Exception], ...]:
    """The errors of accounts, where a command has come to know of them: they bring a database's library along."""
    errors = sys.modules.get("api.accounts.errors")
    return () if errors is None else (errors.AccountsError,)


def _plain(figure: object) -> object:
    if isinstance(figure, dict):
        return {str(key): _plain(value) for key, value in figure.items()}
    if isinstance(figure, list | tuple):
        return [_plain(value) for value in figure]
    if isinstance(figure, float):
        return float(f"{figure:.6g}") if math.isfinite(figure) else None
    return figure
