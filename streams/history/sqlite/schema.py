"""The tables of the SQLite history, and a few figures about them.

``history_lot`` has the segments (level 0), ``history_chunk`` everything above. A chunk's ``sequence`` is the number of the
newest segment in it, so rows by (sequence, then segment) are in the order of writing. ``history_progress`` says how far
the segments of a partition up to ``upto`` have been cut into chunks: for patients up to ``done``, in order of name.
``history_chance`` has sums of judged chances by hour and ward, no single ones: it stays small without compaction.

``FORMAT`` rises with every change that an earlier version would misunderstand; the figure ``format`` stores it. A history
without that figure has the first format, or an older one, which ``create`` brings up to date.
"""

import sqlite3

from streams.errors import NewerVersion

__all__ = ["FINAL", "FORMAT", "TABLES", "add_figure", "check_format", "covered", "create", "figure"]

FORMAT = 1

FINAL = 9
"""The level of a chunk that is never merged again."""

TABLES = """
CREATE TABLE IF NOT EXISTS history_offset (partition INTEGER PRIMARY KEY, covered INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS history_figure (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history_lot (
    lot INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, partition INTEGER NOT NULL,
    rows INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, size INTEGER NOT NULL,
    patients BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS history_lot_span ON history_lot (kind, partition, lot, rows, start_us, end_us);
CREATE TABLE IF NOT EXISTS history_chunk (
    chunk INTEGER PRIMARY KEY, kind INTEGER NOT NULL, patient TEXT NOT NULL, level INTEGER NOT NULL,
    sequence INTEGER NOT NULL, rows INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
    size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS history_chunk_span
    ON history_chunk (kind, patient, end_us, start_us, sequence, level, rows);
CREATE INDEX IF NOT EXISTS history_chunk_age ON history_chunk (end_us, kind, size);
CREATE TABLE IF NOT EXISTS history_progress (
    kind INTEGER, partition INTEGER, upto INTEGER NOT NULL, done TEXT NOT NULL, PRIMARY KEY (kind, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history_transition (
    id TEXT PRIMARY KEY, alarm TEXT NOT NULL, patient TEXT NOT NULL, time INTEGER NOT NULL, place INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS history_transition_patient ON history_transition (patient, time, place, id);
CREATE INDEX IF NOT EXISTS history_transition_time ON history_transition (time, place, id);
CREATE INDEX IF NOT EXISTS history_transition_alarm ON history_transition (alarm, time, place, id);
CREATE TABLE IF NOT EXISTS history_charted (
    patient TEXT, id TEXT, time INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (patient, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_charted_time ON history_charted (time);
CREATE TABLE IF NOT EXISTS history_revision (
    patient TEXT, signal TEXT, time INTEGER, place INTEGER, received INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (patient, signal, time, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_revision_received ON history_revision (received);
CREATE TABLE IF NOT EXISTS history_stay (
    patient TEXT, admitted INTEGER, discharged INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (patient, admitted)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_stay_discharged ON history_stay (discharged);
CREATE TABLE IF NOT EXISTS history_chance (
    signal INTEGER, hour INTEGER, ward TEXT, side INTEGER, kind INTEGER, bin INTEGER,
    count INTEGER NOT NULL, stated REAL NOT NULL, came INTEGER NOT NULL, squares REAL NOT NULL,
    PRIMARY KEY (signal, hour, ward, side, kind, bin)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_chance_hour ON history_chance (hour);
"""


def create(connection: sqlite3.Connection) -> None:
    """Create missing tables, in one transaction; an open transaction stays open. Raises ``NewerVersion``."""
    check_format(connection)
    mine = not connection.in_transaction
    if mine:
        connection.execute("BEGIN")
    for statement in TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'history_fact'").fetchone():
        # An earlier version identified a fact by its kind and time.
        connection.execute(
            "INSERT OR IGNORE INTO history_charted SELECT patient, kind || '@' || time, time, body FROM history_fact"
        )
        connection.execute("DROP TABLE history_fact")
    connection.execute("INSERT OR REPLACE INTO history_figure VALUES ('format', ?)", (FORMAT,))
    if mine:
        connection.execute("COMMIT")


def check_format(connection: sqlite3.Connection) -> None:
    """Return if this version knows the history's tables, or if there are none; raises ``NewerVersion``."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'history_figure'").fetchone():
        return
    kept = figure(connection, "format")
    if kept > FORMAT:
        raise NewerVersion(
            f"its history was written by a newer version of vitaltwin (format {kept}; this one knows {FORMAT}):"
            " use that version, or restore a backup made before it"
        )


def covered(connection: sqlite3.Connection) -> dict[int, int]:
    """By partition, the newest log offset up to which everything is stored."""
    return dict(connection.execute("SELECT partition, covered FROM history_offset"))


def figure(connection: sqlite3.Connection, name: str) -> int:
    """A stored figure: ``bytes`` of all segments and chunks, ``slices`` of compaction done, ``format``; 0 if never written."""
    row = connection.execute("SELECT value FROM history_figure WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def add_figure(connection: sqlite3.Connection, name: str, change: int) -> None:
    """Change a figure in the transaction of the rows it counts."""
    connection.execute(
        "INSERT INTO history_figure VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
        (name, change),
    )
