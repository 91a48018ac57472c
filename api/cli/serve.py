"""``vitaltwin serve``: the embedded service with sign-in, at first without patients. ``demo`` uses the same parts."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.environment import key_file, private_folder
from api.cli.output import Failure, failures, say

if TYPE_CHECKING:
    import uvicorn

    from api.accounts import Accounts
    from api.live.hub import Hub
    from api.live.state import LiveState
    from api.runtime import Service
    from streams.settings import Settings

__all__ = ["LOOPBACK", "NOTICE", "Running", "address", "leave_key", "quicken", "run", "serve", "settings_of"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_TURN_S = 0.0005
_SAID_S = 5.0

NOTICE = "Decision support in development, not a certified medical device."


@dataclass(frozen=True)
class Running:
    """The parts of a running service, for its command."""

    service: "Service"
    accounts: "Accounts"
    view: "LiveState"
    hub: "Hub"
    settings: "Settings"
    url: str


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port.", show_default="8000")] = None,
    database: Annotated[
        Path | None, typer.Option(help="The service's file.", dir_okay=False, show_default="vitaltwin.db")
    ] = None,
    clock_speed: Annotated[
        float | None, typer.Option(min=0.01, max=3_600, help="Service seconds per second.", show_default="1")
    ] = None,
) -> None:
    """Run the embedded service: one process, one file, no other service needed. Ctrl-C ends it.

    Further settings are read from VITALTWIN_... variables. The first start prints a one-time sign-in link.
    """
    with failures():
        settings = settings_of(host=host, port=port, database=database, clock_speed=clock_speed)
        run(settings, _welcome)


def settings_of(**given: object) -> "Settings":
    """Settings from the environment; given options take precedence. Exits with 2 if they are invalid."""
    from pydantic import ValidationError

    from streams.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(first["msg"], param_hint=".".join(map(str, first["loc"]))) from error


def embedded(settings: "Settings") -> "Service":
    """The service that stores everything in one file."""
    from streams.embedded.service import EmbeddedService

    return EmbeddedService(settings)


def run(
    settings: "Settings",
    started: Callable[[Running], Awaitable[Sequence[Awaitable[None]]]],
    service: Callable[["Settings"], "Service"] = embedded,
) -> None:
    """Serve until a signal ends it.

    ``started`` is called once the service answers, and returns the tasks to run beside it.
    """
    os.umask(0o077)  # every file of the service has patient records or secrets
    from api.http.logs import configure

    configure(settings)
    listening = _listen(settings.host, settings.port)
    with listening:
        quicken()(_serve(settings, listening, started, service))


def quicken() -> Callable[[Coroutine[None, None, None]], None]:
    """Configure the interpreter for a service; returns the function that runs its event loop."""
    # Loop, log and worker switch threads many times per commit; Python's default of 5 ms per switch would slow it down.
    sys.setswitchinterval(_TURN_S)
    # Objects loaded at the start stay until the end: do not let the garbage collector scan them again and again.
    gc.disable()
    try:
        import uvloop
    except ImportError:  # not available on Windows
        return asyncio.run
    return uvloop.run


def address(host: str, port: int) -> str:
    """The URL for a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 # compared, not bound
    return f"http://{name}:{port}"


def accounts_url(settings: "Settings") -> str:
    """The SQLAlchemy URL of accounts, devices and audit trail."""
    return settings.accounts_database or f"sqlite:///{settings.database.absolute()}"


