"""Files that only the service's own user may read: they name patients or contain keys."""

import os
import stat
from pathlib import Path

import structlog

__all__ = ["OTHERS", "keep_private"]

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The file mode bits of everybody but the owner."""

_OWNER = stat.S_IRUSR | stat.S_IWUSR

log = structlog.get_logger(__name__)


def keep_private(path: Path, *beside: str) -> None:
    """Create a missing file for its owner only (0600), whatever the umask; remove others' rights from an existing one.

    ``beside`` are endings of files next to it whose rights are reduced too, but which are not created: SQLite gives
    ``-wal`` and ``-shm`` the rights of the file itself, so only older ones can have more. Rights that cannot be removed
    are logged. A file that cannot be created is left to the code that opens it and reports the error.
    """
    try:
        # Open only a new file: closing a database in use would drop this process's locks on it.
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, _OWNER))
    except FileExistsError:
        pass
    except OSError:
        return
    for each in (path, *(path.with_name(path.name + ending) for ending in beside)):
        _tighten(each)


def _tighten(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & OTHERS:
            return
        path.chmod(mode & ~OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:  # another user's file, or a file system without rights
        log.warning("readable by others", file=str(path), reason=error.strerror)
        return
    log.warning("was readable by others", file=str(path), mode=f"{mode:04o}", now=f"{mode & ~OTHERS:04o}")
