"""The command ``vitaltwin``: its subcommands; their modules import late, so that ``--help`` is quick."""

import sys
from typing import Annotated

import typer

from api.cli import (
    account,
    alarms,
    audit,
    backup,
    burden,
    demo,
    device,
    distributed,
    doctor,
    environment,
    evaluate,
    fit,
    repair,
    replay,
    replay_limits,
    rules,
    serve,
    simulate,
    warm,
)
from api.cli.output import print_json

__all__ = ["app", "main"]

app = typer.Typer(
    name="vitaltwin",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A living model of every monitored patient. Decision support in development, not a certified medical device.",
)
app.command()(demo.demo)
app.command()(serve.serve)
app.command("init")(distributed.initialise)
app.command("worker")(distributed.worker)
app.command("api")(distributed.doors)
app.command()(replay.replay)
app.command("replay-limits")(replay_limits.replay_limits)
app.command()(evaluate.evaluate)
app.command()(fit.fit)
app.command()(simulate.simulate)
app.command()(doctor.doctor)
app.command()(burden.burden)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(repair.repair)
app.command()(warm.warm)
app.add_typer(account.app, name="account")
app.add_typer(device.app, name="device")
app.add_typer(audit.app, name="audit")
app.add_typer(rules.app, name="rules")
app.add_typer(alarms.app, name="alarms")


@app.command()
def version(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    number = installed("vitaltwin")
    if as_json:
        print_json({"version": number, "python": sys.version.split()[0]})
    else:
        typer.echo(number)


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 the work failed, 2 wrong usage, 130 interrupted."""
    environment.prepare()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
