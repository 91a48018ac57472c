"""A copy of the embedded file that is whole, taken while a service writes to it, and such a copy put in its place.

Copying the file by other means loses what stands in its ``-wal`` file, or mixes moments. SQLite's own online backup reads
one moment while others go on writing; what was copied is then checked against what was there.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from streams.embedded.lock import FileLock
from streams.embedded.schema import check_format, open_for_reading, sound
from streams.errors import LogUnavailable

__all__ = ["Copied", "backup", "restore_backup"]

_BESIDE = ("-wal", "-shm")


class Copied(msgspec.Struct, frozen=True):
    """What a verified copy holds: its size in bytes, rows of every table, newest log time (µs), file format."""

    bytes: int
    rows: dict[str, int]
    newest: int
    format: int


def backup(path: Path, target: Path) -> Copied:
    """Copy the file at ``path``, whoever writes to it, to the new file ``target``, and verify the copy.

    The copy is one file, readable by its owner only. It appears under its name once it is verified and on the disk.

    Raises:
        LogUnavailable: there is nothing to copy, the target is there already or cannot be written, or the copy differs.
    """
    if target.exists():
        raise LogUnavailable(f"{target} is there already; nothing was written")
    return _copy(path, target)


def restore_backup(copy: Path, path: Path) -> tuple[Copied, Path | None]:
    """Put a verified copy of ``copy`` at ``path``; returns what it holds and where the file went that was there.

    Raises:
        LogInUse: a service runs on ``path``.
        LogUnavailable: the copy is damaged, of a newer version, or cannot be read; ``path`` is as it was.
    """
    lock = FileLock(path)
    try:
        fresh = path.with_name(f"{path.name}.restoring")
        fresh.unlink(missing_ok=True)
        copied = _copy(copy, fresh)
        aside = None
        if path.stat().st_size:
            aside = next(
                place for at in range(1, 10_000) if not (place := path.with_name(f"{path.name}.before-{at}")).exists()
            )
            path.rename(aside)
            for ending in _BESIDE:
                beside = path.with_name(path.name + ending)
                if beside.exists():
                    beside.rename(aside.with_name(aside.name + ending))
        for ending in _BESIDE:
            path.with_name(path.name + ending).unlink(missing_ok=True)
        fresh.replace(path)
        _flush(path.absolute().parent)
    finally:
        lock.release()
    return copied, aside


def _copy(path: Path, target: Path) -> Copied:
    if not path.is_file():
        raise LogUnavailable(f"there is no {path}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with sound(path, "it cannot be copied"), closing(open_for_reading(path)) as source:
            source.isolation_level = None
            source.execute("BEGIN")  # one moment for what is counted and what is copied
            facts = check_format(source, path)
            if not facts:
                raise LogUnavailable(f"{path} holds no log")
            wanted = _rows(source)
            with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
                found = Copied(0, _rows(copy), _newest(copy), facts["format"])
                verdict = str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if verdict != "ok":
            raise LogUnavailable(f"{path} is damaged ({verdict}); nothing was kept")
        if found.rows != wanted:
            raise LogUnavailable(f"the copy of {path} is not what was copied; nothing was kept")
        _flush(partial)
        partial.rename(target)
        _flush(target.absolute().parent)
    except OSError as error:
        raise LogUnavailable(f"cannot write {target}: {error.strerror}") from error
    finally:
        for ending in ("", "-journal", *_BESIDE):
            partial.with_name(partial.name + ending).unlink(missing_ok=True)
    return msgspec.structs.replace(found, bytes=target.stat().st_size)


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    return {
        name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608 - its own tables
        for (name,) in tables.fetchall()
    }


def _newest(connection: sqlite3.Connection) -> int:
    (newest,) = connection.execute("SELECT max(received) FROM log").fetchone()
    return int(newest or 0)


def _flush(path: Path) -> None:
    """Have a file, or what a folder lists, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
