"""Queries in Flux, and the CSV of their answers.

A query keeps at most the columns ``_time``, ``_value`` and ``_field``, so an answer is a few columns by name. Text from
outside enters a query only through ``text``.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from streams.errors import HistoryUnavailable
from streams.history.influx.line_protocol import LAST_US, escaped
from twins.arrays import F8, I8

__all__ = ["NOTHING", "Answer", "Column", "answer", "clipped", "floats", "selection", "tables", "text", "us"]


class Column(NamedTuple):
    """One result and field of an answer: times and values, both as text."""

    time: list[str]
    value: list[str]


Answer = dict[tuple[str, str], Column]
"""By the names of result and field."""

NOTHING = Column([], [])


def text(value: str) -> str:
    r"""A Flux string without dollar signs (Flux misreads one before a backslash) and without zero bytes (they end the query).

    >>> print(text('a" + die() + "$${b}\\'))
    "a\" + die() + \"\x24\x24{b}\\"
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\x24").replace("\0", "\\x00") + '"'


def clipped(start_us: int, end_us: int) -> tuple[int, int] | None:
    """The part of a window that InfluxDB can represent; ``None`` if it is empty."""
    start, end = max(start_us, -LAST_US), min(end_us, LAST_US + 1)
    return (start, end) if start < end else None


def selection(
    bucket: str, window: tuple[int, int], measurement: str, fields: Iterable[str], **tags: Iterable[str]
) -> str:  # fmt: skip
    """Points of a window whose tags have given values. The storage does all the work; Flux does nothing row by row."""
    conditions = [f"r._measurement == {text(measurement)}", _one_of("_field", fields)]
    conditions += [_one_of(name, map(escaped, values)) for name, values in tags.items()]
    return (
        f"from(bucket: {text(bucket)})"
        f" |> range(start: time(v: {window[0] * 1000}), stop: time(v: {window[1] * 1000}))"
        f" |> filter(fn: (r) => {' and '.join(conditions)})"
    )


def _one_of(name: str, values: Iterable[str]) -> str:
    """A condition as a chain of ``or``: contains() is a thousand times slower."""
    return "(" + " or ".join(f"r[{text(name)}] == {text(value)}" for value in values) + ")"


def answer(body: str) -> Answer:
    """The columns of an answer; raises ``HistoryUnavailable`` if the answer ends in an error."""
    found: Answer = {}
    for block in body.split("\r\n\r\n"):
        header, _, rest = block.strip("\r\n").partition("\r\n")
        if rest:
            names = header.split(",")
            _sort_in(found, dict(zip(names, _columns(rest, len(names)), strict=True)))
    return found


def tables(body: str) -> Iterator[dict[str, str]]:
    """The rows of a small answer, with all columns kept; raises ``HistoryUnavailable`` if it ends in an error."""
    for block in body.split("\r\n\r\n"):
        for row in csv.DictReader(io.StringIO(block.strip("\r\n"), newline="")):
            if "error" in row:
                raise HistoryUnavailable(f"InfluxDB stopped its answer: {row['error'][:200]}")
            yield row


def _columns(rows: str, width: int) -> list[list[str]]:
    """Rows of CSV as columns. Numbers, of which there may be very many, need no reader for quotes."""
    if '"' in rows:
        table = list(csv.reader(io.StringIO(rows, newline="")))
        return [[row[number] for row in table] for number in range(width)]
    cells = rows.replace("\r\n", ",").split(",")
    return [cells[number::width] for number in range(width)]


def _sort_in(found: Answer, columns: dict[str, list[str]]) -> None:
    """Separate the tables under one header; they follow each other and are numbered."""
    if "error" in columns:
        raise HistoryUnavailable(f"InfluxDB stopped its answer: {columns['error'][0][:200]}")
    result, number = columns["result"], columns["table"]
    begin, rows = 0, len(number)
    while begin < rows:
        table = (result[begin], number[begin])
        end = rows
        if (result[-1], number[-1]) != table:
            end = next(row for row in range(begin, rows) if (result[row], number[row]) != table)
        name = (table[0], columns["_field"][begin] if "_field" in columns else "")
        before = found.get(name, NOTHING)
        time = columns["_time"][begin:end] if "_time" in columns else []
        found[name] = Column(before.time + time, before.value + columns["_value"][begin:end])
        begin = end


def us(times: list[str]) -> I8:
    """Microseconds since 1970 of times as Flux writes them, rounded down."""
    return np.array([time[:-1] for time in times], "M8[ns]").view(np.int64) // 1000


def floats(values: list[str]) -> F8:
    """Numbers as Flux writes them; NaN if empty."""
    return np.array([float(value) if value else np.nan for value in values], np.float64)
