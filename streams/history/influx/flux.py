"""Questions in Flux, and the CSV that answers them.

Every question keeps the columns ``_time``, ``_value`` and ``_field`` at most, so an answer is a few columns by name.
Text from outside enters a question only through ``text``.
"""

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from streams.errors import HistoryUnavailable
from streams.history.line_protocol import LAST_US, escaped
from twins.records import F8, I8

__all__ = ["Answer", "Column", "answer", "clipped", "floats", "selection", "text", "us"]


class Column(NamedTuple):
    """One result and field of an answer: times and values, both as text."""

    time: tuple[str, ...]
    value: tuple[str, ...]


Answer = dict[tuple[str, str], Column]
"""By the names of result and field."""

_NOTHING = Column((), ())


def text(value: str) -> str:
    r"""A string of Flux; never with a dollar sign in it, which Flux misreads before a backslash.

    >>> print(text('a" + die() + "$${b}\\'))
    "a\" + die() + \"\x24\x24{b}\\"
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\x24") + '"'


def clipped(start_us: int, end_us: int) -> tuple[int, int] | None:
    """The part of a window InfluxDB has times for; ``None`` when it is empty."""
    start, end = max(start_us, -LAST_US), min(end_us, LAST_US + 1)
    return (start, end) if start < end else None


def selection(
    bucket: str, window: tuple[int, int], measurement: str, fields: Iterable[str], **tags: Iterable[str]
) -> str:  # fmt: skip
    """Points of a window; a tag must be one of those given. The storage does all of it, nothing is row by row in Flux."""
    conditions = [f"r._measurement == {text(measurement)}", _one_of("_field", fields)]
    conditions += [_one_of(name, map(escaped, values)) for name, values in tags.items()]
    return (
        f"from(bucket: {text(bucket)})"
        f" |> range(start: time(v: {window[0] * 1000}), stop: time(v: {window[1] * 1000}))"
        f" |> filter(fn: (r) => {' and '.join(conditions)})"
    )


def _one_of(name: str, values: Iterable[str]) -> str:
    """A condition; never with contains(), which is a thousand times slower."""
    return "(" + " or ".join(f"r[{text(name)}] == {text(value)}" for value in values) + ")"


def answer(body: str) -> Answer:
    """The columns of an answer; raises ``HistoryUnavailable`` where it breaks off with an error."""
    found: Answer = {}
    header: list[str] | None = None
    block: list[list[str]] = []
    for row in [*csv.reader(io.StringIO(body, newline="")), []]:
        if not row:
            if header is not None and block:
                _sort_in(found, header, block)
            header, block = None, []
        elif header is None:
            header = row
        else:
            block.append(row)
    return found


def _sort_in(found: Answer, header: list[str], block: list[list[str]]) -> None:
    """Take the tables of one header apart; tables follow each other and are numbered."""
    if "error" in header:
        raise HistoryUnavailable(f"InfluxDB breaks off its answer: {block[0][header.index('error')][:200]}")
    begin = 0
    place = {name: number for number, name in enumerate(header)}
    while begin < len(block):
        table = (block[begin][place["result"]], block[begin][place["table"]])
        end = len(block)
        if (block[-1][place["result"]], block[-1][place["table"]]) != table:
            end = next(
                row for row in range(begin, len(block))
                if (block[row][place["result"]], block[row][place["table"]]) != table
            )  # fmt: skip
        columns = list(zip(*block[begin:end], strict=True))
        name = (table[0], columns[place["_field"]][0] if "_field" in place else "")
        before = found.get(name, _NOTHING)
        time = columns[place["_time"]] if "_time" in place else ()
        found[name] = Column(before.time + time, before.value + columns[place["_value"]])
        begin = end


def us(times: tuple[str, ...]) -> I8:
    """Microseconds since 1970 of times as Flux writes them, down to the one they lie in."""
    return np.array([time[:-1] for time in times], "M8[ns]").view(np.int64) // 1000


def floats(values: tuple[str, ...]) -> F8:
    """Numbers as Flux writes them; what is left out is none."""
    return np.array([float(value) if value else np.nan for value in values], np.float64)
