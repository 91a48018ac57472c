"""A real InfluxDB for tests, and checks that its history is complete."""

import asyncio
import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from api.cli.output import Failure
from streams.settings import Settings
from tests.support.service import free_port
from twins.records import Columns
from twins.signals import SIGNALS

if TYPE_CHECKING:
    from streams.history.influx import InfluxHistory

__all__ = ["Influx"]

_SCRIPTS = Path(__file__).resolve().parents[2] / "infra" / "influxdb"
_NO_END = 1 << 40

Valued = tuple[str, int, int, float]
"""Patient, signal, time in µs and value."""


class Influx:
    """InfluxDB started by ``infra/influxdb/start`` in a temporary folder; for a ``with`` block."""

    def __init__(self) -> None:
        if not (_SCRIPTS / "start").exists():
            raise Failure(
                "this benchmark starts InfluxDB by infra/influxdb/start: run it from a checkout of the sources"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="vitaltwin-influx-"))
        self._port = free_port()

    def start(self, **configuration: str) -> None:
        """Start or restart it, with settings of its own; raises ``Failure``."""
        command = [str(_SCRIPTS / "start"), str(self.folder), "--port", str(self._port)]
        ran = subprocess.run(command, env=os.environ | configuration, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failure(f"InfluxDB could not be started: {ran.stderr[-1000:]}")

    def stop(self) -> None:
        """Stop it cleanly; its files stay."""
        subprocess.run([str(_SCRIPTS / "stop"), str(self.folder)], check=False)

    @property
    def pid(self) -> int:
        """Its process."""
        return int((self.folder / "pid").read_text())

    @property
    def given(self) -> dict[str, str]:
        """Settings of programs that use it."""
        return {
            "influx_url": f"http://127.0.0.1:{self._port}",
            "influx_token": (self.folder / "token").read_text(),
        }

    @property
    def settings(self) -> Settings:
        """The settings as those programs read them."""
        return Settings.model_validate(self.given)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if "history" in self.__dict__:
            self.history.close()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def compacted(self, rest_s: float = 20.0) -> int:
        """Restart it so that it compacts at once and not after hours; returns its bytes on disk afterwards.

        It looks for work every second, and is done when nothing changes for ``rest_s``. Raises ``Failure`` after five
        minutes.
        """
        self.stop()
        self.start(
            INFLUXD_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION="2s",
            INFLUXD_STORAGE_COMPACT_FULL_WRITE_COLD_DURATION="4s",
        )
        end, since, sizes = time.monotonic() + 300, time.monotonic(), [-1]
        while time.monotonic() < end:
            found = sorted(file.stat().st_size for file in (self.folder / "engine" / "data").rglob("*.tsm*"))
            logged = sum(file.stat().st_size for file in (self.folder / "engine" / "wal").rglob("*.wal"))
            if found != sizes or logged:
                sizes, since = found, time.monotonic()
            elif time.monotonic() - since > rest_s:
                return sum(sizes)
            time.sleep(0.5)
        raise Failure("InfluxDB was not done compacting within five minutes")

    # -- what is in it --------------------------------------------------------------------------------------------

    @cached_property
    def history(self) -> "InfluxHistory":
        """The history as a door reads it."""
        from streams.history.influx import InfluxHistory

        return InfluxHistory(self.settings, writes=False)

    def readable(self, columns: Columns) -> bool:
        """Whether a door can read the last reading of a batch; also false while InfluxDB does not answer."""
        from streams.errors import HistoryUnavailable

        patient, signal = columns.patients[int(columns.patient[-1])], int(columns.signal[-1])
        moment = int(columns.time[-1])
        try:
            found = asyncio.run(self.history.observations(patient, signal, moment, moment + 1))
        except HistoryUnavailable:
            return False
        return len(found.time) == 1

    def missing(self, taken: Iterable[Columns]) -> int:
        """Readings, each with its value, that are not in the history."""
        wanted: set[Valued] = set()
        for columns in taken:
            rows = zip(columns.patient.tolist(), columns.signal, columns.time, columns.value.tolist(), strict=True)
            wanted.update((columns.patients[patient], int(code), int(at), value) for patient, code, at, value in rows)
        if not wanted:
            return 0
        first, last = min(one[2] for one in wanted), max(one[2] for one in wanted)
        for signal in {one[1] for one in wanted}:
            for field in ("value", "refused"):
                wanted.difference_update(self._readings(signal, field, (first, last + 1)))
        return len(wanted)

    def missing_transitions(self, transitions: Collection[tuple[str, str, int]]) -> int:
        """Alarm transitions (alarm, presence, time in ms) that are not in the history."""
        ever = (-_NO_END * _NO_END, _NO_END * _NO_END)
        found = asyncio.run(self.history.alarms(None, *ever, limit=_NO_END)).items
        return len(set(transitions) - {(one.alarm, one.presence, one.time // 1000) for one in found})

    def _readings(self, signal: int, field: str, window: tuple[int, int]) -> set[Valued]:
        """Every reading of one signal and field in a window, in one query that does not use the history's own code."""
        from streams.history.influx.flux import floats, selection, us
        from streams.history.influx.line_protocol import unescaped

        name = SIGNALS[signal].name
        flux = selection(self.settings.influx_bucket, window, "observation", [field], signal=[name])
        body = self._query(f'{flux} |> keep(columns: ["_time", "_value", "patient"])')
        rows = [row for row in csv.reader(io.StringIO(body, newline="")) if len(row) > 3]
        if not rows:
            return set()
        place = {name: number for number, name in enumerate(rows[0])}
        rows = [row for row in rows if row[place["_time"]] != "_time"]
        times = us([row[place["_time"]] for row in rows]).tolist()
        values = floats([row[place["_value"]] for row in rows]).tolist()
        patients = [unescaped(row[place["patient"]]) for row in rows]
        return {(patient, signal, at, value) for patient, at, value in zip(patients, times, values, strict=True)}

    def _query(self, flux: str) -> str:
        settings = self.settings
        request = urllib.request.Request(
            f"{settings.influx_url}/api/v2/query?org={settings.influx_organisation}",
            json.dumps({"query": flux, "dialect": {"annotations": []}}).encode(),
            {
                "Authorization": f"Token {settings.influx_token.get_secret_value()}",
                "Content-Type": "application/json",
                "Accept": "text/csv",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                text: str = answer.read().decode()
        except urllib.error.URLError as error:
            raise Failure(f"InfluxDB does not answer: {error}") from error
        return text
