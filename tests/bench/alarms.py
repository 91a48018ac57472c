"""``infra/bench alarms``: alarms, caught events and predictions on recorded patients, compared with simple monitors.

``plain`` sounds whenever a reading is beyond a limit, ``delay`` when readings have been for 10 s, ``ours`` is the alarm
engine at the same limits. ``alarms_reference`` has the simple monitors and says what really happened.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from api.cli.output import Failure, progress, say
from streams.recordings.recording import Recording, read
from tests.bench import alarms_reference as reference
from tests.bench.alarms_run import Run
from tests.bench.alarms_scores import Truth
from twins.records import Columns
from twins.signals import BY_NAME

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["FILES", "figures_of", "run"]

FILES = (
    "mimic4_waveform_numerics",
    "mimic2_waveform_numerics_1min",
    "bidmc_numerics_1hz",
    "stresspredict_wearable",
    "weinstock2016_cgm",
    "eicu_demo_hourly",
    "eicu_demo_nibp",
    "challenge2012_icu",
    "mimic4_demo_charted",
)
_QUICK = {"bidmc_numerics_1hz": 3, "challenge2012_icu": 5}
_DELAY_US = 10_000_000


def run(*, quick: bool = False, only: str = "", place: str = "odd") -> dict[str, Any]:
    """By file: what the simple monitors and the alarm engine did with the patients at odd places by id.

    ``only`` names one file. ``place`` is ``even`` for the patients that settings are fitted on. ``quick`` takes a few
    patients of two small files.
    """
    folder = Path(os.environ.get("VITALTWIN_DATA") or Path(__file__).parents[3] / "shared" / "data")
    names = [name for name in (_QUICK if quick else FILES) if only in name]
    if not names:
        raise Failure(f"no recording is called {only!r}; there are {', '.join(FILES)}")
    if place not in ("odd", "even"):
        raise Failure(f"patients are at odd or even places, not {place!r}")
    result: dict[str, Any] = {
        "scored": f"patients at {place} places by id" + ("; settings were fitted on even ones" * (place == "odd")),
        "alarms": "what sounds anew: an alarm that began or came back, of any condition; rises in priority are apart",
    }
    for name in names:
        path = folder / f"{name}.csv.gz"
        if not path.exists():
            raise Failure(f"{path} is missing: name the folder of recordings in VITALTWIN_DATA")
        recording = read(path)
        chosen = sorted(recording.columns.patients)[1 if place == "odd" else 0 :: 2][: _QUICK[name] if quick else None]
        recording = recording.of_patients(chosen)
        say(f"{name}: {len(recording):,} readings of {len(chosen)} patients")
        with progress() as bars:
            task = bars.add_task(name, total=len(recording))
            result[name] = figures_of(name, recording, reference.read(path, chosen), partial(_tell, bars, task))
    return result


def _tell(bars: "Progress", task: "TaskID", done: int) -> None:
    bars.update(task, completed=done)


def figures_of(
    name: str, recording: Recording, raw: reference.Raw, tell: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """The figures of one file; ``raw`` has the same rows, read by other code."""
    wrong = {signal for signal, units in raw.units.items() if units != {BY_NAME[signal].unit}}
    if len(raw.stay) != len(recording) or wrong:
        raise Failure(f"{name}: the reference needs every row in the signal's own unit: {sorted(wrong)}")
    made = Run(_by_stay(recording, raw.stay))
    made.stream(tell)
    found = Truth(name, raw)
    return {
        "patient_days": raw.days,
        "plain": found.monitor(0),
        "delay": found.monitor(_DELAY_US),
        "ours": found.engine(made),
    }


def _by_stay(recording: Recording, stays: Sequence[str]) -> Recording:
    """The same readings, with each stay as a patient."""
    columns = recording.columns
    number = {stay: at for at, stay in enumerate(dict.fromkeys(stays))}
    which = np.array([number[stay] for stay in stays], np.uint32)
    return Recording(recording.name, Columns(list(number), which, columns.signal, columns.time, columns.value))
