"""Where the program keeps what is its own on this machine, and the kernels' cache, set before numba is imported."""

import os
import stat
from contextlib import suppress
from hashlib import blake2b
from importlib import metadata, util
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile, gettempdir, mkdtemp

from streams.places import cache_folder, state_folder

__all__ = ["cache_folder", "key_file", "prepare", "private_folder", "state_folder"]

_KEPT_CACHES = 4
_KEPT_DAYS = 7.0
"""Of more caches than that, those unused for so long go: another version may be running from a younger one."""


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
    each state of ``twins/`` and each numba cannot be stale. ``NUMBA_CACHE_DIR`` in the environment is left alone. Where the
    home cannot be written, as in a container with a read-only root, a folder of this user's among the temporary files is
    taken; without one either, kernels are compiled at every start.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return None
    spec = util.find_spec("twins")
    if spec is None or not spec.submodule_search_locations:
        return None
    sources = blake2b(metadata.version("numba").encode(), digest_size=6)
    for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        sources.update(path.read_bytes())
    name = f"numba-{sources.hexdigest()}"
    for made in (_in_cache, _among_temporary_files):
        with suppress(OSError, RuntimeError):
            folder = made(name)
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            _forget_old_caches(folder.parent)
            return folder
    return None


def _in_cache(name: str) -> Path:
    folder = cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    TemporaryFile(dir=folder).close()
    return folder


def _among_temporary_files(name: str) -> Path:
    """A folder nobody else can write: what is in it is run."""
    own = Path(gettempdir()) / f"vitaltwin-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        own = Path(mkdtemp(prefix="vitaltwin-"))
    folder = own / name
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    return folder


def _forget_old_caches(folder: Path) -> None:
    with suppress(OSError):
        caches = sorted(folder.glob("numba-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        newest = caches[0].stat().st_mtime
        for old in caches[_KEPT_CACHES:]:
            if newest - old.stat().st_mtime > _KEPT_DAYS * 86_400:
                rmtree(old, ignore_errors=True)
