"""Copy what can be read of a damaged embedded file, row by row, into a new one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from streams.errors import LogUnavailable

__all__ = ["salvage"]

_AT_ONCE = 500


def salvage(damaged: Path, whole: Path) -> dict[str, int]:
    """Copy every row of ``damaged`` that can be read to the new file ``whole``; returns rows by table.

    Raises:
        LogUnavailable: nothing can be read, or the new file cannot be written.
    """
    try:
        with (
            closing(sqlite3.connect(damaged)) as source,
            closing(sqlite3.connect(whole, isolation_level=None)) as target,
        ):
            target.execute("PRAGMA page_size=16384")
            target.execute("PRAGMA auto_vacuum=INCREMENTAL")
            target.execute("PRAGMA synchronous=FULL")
            made = source.execute(
                "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            target.execute("BEGIN")
            for _, _, sql in (one for one in made if one[0] == "table"):
                target.execute(sql)
            copied = {name: _copied(source, target, name) for kind, name, _ in made if kind == "table"}
            for _, _, sql in (one for one in made if one[0] != "table"):
                target.execute(sql)
            target.execute("COMMIT")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise LogUnavailable(f"nothing of {damaged} can be saved: {error}; restore a backup") from error
    return copied


def _copied(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    count = 0
    for rows in _batches(source, table):
        if rows:
            places = ", ".join("?" * len(rows[0]))
            count += target.executemany(f'INSERT OR IGNORE INTO "{table}" VALUES ({places})', rows).rowcount  # noqa: S608
    return count


def _batches(source: sqlite3.Connection, table: str) -> Iterator[list[tuple[object, ...]]]:
    try:
        keys = _keys(source, table)
    except sqlite3.OperationalError:  # a table without rowid: these are small
        yield _as_far_as(source, f'SELECT * FROM "{table}"')  # noqa: S608
        return
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        span = f'SELECT * FROM "{table}" WHERE rowid BETWEEN ? AND ?'  # noqa: S608
        try:
            yield source.execute(span, (some[0], some[-1])).fetchall()
        except sqlite3.DatabaseError:
            for key in some:
                with suppress(sqlite3.DatabaseError):
                    yield source.execute(span, (key, key)).fetchall()


def _keys(source: sqlite3.Connection, table: str) -> list[int]:
    """Row ids that can be read, from the beginning of the table and from its end."""
    source.execute(f'SELECT rowid FROM "{table}" LIMIT 0')  # noqa: S608
    first = _as_far_as(source, f'SELECT rowid FROM "{table}" ORDER BY rowid')  # noqa: S608
    last = _as_far_as(source, f'SELECT rowid FROM "{table}" ORDER BY rowid DESC')  # noqa: S608
    return sorted({int(str(row[0])) for row in (*first, *last)})


def _as_far_as(source: sqlite3.Connection, query: str) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    with suppress(sqlite3.DatabaseError):
        rows.extend(source.execute(query))
    return rows
