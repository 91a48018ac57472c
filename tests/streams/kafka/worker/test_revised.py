"""Corrections and retractions through a door, a broker, a worker and InfluxDB, read back with ``kind=revisions``."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.http.answers import iso
from streams.clock import Clock
from tests.conftest import ROOT, require
from tests.support.cluster import Cluster, until
from tests.support.raw_connection import RawConnection

pytestmark = [pytest.mark.slow]

PATH = "/v1/patients/a/history?signal=heart_rate"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")
    where = ROOT / "infra" / "influxdb" / "build"
    require(Path(subprocess.check_output([where, "--where"], text=True).strip()), "infra/influxdb/build makes it, once")
    with Cluster(workers=1, influx=True, kafka_partitions="2") as started:
        yield started


def test_what_was_done_to_readings_is_told_with_what_stood_before(cluster: Cluster) -> None:
    cookie = cluster.door.session()
    with RawConnection(cluster.door.port, timeout_s=60.0) as wire:
        made = [
            wire.json("POST", "/v1/devices", {"name": name, "scopes": ["observations:write"], "wards": ["*"]}, cookie)
            for name in ("monitor", "watch")
        ]
        wire.json("POST", "/v1/patients", {"id": "a", "ward": "A"}, cookie)
        moments = [iso(Clock().now() + 1000 * number) for number in range(2)]

        def send(device: int, moment: int, **said: Any) -> None:
            entry = {"patient": "a", "signal": "heart_rate", "time": moments[moment]} | said
            key = {"Authorization": f"Bearer {made[device]['key']}"}
            status, _, result = wire.exchange("POST", "/v1/observations", [entry], key)
            assert status == 200, result

        def shown(kind: str) -> dict[str, Any]:
            return wire.json("GET", f"{PATH}&kind={kind}", cookie=cookie)

        send(0, 0, value=120.0)
        send(0, 1, value=90.0)
        send(0, 0, value=60.0)
        send(1, 0, value=70.0)
        send(0, 1, status="entered-in-error")
        until(lambda: len(shown("revisions")["items"]) == 3, 120, "the revisions", cluster.workers)
        result = [
            (one["time"], one["what"], one["before"], one["value"], one["by"]) for one in shown("revisions")["items"]
        ]
        assert result == [
            (moments[0], "corrected", 120.0, 60.0, "monitor"), (moments[0], "not_taken", 120.0, 70.0, "watch"),
            (moments[1], "retracted", 90.0, None, "monitor"),
        ]  # fmt: skip
        until(lambda: shown("observations")["value"] == [60.0], 120, "what stands", cluster.workers)
