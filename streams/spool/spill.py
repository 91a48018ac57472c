"""A queue on disk for what a server has not taken: files of one process, appended and read in order.

The folder has a sub-folder for each process of the machine, ``0`` and up, locked by its user. A process takes the first
free one, with everything a dead process left there. From time to time it takes over what is in other free ones. A file
is a sequence of entries: length, checksum, bucket and number of lines, then the body. A torn entry at the end of a file
was never reported as safe.
"""

import errno
import fcntl
import os
import struct
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import structlog

__all__ = ["Spill", "SpoolEntry"]

_logger = structlog.get_logger(__name__)
_HEAD = struct.Struct("<IIBI")
FILE_BYTES = 8 << 20
"""Above this a new file begins: the bound on the folder deletes whole files."""


class SpoolEntry(NamedTuple):
    """Lines of one request: the bucket's number, how many lines, and the lines."""

    bucket: int
    lines: int
    body: bytes


class Spill:
    """Entries on disk, oldest first, at most ``most_bytes`` in the whole folder; for one thread at a time.

    When the folder is full, the oldest file is deleted (``gives_up``), or no more entries are taken.
    """

    def __init__(self, folder: Path, most_bytes: int, *, gives_up: bool = True) -> None:
        self._folder = folder
        self._most = most_bytes
        self._gives_up = gives_up
        folder.mkdir(0o700, parents=True, exist_ok=True)  # the entries name patients
        self._own, self._lock = self._claim()
        self._files: list[Path] = sorted(self._own.glob("*.lines"))
        self._next = int(self._files[-1].stem) + 1 if self._files else 0
        self._out: IO[bytes] | None = None
        self._in: IO[bytes] | None = None
        self._behind = 0
        self._unsynced = False
        self.bytes = sum(file.stat().st_size for file in self._files)
        self.dropped = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is waiting."""
        return not self._files

    def append(self, entry: SpoolEntry) -> None:
        """Append an entry; raises OSError, ``ENOSPC`` if the folder is full and nothing may be deleted."""
        if self._out is None:
            self._make_room()
            path = self._own / f"{self._next:012d}.lines"
            self._out = path.open("xb", buffering=0)
            self._next += 1
            self._files.append(path)
        _write(self._out, _HEAD.pack(len(entry.body), zlib.crc32(entry.body), entry.bucket, entry.lines) + entry.body)
        self._unsynced = True
        self.bytes += _HEAD.size + len(entry.body)
        if self._out.tell() >= FILE_BYTES:
            self._end_file()

    def sync(self) -> None:
        """Make everything appended survive a loss of power; raises OSError."""
        if self._unsynced and self._out is not None:
            os.fsync(self._out.fileno())
            _sync_folder(self._own)
        self._unsynced = False

    def first(self, lines: int = 1) -> SpoolEntry | None:
        """The oldest entry, the same until ``pop``; joined with the next ones, up to ``lines`` lines of its bucket."""
        while self._files:
            if self._in is None:
                if self._out is not None and len(self._files) == 1:
                    self._end_file()
                self._in = self._files[0].open("rb")
            place = self._in.tell()
            entry, self._behind = _joined(self._in, lines)
            if entry is not None:
                self._in.seek(place)
                return entry
            self._drop_first_file()
        return None

    def pop(self) -> None:
        """Remove what ``first`` returned."""
        if self._in is not None:
            self._in.seek(self._behind)

    def adopt(self) -> bool:
        """Take over what dead workers left in the folder; returns whether there was anything."""
        found = False
        for other in sorted(self._folder.iterdir()):
            if other == self._own or not any(other.glob("*.lines")):
                continue
            lock = _locked(other)
            if lock is None:
                continue
            self._end_file()
            for file in sorted(other.glob("*.lines")):
                path = self._own / f"{self._next:012d}.lines"
                self._next += 1
                self.bytes += file.stat().st_size
                file.rename(path)
                self._files.append(path)
                found = True
            _sync_folder(self._own)
            lock.close()
        return found

    def close(self) -> None:
        """Release the sub-folder; its contents stay."""
        self._end_file()
        if self._in is not None:
            self._in.close()
        self._lock.close()

    def _claim(self) -> tuple[Path, IO[bytes]]:
        number = 0
        while True:
            own = self._folder / str(number)
            own.mkdir(0o700, exist_ok=True)
            lock = _locked(own)
            if lock is not None:
                return own, lock
            number += 1

    def _end_file(self) -> None:
        self.sync()
        if self._out is not None:
            self._out.close()
            self._out = None

    def _make_room(self) -> None:
        """Delete the oldest files until one more fits into the folder."""
        total = sum(_size(file) for file in self._folder.glob("*/*.lines"))
        if not self._gives_up and total + FILE_BYTES > self._most:
            raise OSError(errno.ENOSPC, "the spill is full", str(self._folder))
        while self._files and total + FILE_BYTES > self._most:
            total -= self._files[0].stat().st_size
            self.give_up_oldest()

    def give_up_oldest(self) -> None:
        """Delete the oldest file and count its entries that were not yet read."""
        if self._in is None:
            self._in = self._files[0].open("rb")
        lost = 0
        while (entry := _read(self._in)) is not None:
            lost += entry.lines
        self.dropped += lost
        _logger.error("history dropped: the spill is full", points=lost)
        if self._out is not None and len(self._files) == 1:
            self._end_file()
        self._drop_first_file()

    def _drop_first_file(self) -> None:
        if self._in is not None:
            self._in.close()
            self._in = None
        path = self._files.pop(0)
        self.bytes -= path.stat().st_size
        path.unlink()


def _read(file: IO[bytes]) -> SpoolEntry | None:
    """The entry at the file's position; ``None`` at the end or at a torn entry."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, crc, bucket, count = _HEAD.unpack(head)
    body = file.read(length)
    return SpoolEntry(bucket, count, body) if len(body) == length and zlib.crc32(body) == crc else None


def _joined(file: IO[bytes], lines: int) -> tuple[SpoolEntry | None, int]:
    """The entry at the file's position with the next ones that fit into one request, and the position after them."""
    whole = _read(file)
    behind = file.tell()
    if whole is None:
        return None, behind
    bodies, count = [whole.body], whole.lines
    while count < lines and (other := _read(file)) is not None:
        if other.bucket != whole.bucket or count + other.lines > lines:
            break
        bodies.append(other.body)
        count += other.lines
        behind = file.tell()
    return SpoolEntry(whole.bucket, count, b"".join(bodies)), behind


def _write(file: IO[bytes], entry: bytes) -> None:
    """Append the whole entry or, if that fails, nothing of it: what follows must stay readable."""
    place = file.tell()
    written = 0
    try:
        while written < len(entry):
            written += file.write(entry[written:])
    except OSError:
        file.truncate(place)
        file.seek(place)
        raise


def _size(file: Path) -> int:
    """Size of a file, 0 if its worker has just deleted it."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _locked(folder: Path) -> IO[bytes] | None:
    """The folder's lock, valid until it is closed or the process ends; ``None`` if another process has it."""
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
