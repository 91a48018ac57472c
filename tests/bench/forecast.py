"""``infra/bench forecast``: the twins' forecasts on recorded patients, compared with simpler forecasts.

The twins' forecasts and every peer's are scored on the same pairs of an origin and the reading nearest to its horizon, as
in ``evaluate``; none uses a reading later than the origin.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from api.cli.output import Failure, say
from streams.recordings.evaluate import HORIZONS, Forecasts, pairs
from streams.recordings.recording import Recording, read
from tests.bench.crossings import Crossings, crossings_of, summary
from tests.bench.peers.local_level import levels
from twins.arrays import F8, I8
from twins.fitting.scores import crps_halves, score
from twins.records import Columns
from twins.signals import FILTERED, SIGNALS

__all__ = ["CROSSING_FILES", "FILES", "PEERS", "constant", "rolling_mean", "rows_of", "run", "table_of"]

FILES = (
    "bidmc_numerics_1hz",
    "mimic4_waveform_numerics",
    "mimic2_waveform_numerics_1min",
    "stresspredict_wearable",
    "challenge2012_icu",
    "eicu_demo_hourly",
    "eicu_demo_nibp",
    "hall2018_cgm",
)
CROSSING_FILES = ("dubosson2018_cgm", "mimic4_demo_charted", "shanghai_t1dm", "shanghai_t2dm", "weinstock2016_cgm")
"""Files of which only the stated chances of a crossing are scored."""
PEERS = ("persistence", "local_level", "rolling_mean")

_QUICK = {"bidmc_numerics_1hz": 3, "hall2018_cgm": 2}
_ROWS = ("outcome", "mean", "low", "high", "tail", *PEERS, "constant", "after_step")
_MINUTE_US = 60_000_000
_ROUNDING = 1e-9
"""In a shorter recording the rolling mean equals the mean of all readings so far."""
_Z80 = 1.2815515655446004
_STEP, _AFTER_US = 4.0, 30 * _MINUTE_US
_FEWEST = 300
"""A group with fewer pairs has no row."""
_WITHIN = {"cov80": (0.80, 0.04), "cov95": (0.95, 0.02)}


def run(*, quick: bool = False) -> dict[str, Any]:
    """One row per file, signal and horizon, and how many of them count, are better, and are well covered.

    A row counts if a peer beats the patient's own average so far (``constant``): otherwise the recent past does not help
    to forecast at all. ``quick`` uses a few patients of two small files.
    """
    folder = Path(os.environ.get("VITALTWIN_DATA") or Path(__file__).parents[3] / "shared" / "data")
    rows: list[dict[str, Any]] = []
    crossings = Crossings()
    for name in _QUICK if quick else (*FILES, *CROSSING_FILES):
        path = folder / f"{name}.csv.gz"
        if not path.exists():
            raise Failure(f"{path} is missing: name the folder of recordings in VITALTWIN_DATA")
        recording = read(path)
        odd = sorted(recording.columns.patients)[1::2][: _QUICK[name] if quick else None]
        recording = recording.of_patients(odd)
        say(f"{name}: {len(recording):,} readings of {len(odd)} patients")
        made = Forecasts(recording, HORIZONS)
        made.stream()
        if name not in CROSSING_FILES:
            rows += rows_of(name, made)
        crossings[name] = crossings_of(made)
    return {
        "scored": "patients at odd places by id; parameters were fitted on the even ones",
        "origins_per_series": "all",
        "peers": {
            "persistence": "the newest reading",
            "local_level": "random walk in noise by maximum likelihood on the past (checked against statsmodels in the tests)",
            "rolling_mean": "mean of the last 10 sampling steps, but at least 5 min",
            "constant": "mean of all of the series' readings so far; decides what is asked, is no peer",
        },
        **_summary([row for row in rows if "level" not in row and "after_step" not in row]),
        "groups": _of_groups([row for row in rows if "level" in row or "after_step" in row]),
        "chances": summary(crossings),
        "rows": _Rows(rows),
        "crossings": crossings,
    }


def table_of(name: str, recording: Recording) -> list[dict[str, Any]]:
    """The rows of one recording, by signal and horizon; horizons without readings are left out."""
    made = Forecasts(recording, HORIZONS)
    made.stream()
    return rows_of(name, made)


def rows_of(name: str, made: Forecasts) -> list[dict[str, Any]]:
    """The rows of one recording whose forecasts are made."""
    columns = made.columns
    gathered: dict[tuple[int, int], list[F8]] = {}
    for code, places in _series(columns):
        time, value = columns.time[places], columns.value[places]
        peers = np.stack([
            value, levels(time, value), rolling_mean(time, value), constant(value), _after_step(made, places, time, value),
        ])  # fmt: skip
        for number, minutes in enumerate(HORIZONS):
            origin, target = pairs(time, minutes)
            known = np.isfinite(made.mean[places[origin], number])
            origin, target = origin[known], target[known]
            if len(origin):
                own = (column[places[origin], number] for column in (made.mean, made.low, made.high, made.tail))
                gathered.setdefault((code, minutes), []).append(np.vstack([value[target], *own, peers[:, origin]]))
    rows = []
    for (code, minutes), parts in sorted(gathered.items()):
        about = {"file": name, "signal": SIGNALS[code].name, "horizon": minutes}
        rows.append(about | _row(parts))
        rows += [about | group for group in _groups(SIGNALS[code].levels, parts)]
    return rows


def _after_step(made: Forecasts, places: np.typing.NDArray[np.intp], time: I8, value: F8) -> F8:
    """1 for each reading within ``_AFTER_US`` of a step: a reading ``_STEP`` spreads off the forecast at the shortest horizon."""
    steps = np.zeros(0, np.int64)
    for number, minutes in enumerate(HORIZONS):
        origin, target = pairs(time, minutes)
        if len(origin):
            error = value[target] - made.mean[places[origin], number]
            side = np.where(error < 0, made.low[places[origin], number], made.high[places[origin], number])
            steps = np.unique(time[target[np.abs(error) >= _STEP * side]])
            break
    newest = np.searchsorted(steps, time, side="right") - 1
    flags: F8 = ((newest >= 0) & (time - np.append(steps, 0)[newest] < _AFTER_US)).astype(float)
    return flags


def _groups(edges: tuple[float, ...], parts: list[F8]) -> list[dict[str, Any]]:
    """Coverage and both tails of pairs in each band of level, and after steps, where there are ``_FEWEST`` or more."""
    columns_of = dict(zip(_ROWS, np.concatenate(parts, axis=1), strict=True))
    bands = [-np.inf, *edges, np.inf]
    chosen: list[tuple[dict[str, Any], np.typing.NDArray[np.bool_]]] = [
        ({"level": f"{low:g} to {high:g}"}, (columns_of["persistence"] >= low) & (columns_of["persistence"] < high))
        for low, high in pairwise(bands)
        if edges
    ]
    chosen.append(({"after_step": True}, columns_of["after_step"] > 0))
    return [
        which | _ends({name: row[here] for name, row in columns_of.items()})
        for which, here in chosen
        if here.sum() >= _FEWEST
    ]


def _ends(columns_of: dict[str, F8]) -> dict[str, Any]:
    """How many pairs there are, and how many outcomes lie within the 80 % band, below it and above it."""
    error = columns_of["outcome"] - columns_of["mean"]
    low, high = error < -_Z80 * columns_of["low"], error > _Z80 * columns_of["high"]
    return {
        "pairs": len(error),
        "cov80": float(np.mean(~(low | high))),
        "tail_low": float(np.mean(low)),
        "tail_high": float(np.mean(high)),
        "crps": float(
            np.mean(crps_halves(error, np.maximum(columns_of["low"], 1e-9), np.maximum(columns_of["high"], 1e-9)))
        ),
    }


def _of_groups(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many groups have 72 to 88 % within the 80 % band, and 6 to 14 % beyond either end."""
    return {
        "of": len(rows),
        "cov80_within": sum(0.72 <= row["cov80"] <= 0.88 for row in rows),
        "tails_within": sum(0.06 <= row[tail] <= 0.14 for row in rows for tail in ("tail_low", "tail_high")),
    }


