"""Back up the embedded file while a service writes to it, and restore such a backup.

A plain file copy loses what is still in the ``-wal`` file, or mixes states of different moments. SQLite's online backup
reads one state while others go on writing. The copy is then compared with the original.
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
    """Copy the file at ``path``, also while a service writes to it, to the new file ``target``, and verify the copy.

    The copy is one file, readable by its owner only. It gets its name only when it is verified and on the disk.

    Raises:
        LogUnavailable: there is nothing to copy, the target exists or cannot be written, or the copy differs.
    """
    if target.exists():
        raise LogUnavailable(f"{target} is there already; nothing was written")
    return _copy(path, target)


def restore_backup(copy: Path, path: Path) -> tuple[Copied, Path | None]:
    """Put a verified copy of ``copy`` at ``path``; returns its contents and the new place of the file that was there.

    Raises:
        LogInUse: a service runs on ``path``.
        LogUnavailable: the copy is damaged, of a newer version, or cannot be read; ``path`` is unchanged.
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
            source.execute("BEGIN")  # one transaction: the rows counted are the rows copied
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
    """Flush a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