async def _serve(
    settings: "Settings",
    listening: socket.socket,
    started: Callable[[Running], Awaitable[Sequence[Awaitable[None]]]],
    make: Callable[["Settings"], "Service"],
) -> None:
    from api.accounts import Accounts
    from api.app import create_app
    from api.http.server import configuration
    from api.live.hub import Hub
    from api.live.state import LiveState

    service = make(settings)
    accounts = Accounts(url=accounts_url(settings), clock=service.clock, audit_days=settings.audit_retention_days)
    view = LiveState()
    hub = Hub(view, service.clock)
    url = address(settings.host, listening.getsockname()[1])
    running = Running(service, accounts, view, hub, settings, url)
    app = create_app(service, accounts, view, hub, settings)
    # The lifespan is entered below, so that its errors reach the terminal as one line.
    config = configuration(app, settings)
    async with app.router.lifespan_context(app):
        up = asyncio.Event()
        server = _stoppable(config, hub, up)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await asyncio.wait([serving, asyncio.ensure_future(up.wait())], return_when=asyncio.FIRST_COMPLETED)
        gc.freeze()
        gc.enable()
        beside = [asyncio.ensure_future(work) for work in (_watch(service), *await started(running))]
        for task in beside:
            task.add_done_callback(lambda _: setattr(server, "should_exit", True))
        await serving
        for task in beside:
            task.cancel()
        ended = await asyncio.gather(*beside, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome


async def _watch(service: "Service") -> None:
    """Exit with 1 and the reason once the service has failed. Doors and pages show it for some seconds before."""
    reason = await service.failed()
    say(f"error: the service has failed: {reason}")
    await asyncio.sleep(_SAID_S)
    raise Failure(f"stopped because {reason}; start it again: the twins continue from the log")


def _stoppable(config: "uvicorn.Config", hub: "Hub", up: asyncio.Event) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        """Closes the hub's sockets first, and returns at the end instead of raising the signal again."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            up.set()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await hub.stop()
            await super().shutdown(sockets)

    return Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket, opened before anything else: a port in use is the most likely error."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Failure(f"cannot listen on {host!r}: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except OSError as error:
        listening.close()
        raise Failure(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with --port"
        ) from error
    return listening


async def _welcome(running: Running) -> list[Awaitable[None]]:
    from importlib.metadata import version

    settings = running.settings
    say(f"vitaltwin {version('vitaltwin')} on {running.url}, storing everything in {settings.database}")
    say(NOTICE)
    if settings.clock_speed != 1.0:
        say(
            f"the service's clock runs {settings.clock_speed:g} times as fast as the wall clock: this file's time will be ahead,"
        )
        say(f"      and to serve it at normal speed again, run `vitaltwin repair {settings.database}` first")
    if settings.host not in LOOPBACK:
        say(f"warning: {settings.host} can be reached by other machines, and this is plain HTTP.")
        say("         Put a proxy with TLS in front of it, or use 127.0.0.1.")
    link = await running.accounts.first_start_link()
    if link is not None:
        say(f"first start: sign in once at {running.url}{settings.path_prefix}/sign-in?token={link}")
    await leave_key(running)
    return [_print_progress(running)]


async def _print_progress(running: Running) -> None:
    """Print when the twins are up to date, if that takes a while; then wait as long as the service runs."""
    if running.service.health().get("twins") == "warming":
        say(
            "readings are accepted; the twins process them once their kernels are compiled (the first start takes a minute)"
        )
        while running.service.health().get("twins") == "warming":  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.1)
        say("the twins are up to date")
    await asyncio.Event().wait()


async def leave_key(running: Running) -> None:
    """Store a device key that only this user can read, so that ``replay`` on this machine needs no key option."""
    from api.accounts.errors import AccountsError
    from streams.private import keep_private

    file = key_file(int(running.url.rpartition(":")[2]))
    accounts = running.accounts
    with suppress(OSError, AccountsError):
        try:
            accounts.authenticate_device(file.read_text().strip())
            keep_private(file)
            return  # the key from the last start is still valid
        except (OSError, AccountsError):
            pass
        made = await accounts.create_device(
            accounts.system_actor(),
            "local replay",
            scopes=("observations:write", "facts:write"),
            wards=("*",),
            may_admit=True,
        )
        private_folder(file.parent)
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, made.key.encode())
        os.close(descriptor)