def rolling_mean(time_us: I8, value: F8) -> F8:
    """At each reading the mean of the readings in the last ten usual steps, at least 5 min, including itself.

    >>> rolling_mean(np.arange(0, 15, 5) * 60_000_000, np.array([1.0, 2.0, 6.0])).tolist()
    [1.0, 1.5, 3.0]
    """
    window_us = int(max(10.0 * _usual_us(time_us), 5.0 * _MINUTE_US))
    first = np.searchsorted(time_us, time_us - window_us, side="right")
    last = np.arange(1, len(value) + 1)
    total = np.concatenate([[0.0], np.cumsum(value - value[0])])
    result: F8 = value[0] + (total[last] - total[first]) / (last - first)
    return result


def constant(value: F8) -> F8:
    """At each reading the mean of all readings up to it.

    >>> constant(np.array([1.0, 2.0, 6.0])).tolist()
    [1.0, 1.5, 3.0]
    """
    result: F8 = np.cumsum(value) / np.arange(1, len(value) + 1)
    return result


def _usual_us(time_us: I8) -> float:
    steps = np.diff(time_us)
    return float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0


def _series(columns: Columns) -> Iterator[tuple[int, np.typing.NDArray[np.intp]]]:
    """Signal code and places, in order of time, of the plausible readings of each followed channel."""
    low, high = np.array([signal.plausible for signal in SIGNALS]).T
    code = columns.signal
    usable = np.flatnonzero(FILTERED[code] & (columns.value >= low[code]) & (columns.value <= high[code]))
    channel = columns.patient[usable].astype(np.int64) * len(SIGNALS) + code[usable]
    order = np.argsort(channel, kind="stable")
    for places in np.split(usable[order], np.flatnonzero(np.diff(channel[order])) + 1):
        if len(places) > 1:
            yield int(code[places[0]]), places


