"""What the twins judge, from the log on a broker through a worker and InfluxDB to the door: as in the embedded service."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.clock import Clock
from streams.history import SqliteHistory
from streams.log.frame import as_record
from streams.registry import partition_of
from streams.worker.worker import Worker
from tests.conftest import ROOT, require
from tests.streams.history.conftest import File
from tests.streams.history.judged import monitored
from tests.streams.kafka.files.make import on_partition, write
from tests.support.cluster import Cluster, command_of, until
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest
from twins.records import Frame, Record
from twins.signals import BY_NAME

pytestmark = [pytest.mark.slow]

HOURS = 4
HOUR_US = 3_600_000_000
PARTITIONS = 2


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")
    where = ROOT / "infra" / "influxdb" / "build"
    require(Path(subprocess.check_output([where, "--where"], text=True).strip()), "infra/influxdb/build makes it, once")
    with Cluster(workers=0, door=False, influx=True, kafka_partitions=str(PARTITIONS)) as started:
        yield started


def parted(records: list[Record]) -> list[tuple[int, Record]]:
    """The records by partition, frames cut by their patients' partitions."""
    found: list[tuple[int, Record]] = []
    for one in records:
        if isinstance(one, Frame):
            parts = ((number, on_partition(one.columns, number)) for number in range(PARTITIONS))
            found += [(number, as_record(part, one.received)) for number, part in parts if len(part)]
        else:
            found.append((partition_of(one.patient, PARTITIONS), one))
    return found


def judged_here(path: Path, records: list[tuple[int, Record]]) -> dict[str, list[tuple[Any, ...]]]:
    """By ward, what a worker with a history in SQLite judges of the same records."""
    file = File(path)
    worker = Worker(file.history, failed=lambda *error: pytest.fail(str(error)))
    offsets = [worker.assign(number, []) for number in range(PARTITIONS)]
    for partition, record in records:
        worker.take(partition, offsets[partition], record)
        offsets[partition] += 1
    found = asyncio.run(_told(file.history))
    file.close()
    return found


async def _told(history: SqliteHistory) -> dict[str, list[tuple[Any, ...]]]:
    told = await history.track_record(BY_NAME["heart_rate"].code, 0, 1 << 60)
    return {
        ward: [
            (("low", "high")[one.side], one.scores.count, one.scores.came, round(one.scores.mean_stated, 6))
            for one in told
            if one.ward == ward
        ]
        for ward in ("A", "B")
    }


def test_the_door_tells_what_the_embedded_service_would(cluster: Cluster, tmp_path: Path) -> None:
    begin = Clock().now() // HOUR_US * HOUR_US - (HOURS + 2) * HOUR_US
    records = parted(monitored(begin, HOURS))
    wanted = judged_here(tmp_path / "service.db", records)
    assert sum(sum(count) for ward in wanted.values() for _, count, _, _ in ward) > 200
    asyncio.run(write(cluster.settings, records))
    cluster.worker().start()
    with ServiceUnderTest(command_of("api"), **cluster.given) as door:
        door.start()
        cookie = door.session()
        with RawConnection(door.port, timeout_s=60.0) as wire:

            def told() -> dict[str, list[tuple[Any, ...]]]:
                answer = wire.json("GET", "/v1/signals/heart_rate/track-record", cookie=cookie)
                return {
                    ward["ward"]: [
                        (
                            one["side"],
                            tuple(part["count"] for part in one["bins"]),
                            tuple(part["came"] for part in one["bins"]),
                            one["stated"],
                        )
                        for one in ward["records"]
                    ]
                    for ward in answer["wards"]
                }

            until(lambda: told() == wanted, 120, "the whole track record", cluster.workers)
