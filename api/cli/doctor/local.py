"""Checks of the machine for every service, and of the file for the embedded service."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.doctor.finding import Finding
from api.cli.environment import cache_folder, key_file, state_folder
from api.cli.serve import LOOPBACK, address
from streams.clock import Clock, span
from streams.embedded.lock import is_locked
from streams.embedded.schema import examine, look
from streams.errors import LogUnavailable

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["EMBEDDED", "MACHINE", "Look", "asked"]

Look = Callable[["Settings"], Iterator[Finding]]

_LEAST_FREE = 1 << 30
_BUILT_YEAR = 2026
_APART_US = 300_000_000
_LONG_US = 86_400_000_000
_ANY = frozenset({"0.0.0.0", "::", "localhost"})  # noqa: S104 - compared
_SAFE = frozenset({"VITALTWIN_INFLUX_URL", "VITALTWIN_URL"})


def _python(_: "Settings") -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "good" if sys.version_info >= (3, 11) else "wrong", f"{version}, {sys.executable}")


def _kernels(_: "Settings") -> Iterator[Finding]:
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder())
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        yield Finding("compiled kernels", "note", f"{folder} is not writable: kernels are compiled at every start")
        return
    count = sum(1 for _ in folder.rglob("*.nbc"))
    advice = "" if count else "; the first start compiles them, or run `vitaltwin warm` now"
    yield Finding("compiled kernels", "good" if count else "note", f"{count} in {folder}{advice}")


def _configured(settings: "Settings") -> Iterator[Finding]:
    given = sorted(name for name in os.environ if name.startswith("VITALTWIN_"))
    known = {f"VITALTWIN_{name}".upper() for name in type(settings).model_fields} | {
        "VITALTWIN_URL", "VITALTWIN_KEY", "VITALTWIN_DATA", "VITALTWIN_NO_SKIP"
    }  # fmt: skip
    words = ", ".join(f"{name}={_shown(name)}" for name in given)
    yield Finding("settings", "good", words or "all defaults")
    for name in given:
        if name not in known:
            yield Finding("settings", "note", f"{name} is not a setting of this version")
    if settings.host not in LOOPBACK:
        yield Finding(
            "address", "note", f"{settings.host} can be reached by other machines; the service speaks plain HTTP"
        )


def _shown(name: str) -> str:
    """The value of a variable, or dots in place of a secret."""
    if name.endswith(("KEY", "TOKEN", "PASSWORD")) or (name not in _SAFE and "://" in os.environ[name]):
        return "…"
    return os.environ[name]


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
    detail = f"{path}, {size / 1e6:,.1f} MB" + (" (in use by a running service)" if is_locked(path) else "")
    yield Finding(
        "database", "good" if verdict == "ok" else "wrong", detail if verdict == "ok" else f"{path}: {verdict}"
    )


def _log(settings: "Settings") -> Iterator[Finding]:
    """How far the file's log goes back, and whether its time agrees with the machine's clock."""
    path = settings.database
    if not path.exists():
        return
    try:
        seen = look(path)
    except LogUnavailable as error:
        yield Finding("log", "wrong", str(error))
        return
    if not seen.newest:
        return
    now = Clock().now()
    detail = f"{seen.bytes / 1e6:,.1f} MB, of {span(seen.newest - seen.oldest)}"
    full = seen.bytes > 0.98 * settings.log_retention_bytes
    if full and seen.newest - seen.oldest < 0.98e6 * settings.log_retention_seconds:
        wanted = span(round(settings.log_retention_seconds * 1e6))
        yield Finding("log", "note", f"{detail}: it is at its largest size and does not go back {wanted}")
    else:
        yield Finding("log", "good", detail)
    if not seen.shrinks:
        yield Finding("log", "note", f"{path} was made by an earlier version and never shrinks: see docs/operation.md")
    ahead = seen.newest - now
    if ahead > _APART_US:
        advice = f"set the machine's clock, or run `vitaltwin repair {path}`"
        yield Finding("log's time", "wrong", f"{span(ahead)} ahead of this machine's clock: {advice}")
    elif -ahead > _LONG_US:
        yield Finding("log's time", "note", f"its last record is {span(-ahead)} old")
    else:
        yield Finding("log's time", "good", f"its newest record is {max(0.0, -ahead / 1e6):.1f} s old")


def _disk(settings: "Settings") -> Iterator[Finding]:
    for name, folder in (("disk, database", settings.database.absolute().parent), ("disk, state", state_folder())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free
        yield Finding(name, "good" if free >= _LEAST_FREE else "wrong", f"{free / 1e9:,.1f} GB free at {there}")


def _clock(_: "Settings") -> Iterator[Finding]:
    now = time.gmtime()
    good = now.tm_year >= _BUILT_YEAR
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    yield Finding(
        "machine's clock",
        "good" if good else "wrong",
        text if good else f"{text} is before the release of this version",
    )


def _service(settings: "Settings") -> Iterator[Finding]:
    yield asked("service", settings.host, settings.port)
    key = key_file(settings.port)
    if key.exists():
        yield Finding("local key", "good", f"{key}, found by `vitaltwin replay`")


def asked(name: str, host: str, port: int) -> Finding:
    """The readiness of a service or worker on this machine."""
    import http.client
    import json

    url = address(host, port)
    connection = http.client.HTTPConnection(host if host not in _ANY else "127.0.0.1", port, timeout=3.0)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read()
    except ConnectionRefusedError:
        return Finding(name, "note", f"none at {url}; the port is free")
    except (OSError, http.client.HTTPException) as error:
        return Finding(name, "wrong", f"something at {url} does not speak HTTP: {error}")
    finally:
        connection.close()
    try:
        health = json.loads(body)
    except ValueError:
        return Finding(name, "wrong", f"{url} is used by another program than vitaltwin")
    parts = {**health, **health.get("parts", {})}
    words = ", ".join(f"{part} {said}" for part, said in parts.items() if not isinstance(said, dict | list))
    return Finding(name, "good" if answer.status == 200 else "wrong", f"{url} answers {answer.status}: {words[:300]}")


MACHINE: tuple[Look, ...] = (_python, _kernels, _configured, _clock)
"""Checks of the machine, for every service."""
EMBEDDED: tuple[Look, ...] = (_database, _log, _disk, _service)
"""Checks for the embedded service."""
