"""The program's own folders on this machine, and the cache of kernels, set before numba is imported."""

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
"""If there are more caches than that, those unused for so long are deleted; newer ones may belong to a running version."""


def key_file(port: int) -> Path:
    """Where ``serve`` stores the local device key for ``replay`` on the same machine; readable by its owner only."""
    return state_folder() / f"{port}.key"


def private_folder(folder: Path) -> Path:
    """The folder; created for its owner only if it does not exist."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def prepare() -> Path | None:
    """Point numba's cache at a folder of its own for this state of the sources; call before numba is imported.

    numba notices only changes of a kernel's own file, not of a table or inner kernel compiled into it. A folder for each
    state of ``twins/`` and each version of numba is never out of date. ``NUMBA_CACHE_DIR`` in the environment takes
    precedence. If the home folder is not writable, as in a container with a read-only root, a folder of this user among
    the temporary files is used. Without that too, kernels are compiled at every start.
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
    """A folder that only this user can write, because its contents are executed."""
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
