"""``infra/bench replay_limits``: a day of 16 patients at 1 Hz run again with other limits, and the plain step beside it.

``generated`` patients are healthy with noise, and a limit in the middle of it: many alarms. ``recorded`` ones are the 1 Hz
monitor of one patient, beginning at 16 different moments. The readings are read from a history file, as the service does.
``ratio`` is the time of both runs beside that of one plain run of the step with a frame and a tick every second.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from api.cli.output import Failure, progress, say
from streams.history import SqliteHistory
from streams.log.frame import as_record
from streams.preview.course import Course
from streams.preview.job import Job
from streams.preview.run import preview, setup_of
from streams.preview.sources import load
from streams.recordings.recording import read
from tests.support.load import COURSE
from twins.bank.bank import Bank
from twins.records import Columns, Command, Profile, SetLimits, Tick
from twins.signals import BY_NAME
from twins.step.dispatch import step

__all__ = ["run"]

_PATIENTS = 16
_SECOND_US = 1_000_000
_BEGIN_US = 1_700_000_000 * _SECOND_US
_RECORDED = "mimic4_waveform_numerics.csv.gz"
_PLAIN_S = 3_600
"""The plain step is timed for so long, and scaled up."""


def run(*, quick: bool = False) -> dict[str, Any]:
    """Seconds of reading and of both runs, readings, alarms, and the ratio. Recordings are in the folder VITALTWIN_DATA."""
    seconds = 3_600 if quick else 86_400
    figures: dict[str, Any] = {"patients": _PATIENTS, "hours": seconds / 3600}
    figures["generated"] = _measured(_generated(seconds), seconds)
    file = Path(os.environ.get("VITALTWIN_DATA") or Path(__file__).parents[3] / "shared" / "data") / _RECORDED
    if file.exists():
        figures["recorded"] = _measured(_recorded(file, seconds), seconds)
    else:
        say(f"no {file}: only generated patients; name the folder of recordings in VITALTWIN_DATA")
    return figures


def _measured(columns: Columns, seconds: int) -> dict[str, Any]:
    end = _BEGIN_US + seconds * _SECOND_US
    profiles = [Profile(patient=patient, ward="A") for patient in columns.patients]
    changes: list[Command] = [
        SetLimits(ward="A", signal="heart_rate", low=60.0, high=95.0),
        SetLimits(ward="A", signal="respiratory_rate", delay_s=30.0),
    ]
    with tempfile.TemporaryDirectory() as folder:
        history = _kept(Path(folder) / "bench.db", columns)
        job = Job(patients=profiles, setup=[], changes=changes, start=_BEGIN_US, end=end)
        began = time.perf_counter()
        course, parts, missing = asyncio.run(load(job, history))
        reading = time.perf_counter() - began
        history.close()
    if len(course) != len(columns):
        raise Failure(f"{len(course)} readings came back of {len(columns)}")
    with progress() as bars:
        task = bars.add_task("running both", total=1.0)
        found = preview(job, course, parts, missing, lambda share: bars.update(task, completed=share))
    plain = _plain(course, profiles, min(seconds, _PLAIN_S)) * seconds / min(seconds, _PLAIN_S)
    return {
        "readings": len(course), "seconds": reading + found.seconds, "reading_s": reading, "step_s": found.step_s,
        "present_alarms": found.present.alarms, "changed_alarms": found.changed.alarms,
        "gained": found.gained_count, "lost": found.lost_count, "plain_step_s": plain, "ratio": found.seconds / plain,
    }  # fmt: skip


def _plain(course: Course, profiles: list[Profile], seconds: int) -> float:
    """Seconds of one run of the step over the first ``seconds``: a frame and a tick every second."""
    bank, offset = Bank(), 0
    for record in setup_of(profiles, [], _BEGIN_US):
        step(bank, record, offset)
        offset += 1
    ends = np.searchsorted(course.time, _BEGIN_US + np.arange(seconds + 1) * _SECOND_US)
    began = time.perf_counter()
    for second, (first, last) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        now = _BEGIN_US + (second + 1) * _SECOND_US
        if last > first:
            part = slice(first, last)
            columns = Columns(
                course.patients, course.patient[part], course.signal[part], course.time[part], course.value[part]
            )
            step(bank, as_record(columns, now), offset)
        step(bank, Tick(now), offset + 1)
        offset += 2
    return time.perf_counter() - began


def _kept(path: Path, columns: Columns) -> SqliteHistory:
    """A history file with these readings, sorted as after a while."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    history = SqliteHistory(path)
    history.create(connection)
    status = np.zeros(len(columns), "u1")
    history.add_observations(
        0, 0, columns.patients, columns.patient, columns.signal, columns.time, columns.value, status
    )
    history.complete(0, 0)
    connection.execute("BEGIN")
    history.flush(connection)
    connection.execute("COMMIT")
    more = True
    while more:
        connection.execute("BEGIN")
        more = history.compact(connection, 1.0)
        connection.execute("COMMIT")
    connection.close()
    return history


def _generated(seconds: int) -> Columns:
    """Slow waves and noise around usual values; each patient's pulse crosses a limit now and then."""
    rng = np.random.default_rng(17)
    moments = np.arange(seconds)
    parts = []
    for patient in range(_PATIENTS):
        for name, (mean, spread) in COURSE.items():
            wave = 4.0 * spread * np.sin(2 * np.pi * (moments / (1_800 + 300 * patient) + rng.random()))
            parts.append((patient, BY_NAME[name].code, mean + wave + spread * rng.standard_normal(seconds)))
    count = len(parts)
    return Columns(
        [f"bench-{patient:02d}" for patient in range(_PATIENTS)],
        np.tile(np.array([patient for patient, _, _ in parts], "<u4"), seconds),
        np.tile(np.array([code for _, code, _ in parts], "<u2"), seconds),
        np.repeat(_BEGIN_US + moments * _SECOND_US, count) + np.tile(np.arange(count), seconds),
        np.stack([value for _, _, value in parts], axis=1).ravel().round(1),
    )


def _recorded(file: Path, seconds: int) -> Columns:
    """The recorded patient 16 times, each begun an hour later in the recording; it starts again at its end."""
    recording = read(file)
    longest = max(recording.columns.patients, key=lambda one: len(recording.of_patients([one])))
    source = recording.of_patients([longest]).by_time().columns
    first, last = int(source.time[0]), int(source.time[-1])
    span = last - first + _SECOND_US
    parts = []
    for patient in range(_PATIENTS):
        time_us = (source.time - first - patient * 3_600 * _SECOND_US) % span
        keep = time_us < seconds * _SECOND_US
        parts.append(
            (
                np.full(int(keep.sum()), patient, "<u4"),
                source.signal[keep],
                time_us[keep] + _BEGIN_US,
                source.value[keep],
            )
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[2], kind="stable")
    names = [f"bench-{patient:02d}" for patient in range(_PATIENTS)]
    return Columns(names, *(column[order] for column in columns))
