"""Judged chances as sums by ten bins of the stated chance: every score follows from them, so a large ward stays small."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.history.base import Tally
from twins.fitting.chances import BINS, Reliability, bins_of
from twins.records import JudgedChances

__all__ = ["HOUR_US", "BinSums", "HourOfBin", "by_hour", "tallies_of", "valid_rows"]

HOUR_US = 3_600_000_000


class BinSums(NamedTuple):
    """Chances of one bin: their number, their sum, how many came true, and the sum of (stated - came)²."""

    number: int
    stated: float
    came: int
    squares: float


class HourOfBin(NamedTuple):
    """What identifies a sum; ``hour`` is the beginning of the hour in which its chances were stated, in µs."""

    ward: str
    signal: int
    side: int
    kind: int
    hour: int
    bin: int


def valid_rows(chances: JudgedChances) -> dict[str, npt.NDArray[Any]]:
    """The columns of the rows whose stated chance is a probability."""
    rows = chances.rows
    good = (rows["stated"] >= 0.0) & (rows["stated"] <= 1.0)
    return rows if good.all() else {name: column[good] for name, column in rows.items()}


def by_hour(judged: Iterable[JudgedChances]) -> list[tuple[HourOfBin, BinSums]]:
    """The sums of all these chances."""
    records = list(judged)
    if not records:
        return []
    names = sorted({ward for one in records for ward in one.wards})
    number = {name: place for place, name in enumerate(names)}
    parts = []
    for one in records:
        rows = valid_rows(one)
        parts.append(rows | {"ward": np.array([number[ward] for ward in one.wards], np.int64)[rows["patient"]]})
    ward, signal, side, kind, made, stated, came = (
        np.concatenate([part[name] for part in parts])
        for name in ("ward", "signal", "side", "kind", "made", "stated", "came")
    )
    about = np.stack([ward, signal, side, kind, made // HOUR_US * HOUR_US, bins_of(stated)])
    found, place = np.unique(about.astype(np.int64), axis=1, return_inverse=True)
    chance, event = stated.astype(np.float64), came.astype(np.float64)
    columns = [
        np.bincount(place, weights, found.shape[1]).tolist() for weights in (None, chance, event, (chance - event) ** 2)
    ]
    return [
        (HourOfBin(names[about[0]], *about[1:]), BinSums(count, stated_sum, round(came_sum), squares))
        for about, count, stated_sum, came_sum, squares in zip(found.T.tolist(), *columns, strict=True)
    ]


def tallies_of(parts: Iterable[tuple[str, int, int, int, BinSums]]) -> list[Tally]:
    """Sums with their ward, side, kind and bin as tallies, by ward, side and kind."""
    found: dict[tuple[str, int, int], list[BinSums]] = {}
    for ward, side, kind, place, sums in parts:
        bins = found.setdefault((ward, side, kind), [BinSums(0, 0.0, 0, 0.0)] * BINS)
        bins[place] = _added(bins[place], sums)
    return [Tally(*name, _scores(found[name])) for name in sorted(found)]


def _added(one: BinSums, other: BinSums) -> BinSums:
    return BinSums(
        one.number + other.number, one.stated + other.stated, one.came + other.came, one.squares + other.squares
    )


def _scores(bins: list[BinSums]) -> Reliability:
    count, stated, came, squares = zip(*bins, strict=True)
    return Reliability(count=count, stated_sum=stated, came=came, squares=squares)
