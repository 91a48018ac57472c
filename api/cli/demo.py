"""``vitaltwin demo``: a live ward of sixteen patients in the browser of this machine."""

import os
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

import typer

from api.cli.environment import private_folder, state_folder
from api.cli.output import failures, say
from api.cli.serve import LOOPBACK, NOTICE, Running, run, settings_of

__all__ = ["demo"]


def demo(
    *,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port.", show_default="8000")] = None,
    clock_speed: Annotated[
        float | None, typer.Option(min=0.01, max=3_600, help="Service seconds per second.", show_default="1")
    ] = None,
    database: Annotated[
        Path | None,
        typer.Option(help="The ward's file.", dir_okay=False, show_default="demo.db in the user's state folder"),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Whether to open a browser.")] = True,
) -> None:
    """Run a demonstration ward: recorded and synthetic patients, some of them deteriorating on a schedule.

    Every user of this machine is signed in, so it listens on loopback only. Ctrl-C ends it; the next start continues it.
    """
    with failures():
        where = database or private_folder(state_folder()) / "demo.db"
        settings = settings_of(port=port, clock_speed=clock_speed, database=where, demo=True)
        if settings.host not in LOOPBACK:
            raise typer.BadParameter(
                f"the demo signs everybody in and listens on loopback only, not on {settings.host}",
                param_hint="VITALTWIN_HOST",
            )

        async def started(running: Running) -> list[Awaitable[None]]:
            from api.cli.demo_ward import Feeder, cast

            say(NOTICE)
            say(f"The ward is stored in {where}. Ctrl-C ends it; the next start continues it.")
            # Standard output has only the address, for a program that started this one.
            typer.echo(f"Open {running.url}/")
            sys.stdout.flush()
            if open_browser and _has_display():
                import webbrowser

                webbrowser.open(f"{running.url}/")
            return [Feeder(running.service, running.view, cast()).run()]

        run(settings, started)


def _has_display() -> bool:
    """Whether a browser can open a window; without a display it would take over the terminal."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
