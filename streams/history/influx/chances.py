"""Judged chances in InfluxDB: a point each, and the storage adds them up.

The fields are named by the bin of the stated chance (``stated_3``: 0.3 to 0.4), so that a question is a few sums that the
storage computes by itself. A bin as a tag would need several series for a channel.
"""

from collections.abc import Collection

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
_SIDES, _KINDS = ("low", "high"), ("within", "next")
_GROUP = '|> group(columns: ["ward", "side", "kind", "_field"])'


def chance_lines(chances: JudgedChances) -> Lines:
    """Judged chances as lines with the time they were stated in µs, and the number of those that cannot be stored."""
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
            lines.append(whose[patient] + f"{about} {fields} {made}\n".encode())
    return Lines(b"".join(lines), len(lines), len(chances.rows["made"]) - len(lines))


async def tallies(
    link: Link, bucket: str, signal: int, window: tuple[int, int], wards: Collection[str] | None
) -> list[Tally]:
    """What became of the chances stated in a window, by ward, side and kind."""
    given = clipped(*window)
    if given is None or (wards is not None and not wards):
        return []
    tags = {"signal": [signal_tag(signal)]}
    if wards is not None and len(wards) <= _NAMED:
        tags["ward"] = list(wards)
    parts = []
    for result, name, function in (
        ("count", "stated", "count"), ("stated", "stated", "sum"), ("came", "came", "sum"), ("squares", "squares", "sum"),
    ):  # fmt: skip
        fields = [f"{name}_{place}" for place in range(BINS)]
        asked = selection(bucket, given, "chance", fields, **tags)
        parts.append(f'{asked} {_GROUP} |> {function}() |> yield(name: "{result}")')
    found: dict[tuple[str, int, int, int], dict[str, float]] = {}
    for row in tables(await link.query("\n".join(parts))):
        ward = unescaped(row["ward"])
        if wards is None or ward in wards:
            place = int(row["_field"].rpartition("_")[2])
            key = (ward, _SIDES.index(row["side"]), _KINDS.index(row["kind"]), place)
            found.setdefault(key, {})[row["result"]] = float(row["_value"])
    return tallies_of(
        (*key, BinSums(round(sums["count"]), sums["stated"], round(sums["came"]), sums["squares"]))
        for key, sums in found.items()
    )
