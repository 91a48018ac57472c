"""Judged chances in InfluxDB: a point each, and the storage adds them up.

The fields are named by the bin of the stated chance (``stated_3``: 0.3 to 0.4), so that a question is a few sums that the
storage computes by itself. A bin as a tag would need several series for a channel. They are in the bucket of alarms: a
question is about weeks or months of many patients, and its time is mostly that of opening each series in each shard. That
bucket's shards are seven times as long.
"""

from collections.abc import Collection

from streams.clock import Clock
from streams.history.base import Tally
from streams.history.chances import BinSums, tallies_of, valid_rows
from streams.history.influx.flux import clipped, selection, tables
from streams.history.influx.line_protocol import LAST_US, Lines, signal_tag, tag, unescaped
from streams.history.influx.link import Link
from twins.fitting.chances import BINS, bins_of
from twins.records import JudgedChances

__all__ = ["chance_lines", "tallies"]

_NAMED = 50
"""A query names at most this many wards; for more it asks for all and drops the others."""
_SPAN_US = 30 * 86_400_000_000
"""One query sums up at most this span, so that it ends within its time."""
_SIDES, _KINDS = ("low", "high"), ("within", "next")
_GROUP = '|> group(columns: ["ward", "side", "kind", "_field"])'


def chance_lines(chances: JudgedChances) -> Lines:
    """Judged chances as lines with nanoseconds, at the time they were stated, and the number of those that cannot be stored."""
    rows = valid_rows(chances)
    lines: list[bytes] = []
    whose = [
        b"chance,patient=" + tag(patient) + b",ward=" + tag(ward)
        for patient, ward in zip(chances.patients, chances.wards, strict=True)
    ]
    places = bins_of(rows["stated"]).tolist()
    columns = [rows[name].tolist() for name in ("patient", "signal", "side", "kind", "made", "stated", "came")]
    for place, patient, signal, side, kind, made, stated, came in zip(places, *columns, strict=True):
        if -LAST_US <= made <= LAST_US:
            about = f",signal={tag(signal_tag(signal)).decode()},side={_SIDES[side]},kind={_KINDS[kind]}"
            fields = f"stated_{place}={stated!r},came_{place}={came}i,squares_{place}={(stated - came) ** 2!r}"
            lines.append(whose[patient] + f"{about} {fields} {made * 1000}\n".encode())
    return Lines(b"".join(lines), len(lines), len(chances.rows["made"]) - len(lines))


async def tallies(
    link: Link, place: tuple[str, int], signal: int, window: tuple[int, int], wards: Collection[str] | None
) -> list[Tally]:
    """What became of the chances stated in a window, by ward, side and kind; a long window is several queries.

    ``place`` is the bucket and its retention (µs).
    """
    given = clipped(*window)
    if given is None or (wards is not None and not wards):
        return []
    bucket, keep_us = place
    now = Clock().now()
    # Nothing is older than the retention; a service whose clock is fast may be that far ahead.
    start, end = max(given[0], now - keep_us), min(given[1], now + keep_us)
    parts = []
    for begin in range(start, end, _SPAN_US):
        parts += await _sums(link, bucket, signal, (begin, min(end, begin + _SPAN_US)), wards)
    return tallies_of(parts)


async def _sums(
    link: Link, bucket: str, signal: int, window: tuple[int, int], wards: Collection[str] | None
) -> list[tuple[str, int, int, int, BinSums]]:
    """Sums by ward, side, kind and bin."""
    tags = {"signal": [signal_tag(signal)]}
    if wards is not None and len(wards) <= _NAMED:
        tags["ward"] = list(wards)
    parts = []
    for result, name, function in (
        ("count", "stated", "count"), ("stated", "stated", "sum"), ("came", "came", "sum"), ("squares", "squares", "sum"),
    ):  # fmt: skip
        fields = [f"{name}_{place}" for place in range(BINS)]
        asked = selection(bucket, window, "chance", fields, **tags)
        parts.append(f'{asked} {_GROUP} |> {function}() |> yield(name: "{result}")')
    found: dict[tuple[str, int, int, int], dict[str, float]] = {}
    for row in tables(await link.query("\n".join(parts))):
        ward = unescaped(row["ward"])
        if wards is None or ward in wards:
            place = int(row["_field"].rpartition("_")[2])
            key = (ward, _SIDES.index(row["side"]), _KINDS.index(row["kind"]), place)
            found.setdefault(key, {})[row["result"]] = float(row["_value"])
    return [
        (*key, BinSums(round(sums["count"]), sums["stated"], round(sums["came"]), sums["squares"]))
        for key, sums in found.items()
    ]
