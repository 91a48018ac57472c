"""``infra/bench kernel``: readings a second through the channel twin's arithmetic alone, one thread, in memory.

Every patient has one heart rate a second; each round has its own order, as from many monitors. In the same run: the same
arithmetic in C (``channel_kernel.c``, compiled with the machine's ``gcc`` if there is one), filterpy's two-state filter
reading by reading, and simdkalman's over all series at once.
"""

import ctypes
import importlib.util
import math
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from api.cli.output import Failure, say
from twins.arrays import F8, I8
from twins.bank import layout
from twins.compiled.prefetch import AHEAD, aligned
from twins.models.channel import filter as channel
from twins.models.channel.model import update_rows
from twins.signals import BY_NAME

__all__ = ["COMPILER", "Readings", "Walk", "compiled", "readings", "run"]

COMPILER = "gcc"
_OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC")
_SOURCE = Path(__file__).with_name("channel_kernel.c")
_SIGNAL = BY_NAME["heart_rate"]
_MACROS = {
    **{name: value for name, value in vars(layout).items() if name.isupper() and isinstance(value, int | float)},
    **{name: value for name, value in vars(channel).items() if name.isupper() and isinstance(value, int | float)},
    "ROOT_2PI": math.sqrt(2.0 * math.pi),
    "SERIES": channel.SERIES,
    "INVALID": 9,
    "AHEAD": AHEAD,
}

Walk = Callable[..., None]


class Readings(NamedTuple):
    """Columns in order of arrival; ``rows`` are the patients'."""

    rows: I8
    signal: npt.NDArray[np.uint16]
    time: I8
    value: F8


def run(*, quick: bool = False) -> dict[str, Any]:
    """Medians over alternating repeats, in CPU seconds of the thread, as other programs may share the machine.

    ``ratio`` is our events a second divided by each peer's; for C our time divided by its time (1: equal), ``null`` without a
    compiler. ``filterpy`` predicts and updates with the matrices of each gap, which is necessary if gaps differ.
    ``simdkalman`` filters the series of the 10,000 patients together, with equal gaps.
    """
    if any(importlib.util.find_spec(name) is None for name in ("filterpy", "simdkalman")):
        raise Failure("bench kernel measures against filterpy and simdkalman: pip install 'vitaltwin[bench]'")
    sizes = {"10k": (1_000, 20), "1m": (2_000, 10)} if quick else {"10k": (10_000, 200), "1m": (1_000_000, 4)}
    figures: dict[str, Any] = {"patients": {name: size[0] for name, size in sizes.items()}}
    with tempfile.TemporaryDirectory() as folder:
        walks: dict[str, Walk] = {"numba": update_rows}
        if shutil.which(COMPILER):
            walks["c"] = compiled(Path(folder))
        else:
            figures["note"] = f"no {COMPILER} on this machine: nothing to compare with in C"
        speed: dict[str, dict[str, float]] = {name: {} for name in walks}
        for size, (patients, rounds) in sizes.items():
            say(f"{patients:,} patients, {rounds} readings of each")
            for name, measured in _speeds(walks, patients, rounds, 3 if quick else 9).items():
                speed[name][size] = measured
    patients = sizes["10k"][0]
    say("filterpy")
    filterpy = _filterpy(readings(100, 10 if quick else 40))
    say("simdkalman")
    simdkalman = _simdkalman(patients, 5 if quick else 20)
    figures["events_per_s"] = speed["numba"]
    figures["peers"] = {"filterpy": filterpy, "simdkalman": simdkalman, "c": speed.get("c")}
    figures["ratio"] = {
        "filterpy": speed["numba"]["10k"] / filterpy,
        "simdkalman": speed["numba"]["10k"] / simdkalman,
        "c": speed["c"]["10k"] / speed["numba"]["10k"] if "c" in speed else None,
        "c_1m": speed["c"]["1m"] / speed["numba"]["1m"] if "c" in speed else None,
    }
    return figures


