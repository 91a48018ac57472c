"""Tables of the embedded file: log, checkpoints, dead letters. A record's id is its partition and offset in one number.

The file notes its format and the version of its checkpoints' columns. ``FORMAT`` rises with every change of the tables, or
of the records in them, that an older program would not understand; ``_prepare`` converts older files.

1  log, checkpoints, committed, dead_letters
2  a checkpoint has a checksum, and an older checkpoint is stored beside it
3  an alarm has levels, and there are commands about pauses, policies, rules, escalation and schedules
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from streams.errors import LogUnavailable, NewerVersion, StreamsError
from streams.history.sqlite import schema as history_schema
from streams.private import keep_private
from twins.bank.checkpoint import VERSION

__all__ = [
    "FORMAT",
    "OFFSET_BITS",
    "check_format",
    "examine",
    "look",
    "open_beside",
    "open_file",
    "open_for_reading",
    "sound",
]

OFFSET_BITS = 48
FORMAT = 3

_TABLES = """
CREATE TABLE IF NOT EXISTS log_facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, record BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
  partition INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, block BLOB NOT NULL,
  checksum INTEGER, PRIMARY KEY (partition, number)) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints_before (
  partition INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, block BLOB NOT NULL,
  checksum INTEGER, PRIMARY KEY (partition, number)) STRICT;
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
    check_format(connection, path)  # before anything is written
    connection.execute("PRAGMA page_size=16384")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # for a new file only; an existing one does not change
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")  # no other folder may be writable
    connection.execute("PRAGMA wal_autocheckpoint=0")  # WalCheckpoints does it, and closing the last connection
    connection.executescript(_TABLES)
    connection.execute("BEGIN IMMEDIATE")
    facts = {"format": FORMAT, "columns": VERSION, "partitions": partitions}
    if not connection.execute("SELECT 1 FROM log_facts WHERE name = 'format'").fetchone():
        connection.executemany("INSERT INTO log_facts VALUES (?, ?)", facts.items())
    (stored,) = connection.execute("SELECT value FROM log_facts WHERE name = 'partitions'").fetchone()
    if stored != partitions:
        raise LogUnavailable(
            f"{path} was made with partitions {stored}, not {partitions}; the number is fixed when a file is made"
        )
    if "checksum" not in {row[1] for row in connection.execute("PRAGMA table_info(checkpoints)")}:
        connection.execute("ALTER TABLE checkpoints ADD COLUMN checksum INTEGER")
    connection.execute("UPDATE log_facts SET value = ? WHERE name = 'format'", (FORMAT,))
    connection.execute("COMMIT")


_PASSING = frozenset({5, 6, 7, 8, 10, 13, 14})
"""SQLite's error codes that are no damage: busy, locked, no memory, read-only, failing disk, full, cannot be opened."""


@contextmanager
def sound(path: Path, advice: str = "") -> Iterator[None]:
    """Turn every error while reading the file into ``LogUnavailable`` with a sentence: damage can show anywhere."""
    try:
        yield
    except (StreamsError, OSError, MemoryError):
        raise
    except Exception as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise LogUnavailable(f"cannot read {path}: {error}") from error
        advice = advice or f"with no service on it, `vitaltwin repair {path}` saves what can be read"
        raise LogUnavailable(f"cannot read {path}: {str(error) or type(error).__name__}; {advice}") from error


def check_format(connection: sqlite3.Connection, path: Path) -> dict[str, int]:
    """The facts noted in the file; empty if it is new.

    Raises:
        LogUnavailable: a newer version of this program wrote it, or it is no file of this program.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "log_facts" not in tables:
        if "log" in tables:
            raise LogUnavailable(f"{path} is a database of another program")
        return {}
    facts = dict(connection.execute("SELECT name, value FROM log_facts").fetchall())
    for name, known in (("format", FORMAT), ("columns", VERSION)):
        if facts.get(name, 0) > known:
            raise LogUnavailable(
                f"{path} was written by a newer version of vitaltwin ({name} {facts[name]}; this one knows {known}):"
                " use that version, or restore a backup made before it"
            )
    try:
        history_schema.check_format(connection)
    except NewerVersion as error:
        raise LogUnavailable(f"{path}: {error}") from error
    return facts


def open_beside(path: Path) -> sqlite3.Connection:
    """Open a prepared file a second time, for work beside the commits; it waits only briefly for them."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _unusable(path: Path, error: sqlite3.Error) -> LogUnavailable:
    return LogUnavailable(f"cannot use {path}: {error}; check that the folder exists and can be written")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing file read-only; a running service may be using it.

    Raises:
        LogUnavailable: there is no file, or it cannot be opened.
    """
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.Error as error:
        raise LogUnavailable(f"{path}: {error}") from error


class Seen(NamedTuple):
    """A file's log: µs of its oldest and newest record (0: none), bytes of its records, whether the file can shrink."""

    oldest: int
    newest: int
    bytes: int
    shrinks: bool
    format: int


def look(path: Path) -> Seen:
    """Look at a file's log, also while a service writes to it.

    Raises:
        LogUnavailable: it is no file of this version, or it cannot be read.
    """
    connection = open_for_reading(path)
    try:
        with sound(path):
            facts = check_format(connection, path)
            if not facts:
                raise LogUnavailable(f"{path} holds no log")
            oldest, newest, size = connection.execute(
                "SELECT min(received), max(received), total(length(record)) FROM log"
            ).fetchone()
            (kind,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    finally:
        connection.close()
    return Seen(oldest or 0, newest or 0, int(size), kind == 2, facts["format"])


def examine(path: Path) -> str:
    """SQLite's integrity check of an existing file; ``ok`` if it is intact.

    Raises:
        LogUnavailable: it is not a database, or it cannot be read.
    """
    connection = open_for_reading(path)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise LogUnavailable(f"{path}: {error}") from error
    finally:
        connection.close()
