"""Sums of judged chances by hour: written in the transaction that covers their records, so each is counted once."""

import json
import sqlite3
from collections.abc import Collection

from streams.history.base import Tally
from streams.history.buffer import Waiting
from streams.history.chances import BinSums, by_hour, tallies_of

__all__ = ["insert", "tallies"]

_ADD = """
INSERT INTO history_chance (ward, signal, side, kind, hour, bin, count, stated, came, squares)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (signal, hour, ward, side, kind, bin) DO UPDATE SET count = count + excluded.count,
        stated = stated + excluded.stated, came = came + excluded.came, squares = squares + excluded.squares
"""
_SELECT = """
SELECT ward, side, kind, bin, sum(count), sum(stated), sum(came), sum(squares) FROM history_chance
    WHERE signal = ?1 AND hour >= ?2 AND hour < ?3 AND (?4 IS NULL OR ward IN (SELECT value FROM json_each(?4)))
    GROUP BY ward, side, kind, bin
"""


def insert(connection: sqlite3.Connection, waiting: Waiting) -> None:
    """Add what was judged to the sums of its hours."""
    if waiting.chances:
        found = by_hour(placed.chances for placed in waiting.chances)
        connection.executemany(_ADD, [(*key, *sums) for key, sums in found])


def tallies(
    connection: sqlite3.Connection,
    waiting: Waiting,
    signal: int,
    window: tuple[int, int],
    wards: Collection[str] | None,
) -> list[Tally]:
    """What became of the chances stated in the hours that begin in the window, with those still in the buffer."""
    named = None if wards is None else json.dumps(list(wards))
    parts = [
        (ward, side, kind, place, BinSums(*sums))
        for ward, side, kind, place, *sums in connection.execute(_SELECT, (signal, *window, named))
    ]
    parts += [
        (key.ward, key.side, key.kind, key.bin, sums)
        for key, sums in by_hour(placed.chances for placed in waiting.chances)
        if key.signal == signal and window[0] <= key.hour < window[1] and (wards is None or key.ward in wards)
    ]
    return tallies_of(parts)