def readings(patients: int, rounds: int, seed: int = 1) -> Readings:
    """One heart rate per second and patient: whole numbers around a slow course, 1 in 200 a spike, 1 in 1,000 a zero."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(patients) for _ in range(rounds)])
    second = np.repeat(np.arange(1, rounds + 1), patients)
    at = second * 1_000_000 + rng.integers(0, 300_000, len(rows))
    value = np.round(75.0 + 10.0 * np.sin(rows + 0.005 * second) + rng.normal(0.0, 0.7, len(rows)))
    chance = rng.random(len(rows))
    value[chance < 0.005] += 60.0
    value[chance > 0.999] = 0.0
    return Readings(rows, np.full(len(rows), _SIGNAL.code, np.uint16), at, value)


def compiled(folder: Path) -> Walk:
    """The channel model's loop in C, compiled into ``folder`` with the columns and constants of our kernels."""
    library = folder / "channel_kernel.so"
    macros = [f"-D{name}={value!r}" for name, value in _MACROS.items()]
    command = [COMPILER, *_OPTIONS, *macros, "-o", str(library), str(_SOURCE), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Failure(f"{COMPILER} could not compile {_SOURCE.name}: {made.stderr}")
    function = ctypes.CDLL(str(library)).walk

    def walk_in_c(*columns: npt.NDArray[Any]) -> None:
        function(ctypes.c_int64(len(columns[2])), *(ctypes.c_void_p(column.ctypes.data) for column in columns))

    return walk_in_c


def _speeds(walks: dict[str, Walk], patients: int, rounds: int, repeats: int) -> dict[str, float]:
    """Events a second of each loop, alternating, from the same state, that after the first round."""
    known, seen = aligned((patients, layout.STATE_WIDTH)), readings(patients, rounds + 1)
    first, rest = (Readings(*part) for part in zip(*(np.split(column, [patients]) for column in seen), strict=True))
    update_rows(known, layout.PARAMETERS, *first, np.zeros(patients, np.uint8))
    state, status = aligned(known.shape), np.zeros(len(rest.rows), np.uint8)
    taken: dict[str, list[float]] = {name: [] for name in walks}
    for _ in range(repeats):
        for name, way in walks.items():
            state[:] = known
            began = time.thread_time()
            way(state, layout.PARAMETERS, *rest, status)
            taken[name].append(time.thread_time() - began)
    return {name: len(rest.rows) / statistics.median(times) for name, times in taken.items()}


def _filterpy(seen: Readings) -> float:
    model: Any = import_module("filterpy.kalman").KalmanFilter
    filters: dict[int, tuple[Any, float]] = {}
    fast, slow = 1.0 / _SIGNAL.modes.fast_s, 1.0 / _SIGNAL.modes.slow_s
    spread = np.array([_SIGNAL.modes.fast_sd**2, _SIGNAL.modes.slow_sd**2])
    for row in np.unique(seen.rows):
        one = model(dim_x=2, dim_z=1)
        one.x, one.P, one.H, one.R = np.zeros((2, 1)), np.diag(spread), np.ones((1, 2)), np.array([[1.0]])
        filters[int(row)] = one, 0.0
    columns = seen.rows.tolist(), (seen.time * 1e-6).tolist(), (seen.value - _SIGNAL.modes.mean).tolist()
    began = time.thread_time()
    for row, at, value in zip(*columns, strict=True):
        one, before = filters[row]
        stay = np.array([math.exp(-fast * (at - before)), math.exp(-slow * (at - before))])
        one.predict(F=np.diag(stay), Q=np.diag(spread * (1.0 - stay * stay)))
        one.update(value)
        filters[row] = one, at
    return len(seen.rows) / (time.thread_time() - began)


def _simdkalman(patients: int, rounds: int) -> float:
    stay = np.exp(-1.0 / np.array([_SIGNAL.modes.fast_s, _SIGNAL.modes.slow_s]))
    spread = np.array([_SIGNAL.modes.fast_sd**2, _SIGNAL.modes.slow_sd**2])
    model = import_module("simdkalman").KalmanFilter(
        state_transition=np.diag(stay),
        process_noise=np.diag(spread * (1.0 - stay * stay)),
        observation_model=np.ones((1, 2)),
        observation_noise=1.0,
    )
    value = np.random.default_rng(2).normal(0.0, 1.0, (patients, rounds))
    start = {"initial_value": [0.0, 0.0], "initial_covariance": np.diag(spread)}
    taken = []
    for _ in range(3):
        began = time.thread_time()
        model.compute(value, 0, **start, filtered=True, smoothed=False)
        taken.append(time.thread_time() - began)
    return patients * rounds / statistics.median(taken)
