"""One service per file: the lock is on the file itself, whatever its name or link, and ends with the process that has it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from streams.errors import LogInUse, LogUnavailable
from streams.private import keep_private

__all__ = ["FileLock", "is_locked"]

_mine: set[tuple[int, int]] = set()
"""Files locked by this process. To open and close one of them again would drop SQLite's own locks on it."""


class FileLock:
    """A lock, taken when the object is made; release it only after every connection to the file is closed.

    Raises:
        LogInUse: another service, also one in this process, has locked the file.
        LogUnavailable: the file cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        self._descriptors: list[int] = []
        self._which: tuple[int, int] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._take(path)
        except OSError as error:
            self.release()
            raise LogUnavailable(f"cannot use {path}: {error.strerror}") from error
        except LogInUse:
            self.release()
            raise

    def _take(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            found = path.stat()
            if (found.st_dev, found.st_ino) in _mine:
                raise _in_use(path, str(os.getpid()))
        beside = path.resolve().with_name(f"{path.resolve().name}.lock")  # earlier versions lock this file
        keep_private(beside)
        for place in (beside, path):
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._descriptors.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _in_use(path, _holder(descriptor)) from error
        found = os.fstat(self._descriptors[-1])
        self._which = (found.st_dev, found.st_ino)
        _mine.add(self._which)
        os.ftruncate(self._descriptors[0], 0)
        os.pwrite(self._descriptors[0], str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Release the lock, so that another service can use the file."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        if self._which is not None:
            _mine.discard(self._which)
            self._which = None


def is_locked(path: Path) -> bool:
    """Whether a running service has locked the file."""
    try:
        FileLock(path).release()
    except LogInUse:
        return True
    except LogUnavailable:
        return False
    return False


def _in_use(path: Path, holder: str) -> LogInUse:
    return LogInUse(f"{path} is in use by another running service (process {holder}); stop it first")


def _holder(descriptor: int) -> str:
    """The number of the process that has the lock, if this system can say it."""
    number = str(os.fstat(descriptor).st_ino)
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if "FLOCK" in fields and "->" not in fields and fields[5].rpartition(":")[2] == number:
                return fields[4]
    return "unknown"
