"""Delete old history: by age and, if a bound is given, by size, oldest first."""

import sqlite3
import time

from streams.history.sqlite.schema import add_figure, figure

__all__ = ["retain"]

_AGED = (
    "DELETE FROM history_transition WHERE id IN (SELECT id FROM history_transition WHERE time < ? LIMIT ?)",
    (
        "DELETE FROM history_charted WHERE (patient, id) IN"
        " (SELECT patient, id FROM history_charted WHERE time < ? LIMIT ?)"
    ),
    (
        "DELETE FROM history_revision WHERE (patient, signal, time, place) IN"
        " (SELECT patient, signal, time, place FROM history_revision WHERE received < ? LIMIT ?)"
    ),
    (
        "DELETE FROM history_stay WHERE (patient, admitted) IN"
        " (SELECT patient, admitted FROM history_stay WHERE discharged > 0 AND discharged < ? LIMIT ?)"
    ),
    (
        "DELETE FROM history_chance WHERE (signal, hour, ward, side, kind, bin) IN"
        " (SELECT signal, hour, ward, side, kind, bin FROM history_chance WHERE hour < ? LIMIT ?)"
    ),
)
_PIECES = {
    "history_chunk": ("SELECT chunk, size FROM history_chunk WHERE end_us < ? ORDER BY end_us LIMIT ?",
                      "DELETE FROM history_chunk WHERE chunk = ?"),
    "history_lot": ("SELECT lot, size FROM history_lot WHERE end_us < ? ORDER BY end_us LIMIT ?",
                    "DELETE FROM history_lot WHERE lot = ?"),
}  # fmt: skip
_ALWAYS = (1 << 63) - 1
_AT_ONCE = 32
_EVENTS_AT_ONCE = 500


def retain(
    connection: sqlite3.Connection, before_us: int, alarms_before_us: int, max_bytes: int | None, budget_s: float
) -> bool:
    """Delete what is older, for about ``budget_s``; returns whether there is more to delete now.

    Segments and chunks are deleted as a whole, when their newest row is older than ``before_us`` or the bound is passed.
    """
    deadline = time.monotonic() + budget_s
    for table in _PIECES:
        while _delete(connection, table, before_us, _AT_ONCE):
            if time.monotonic() >= deadline:
                return True
    for statement in _AGED:
        while connection.execute(statement, (alarms_before_us, _EVENTS_AT_ONCE)).rowcount:
            if time.monotonic() >= deadline:
                return True
    while max_bytes is not None and figure(connection, "bytes") > max_bytes:
        if not _delete(connection, "history_chunk", _ALWAYS, 1) and not _delete(connection, "history_lot", _ALWAYS, 1):
            break
        if time.monotonic() >= deadline:
            return True
    return False


def _delete(connection: sqlite3.Connection, table: str, before_us: int, limit: int) -> bool:
    """Delete a few of a table's oldest rows that end before; returns whether there were any."""
    select, delete = _PIECES[table]
    found = connection.execute(select, (before_us, limit)).fetchall()
    if found:
        connection.executemany(delete, [(number,) for number, _ in found])
        add_figure(connection, "bytes", -sum(size for _, size in found))
    return bool(found)
