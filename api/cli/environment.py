"""Where the program keeps what is its own on this machine, and the kernels' cache, set before numba is imported."""

import os
from contextlib import suppress
from hashlib import blake2b
from importlib import metadata, util
from pathlib import Path
from shutil import rmtree

__all__ = ["cache_folder", "key_file", "prepare", "private_folder", "state_folder"]

_KEPT_CACHES = 4
_KEPT_DAYS = 7.0
"""Of more caches than that, those unused for so long go: another version may be running from a younger one."""


def state_folder() -> Path:
    """What should survive: databases without a stated place, local keys. ``$XDG_STATE_HOME/vitaltwin``."""
    return _folder("XDG_STATE_HOME", ".local/state")


def cache_folder() -> Path:
    """What may be deleted any time: compiled kernels. ``$XDG_CACHE_HOME/vitaltwin``."""
    return _folder("XDG_CACHE_HOME", ".cache")


def key_file(port: int) -> Path:
    """Where ``serve`` leaves the local device key for ``replay`` on the same machine; readable by its owner only."""
    return state_folder() / f"{port}.key"


def private_folder(folder: Path) -> Path:
    """The folder, made for its owner only if it is not there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def prepare() -> Path | None:
    """Point numba's cache at a folder of its own for this state of the sources; call before numba is imported.

    numba notices an edit of a kernel's own file only, not one of a table or an inner kernel it baked in. A folder for
    each state of ``twins/`` and each numba cannot be stale. ``NUMBA_CACHE_DIR`` in the environment is left alone.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return None
    spec = util.find_spec("twins")
    if spec is None or not spec.submodule_search_locations:
        return None
    sources = blake2b(metadata.version("numba").encode(), digest_size=6)
    for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        sources.update(path.read_bytes())
    folder = cache_folder() / f"numba-{sources.hexdigest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return None  # a read-only home: numba falls back to a place beside the sources, or to compiling anew
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    _forget_old_caches(folder.parent)
    return folder


def _folder(variable: str, otherwise: str) -> Path:
    given = os.environ.get(variable, "")
    return (Path(given) if given else Path.home() / otherwise) / "vitaltwin"


def _forget_old_caches(folder: Path) -> None:
    with suppress(OSError):
        caches = sorted(folder.glob("numba-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        newest = caches[0].stat().st_mtime
        for old in caches[_KEPT_CACHES:]:
            if newest - old.stat().st_mtime > _KEPT_DAYS * 86_400:
                rmtree(old, ignore_errors=True)
