"""``vitaltwin replay``: sends a recorded file to a running service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from api.cli.environment import key_file
from api.cli.output import Failure, failures, print_json, progress, say

if TYPE_CHECKING:
    from streams.recordings.recording import Recording
    from streams.recordings.replay import Replay, Summary

__all__ = ["local_key", "replay"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def replay(
    file: Annotated[
        Path, typer.Argument(help="CSV or CSV.gz: patient,time,signal,value,unit", exists=True, dir_okay=False)
    ],
    *,
    url: Annotated[str, typer.Option(help="The running service.", envvar="VITALTWIN_URL")] = "http://127.0.0.1:8000",
    key: Annotated[
        str,
        typer.Option(
            "--key",
            "--token",
            envvar="VITALTWIN_KEY",
            help="A device key. Default: the local key that `vitaltwin serve` of the same user stored on this machine.",
        ),
    ] = "",
    speed: Annotated[
        float | None,
        typer.Option(
            min=0,
            show_default="that of the service's clock",
            help="Recorded seconds per second; 0: as fast as possible. If it is faster than the service's clock, the "
            "file is sent as history that ends now.",
        ),
    ] = None,
    patients: Annotated[str, typer.Option(help="Only these patients, separated by commas.")] = "",
    signals: Annotated[str, typer.Option(help="Only these signals, separated by commas.")] = "",
    together: Annotated[
        bool, typer.Option("--together", help="Let every patient begin now, even if their dates are far apart.")
    ] = False,
    limit_patients: Annotated[int | None, typer.Option(min=1, help="Only this many patients.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many readings, in order of time.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for an unreachable service.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Send a recorded file to a running service over HTTP.

    The first reading gets the service's present time, and all intervals are kept. While the service is unreachable, replay
    waits, and then continues without losing readings.
    """
    from streams.recordings.client import Door
    from streams.recordings.replay import Replay

    with failures():
        recording = load(file, patients=patients, signals=signals, limit_patients=limit_patients)
        if together:
            recording = recording.together()
        if limit is not None:
            recording = recording.by_time().first(limit)
        try:
            door = Door(url, key or local_key(url))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--url") from error
        pace = float("inf") if speed == 0 else speed
        going = Replay(recording, door, speed=pace, patience_s=patience)
        with door:
            try:
                _run(going)
            except KeyboardInterrupt:
                say("stopped")
            finally:
                if going.summary.sent or not sys.exc_info()[0]:
                    report(going.summary, as_json=as_json)
    if going.summary.failed:
        raise typer.Exit(1)


def load(file: Path, *, patients: str = "", signals: str = "", limit_patients: int | None = None) -> "Recording":
    """The requested part of a recorded file, read with a progress bar."""
    from streams.recordings.recording import read
    from twins.signals import BY_NAME

    names = _listed(signals)
    unknown = sorted(set(names) - BY_NAME.keys())
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}", param_hint="--signals")
    with progress() as bars:
        task = bars.add_task(f"reading {file.name}", total=file.stat().st_size)
        recording = read(file, lambda done: bars.update(task, completed=done))
    if names:
        recording = recording.of_signals(names)
    if patients or limit_patients is not None:
        recording = recording.of_patients(_listed(patients) or None, limit_patients)
    if not len(recording):
        raise Failure(f"{file.name} has no readings of the requested patients and signals")
    return recording


def local_key(url: str) -> str:
    """The key that ``vitaltwin serve`` of the same user stored for its port; empty if there is none."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.hostname not in _LOOPBACK:
        return ""
    try:
        return key_file(parts.port or 80).read_text().strip()
    except OSError:
        return ""


def report(summary: "Summary", *, as_json: bool) -> None:
    """Print the summary of a replay."""
    import msgspec

    if as_json:
        print_json(msgspec.to_builtins(summary))
        return
    say(
        f"sent {summary.sent:,} of {summary.readings:,} readings of {summary.patients} patients: "
        f"{summary.taken:,} accepted, {summary.refused:,} refused, {summary.wall_s:.0f} s"
    )
    for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1]):
        say(f"  {reason}: {count:,}")
    if summary.retries:
        say(f"  the service was unreachable for {summary.away_s:.0f} s, {summary.retries} retries")


def _run(going: "Replay") -> None:
    with progress() as bars:
        task = bars.add_task("replaying", total=going.summary.readings)
        said = ""

        def show(now: "Summary") -> None:
            nonlocal said
            words = f"away ({now.waiting[:40]}), waiting" if now.waiting else f"replaying at {now.speed:g}x"
            if bars.disable and now.waiting != said:
                say(f"the service is unreachable: {now.waiting}" if now.waiting else "the service is back")
                said = now.waiting
            bars.update(task, completed=now.sent, description=words)

        going.run(show)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
