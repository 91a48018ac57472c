"""``vitaltwin doctor``: what is configured, what can be reached, what is wrong."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from api.cli.environment import cache_folder, key_file, state_folder
from api.cli.output import print_json
from api.cli.serve import LOOPBACK, address, settings_of
from streams.embedded.schema import examine
from streams.errors import LogUnavailable

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["doctor"]

_LEAST_FREE = 1 << 30
_BUILT_YEAR = 2026


class Finding(NamedTuple):
    """One thing looked at: ``good``, ``note`` (works, but know it) or ``wrong``."""

    name: str
    state: Literal["good", "note", "wrong"]
    detail: str


def doctor(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port of the service to look at.")] = None,
    database: Annotated[Path | None, typer.Option(help="The service's file.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Look at everything a service on this machine needs. Exit code 1 when something is wrong."""
    settings = settings_of(port=port, database=database)
    found = [finding for look in _LOOKS for finding in look(settings)]
    wrong = [finding for finding in found if finding.state == "wrong"]
    if as_json:
        print_json({"good": not wrong, "findings": [finding._asdict() for finding in found]})
    else:
        marks = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}
        for finding in found:
            typer.echo(f"{marks[finding.state]}  {finding.name:<18} {finding.detail}")
        typer.echo(f"\n{len(wrong)} wrong" if wrong else "\nnothing wrong")
    if wrong:
        raise typer.Exit(1)


def _python(_: "Settings") -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "good" if sys.version_info >= (3, 11) else "wrong", f"{version}, {sys.executable}")


def _kernels(_: "Settings") -> Iterator[Finding]:
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder())
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        yield Finding("compiled kernels", "note", f"{folder} cannot be written: they are compiled at every start")
        return
    count = sum(1 for _ in folder.rglob("*.nbc"))
    advice = "" if count else "; the first start compiles them, or `vitaltwin warm` does now"
    yield Finding("compiled kernels", "good" if count else "note", f"{count} in {folder}{advice}")


def _configured(settings: "Settings") -> Iterator[Finding]:
    given = sorted(name for name in os.environ if name.startswith("VITALTWIN_") and not name.endswith(("KEY", "TOKEN")))
    known = {f"VITALTWIN_{name}".upper() for name in type(settings).model_fields} | {"VITALTWIN_URL"}
    yield Finding("settings", "good", ", ".join(f"{name}={os.environ[name]}" for name in given) or "all as delivered")
    for name in given:
        if name not in known:
            yield Finding("settings", "note", f"{name} is no setting of this version")
    if settings.host not in LOOPBACK:
        yield Finding(
            "address", "note", f"{settings.host} can be reached by other machines; the service speaks plain HTTP"
        )


def _database(settings: "Settings") -> Iterator[Finding]:
    path = settings.database
    if not path.exists():
        able = os.access(path.absolute().parent, os.W_OK)
        detail = f"{path} will be made at the first start" if able else f"{path.absolute().parent} cannot be written"
        yield Finding("database", "note" if able else "wrong", detail)
        return
    size = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
    if not os.access(path, os.W_OK):
        yield Finding("database", "wrong", f"{path} is read-only")
        return
    try:
        verdict = examine(path)
    except LogUnavailable as error:
        yield Finding("database", "wrong", str(error))
        return
    detail = f"{path}, {size / 1e6:,.1f} MB" + (" (in use by a running service)" if _in_use(path) else "")
    yield Finding(
        "database", "good" if verdict == "ok" else "wrong", detail if verdict == "ok" else f"{path}: {verdict}"
    )


def _in_use(path: Path) -> bool:
    """Whether a running service holds the lock beside the file."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        import fcntl

        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ImportError):
        return False
    return False


def _disk(settings: "Settings") -> Iterator[Finding]:
    for name, folder in (("disk, database", settings.database.absolute().parent), ("disk, state", state_folder())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        yield Finding(name, "good" if free >= _LEAST_FREE else "wrong", f"{free / 1e9:,.1f} GB free at {there}")


def _clock(_: "Settings") -> Iterator[Finding]:
    now = time.gmtime()
    good = now.tm_year >= _BUILT_YEAR
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    yield Finding("machine's clock", "good" if good else "wrong", text if good else f"{text} lies before this version")


def _service(settings: "Settings") -> Iterator[Finding]:
    import http.client
    import json

    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host  # noqa: S104 # compared
    connection = http.client.HTTPConnection(host, settings.port, timeout=3.0)
    url = address(settings.host, settings.port)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read()
    except ConnectionRefusedError:
        yield Finding("service", "note", f"none at {url}; the port is free")
        return
    except (OSError, http.client.HTTPException) as error:
        yield Finding("service", "wrong", f"something at {url} does not speak HTTP: {error}")
        return
    finally:
        connection.close()
    try:
        health = json.loads(body)
    except ValueError:
        yield Finding("service", "wrong", f"{url} is taken by something that is not vitaltwin")
        return
    ready = answer.status == 200
    words = ", ".join(f"{key} {value}" for key, value in health.items() if not isinstance(value, dict | list))
    yield Finding("service", "good" if ready else "wrong", f"{url} answers {answer.status}: {words[:300]}")
    key = key_file(settings.port)
    if key.exists():
        yield Finding("local key", "good", f"{key}, found by `vitaltwin replay`")


_LOOKS: tuple[Callable[["Settings"], Iterator[Finding]], ...] = (
    _python, _kernels, _configured, _database, _disk, _clock, _service
)  # fmt: skip
