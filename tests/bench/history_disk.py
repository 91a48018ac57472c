"""Size of the history on InfluxDB's disk: an hour of a ward's readings, estimates and forecasts, compacted."""

import asyncio
from typing import Any

import numpy as np

from api.cli.output import Failure, say
from streams.clock import Clock
from streams.log.frame import as_record
from streams.settings import Settings
from streams.worker.worker import Worker
from tests.support.influx import Influx
from tests.support.load import SimulatedWard
from twins.records import Admit, Frame

__all__ = ["run"]

_PATIENTS = 100
_SECOND_US = 1_000_000


def run(*, quick: bool) -> dict[str, Any]:
    """100 patients with five vital signs once a second, on an own InfluxDB, until it has compacted them.

    ``bytes_per_reading`` includes the reading, its estimate, and forecasts once a minute. The values are a course with white
    noise, rounded to a tenth, which compresses worse than the values of most monitors.
    """
    seconds = 300 if quick else 3_600
    with Influx() as influx:
        readings = asyncio.run(_written(influx, seconds))
        say(f"{readings:,} readings of {seconds} s are in InfluxDB, which compacts them")
        kept = influx.compacted(8.0 if quick else 20.0)
    return {"readings": readings, "bytes": kept, "bytes_per_reading": kept / readings}


async def _written(influx: Influx, seconds: int) -> int:
    from streams.history.influx import InfluxHistory, prepare

    settings = Settings.model_validate(influx.given | {"influx_spill": influx.folder / "spill"})
    await prepare(settings)
    history = InfluxHistory(settings, writes=True)
    worker, ward = Worker(history), SimulatedWard(_PATIENTS)
    worker.assign(0, [])
    begin = Clock().now() - (seconds + 60) * _SECOND_US
    for offset, patient in enumerate(ward.patients):
        worker.take(0, offset, Admit(patient=patient, received=begin))
    for number in range(seconds):
        worker.take(0, _PATIENTS + number, _second(ward, begin + (number + 1) * _SECOND_US))
        if number % 60 == 59:  # the twins are faster than InfluxDB
            await history.settled()
    await history.settled()
    while history.counters()["history_spilled_bytes"]:  # noqa: ASYNC110 - nothing tells when the disk is empty
        await asyncio.sleep(0.01)
    dropped = history.counters()["history_dropped"]
    await asyncio.to_thread(history.close)
    if dropped:
        raise Failure(f"{dropped} points were dropped")
    return seconds * ward.channels


def _second(ward: SimulatedWard, received: int) -> Frame:
    (columns,) = ward.batches(1, ward.channels)
    moments = np.full(len(columns), received - _SECOND_US // 2, "<i8")
    return as_record(type(columns)(columns.patients, columns.patient, columns.signal, moments, columns.value), received)