def _row(parts: list[F8]) -> dict[str, Any]:
    """Errors over all patients' pairs and the median patient's coverage; parts have the rows ``_ROWS``."""
    columns_of = dict(zip(_ROWS, np.concatenate(parts, axis=1), strict=True))
    pooled = score(*(columns_of[name] for name in _ROWS[:6]))
    each = [score(*part[:6]).coverage for part in parts]
    rmse = {
        name: float(np.sqrt(np.mean((columns_of["outcome"] - columns_of[name]) ** 2))) for name in (*PEERS, "constant")
    }
    best = min(PEERS, key=rmse.__getitem__)
    ends = _ends(columns_of)
    return {
        "patients": len(parts),
        "tail_low": ends["tail_low"],
        "tail_high": ends["tail_high"],
        "pairs": pooled.pairs,
        "rmse": pooled.rmse,
        "crps": pooled.crps,
        "cov80": pooled.coverage["80"],
        "cov95": pooled.coverage["95"],
        "cov80_median": float(np.median([one["80"] for one in each])),
        "cov95_median": float(np.median([one["95"] for one in each])),
        **{f"{name}_rmse": error for name, error in rmse.items()},
        "best_peer": best,
        "best_peer_rmse": rmse[best],
        "better": pooled.rmse < rmse[best],
        "asked": rmse[best] < rmse["constant"] * (1.0 - _ROUNDING),
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Counts over the rows; ``better`` among those that count, ``…_within`` 4 points of 80 % and 2 of 95 %."""
    within = {
        f"{band}{of}_within": sum(abs(row[band + of] - share) <= most for row in rows)
        for of in ("", "_median")
        for band, (share, most) in _WITHIN.items()
    }
    asked = [row for row in rows if row["asked"]]
    return {"asked": len(asked), "better": sum(row["better"] for row in asked), **within, "of": len(rows)}


class _Rows(list[dict[str, Any]]):
    """Rows, printed as a table."""

    def __str__(self) -> str:
        head = ("file", "signal", "min", "pairs", "rmse", "best", "peer", "80 %", "95 %", "twin is")
        shape = "{:30}{:24}{:>4}{:>9}{:>8}{:>8}  {:13}{:>5}{:>5}{:>9}"
        lines = [
            (
                row["file"], row["signal"], row["horizon"], f"{row['pairs']:,}", f"{row['rmse']:.3f}",
                f"{row['best_peer_rmse']:.3f}", row["best_peer"], f"{100 * row['cov80']:.0f}",
                f"{100 * row['cov95']:.0f}",
                ("better" if row["better"] else "worse") if row["asked"] else "unasked",
            )
            for row in self
            if "rmse" in row  # groups have no peers
        ]  # fmt: skip
        return "\n".join(shape.format(*line) for line in (head, *lines))
