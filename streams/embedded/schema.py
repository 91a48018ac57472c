"""Tables of the embedded file: log, checkpoints, dead letters. A record's id is its partition and offset in one number."""

import sqlite3
from pathlib import Path

from streams.errors import LogUnavailable
from streams.private import keep_private

__all__ = ["OFFSET_BITS", "examine", "open_beside", "open_file", "open_for_reading"]

OFFSET_BITS = 48
FORMAT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS log_facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, record BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
  partition INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, block BLOB NOT NULL,
  PRIMARY KEY (partition, number)) STRICT;
CREATE TABLE IF NOT EXISTS committed (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS dead_letters (
  id INTEGER PRIMARY KEY, received INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, place TEXT NOT NULL,
  detail TEXT NOT NULL, body BLOB NOT NULL) STRICT;
"""


def open_file(path: Path, partitions: int) -> sqlite3.Connection:
    """Open or create the embedded file for writing; only its owner may read it.

    Raises:
        LogUnavailable: no such folder, read-only, full, not a database, or made with another partition count.
    """
    keep_private(path, "-wal", "-shm")
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path, partitions)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise _unusable(path, error) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, partitions: int) -> None:
    connection.execute("PRAGMA page_size=16384")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # WalCheckpoints does it, and closing the last connection
    connection.executescript(_TABLES)
    for name, wanted in (("format", FORMAT), ("partitions", partitions)):
        connection.execute("INSERT OR IGNORE INTO log_facts VALUES (?, ?)", (name, wanted))
        (held,) = connection.execute("SELECT value FROM log_facts WHERE name = ?", (name,)).fetchone()
        if held != wanted:
            raise LogUnavailable(f"{path} was made with {name} {held}, not {wanted}; it is fixed when a file is made")


def open_beside(path: Path) -> sqlite3.Connection:
    """Open a prepared file once more, for what may go on beside the commits; waits little for them."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _unusable(path: Path, error: sqlite3.Error) -> LogUnavailable:
    return LogUnavailable(f"cannot use {path}: {error}; check that the folder exists and can be written")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing file so that nothing can be written; a running service may hold it.

    Raises:
        LogUnavailable: there is none, or it cannot be opened.
    """
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.Error as error:
        raise LogUnavailable(f"{path}: {error}") from error


def examine(path: Path) -> str:
    """SQLite's verdict on an existing file, ``ok`` when it is whole.

    Raises:
        LogUnavailable: it is not a database, or it cannot be read.
    """
    connection = open_for_reading(path)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        raise LogUnavailable(f"{path}: {error}") from error
    finally:
        connection.close()
