"""Health of an idle distributed service: with dead workers, without Kafka, without PostgreSQL."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.postgres import Server
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest

pytestmark = [pytest.mark.slow, pytest.mark.fault]


def health(door: ServiceUnderTest) -> tuple[int, dict[str, Any]]:
    """The status of readiness and its parts."""
    with RawConnection(door.port, timeout_s=30.0) as wire:
        status, said = wire.ask("GET", "/health/ready")
    return status, json.loads(said)["parts"]


def figures(door: ServiceUnderTest, name: str) -> list[float]:
    with RawConnection(door.port, timeout_s=30.0) as wire:
        _, _, text = wire.exchange("GET", "/metrics")
    return [
        float(value) for value in re.findall(rf"^vitaltwin_{name}(?:{{[^}}]*}})? (\S+)$", text.decode(), re.MULTILINE)
    ]


def until(found: Callable[[], bool], what: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


def test_an_idle_service_reports_what_is_away(tmp_path: Path) -> None:
    server = Server(tmp_path / "postgres")
    server.start()
    try:
        with Cluster(workers=2, kafka_partitions="2", accounts_database=server.url) as cluster:
            door, workers = cluster.door, cluster.workers
            everybody = [door, *workers]

            def all_ready() -> bool:
                return all(health(one)[0] == 200 for one in everybody)

            until(all_ready, lambda: [health(one) for one in everybody])
            assert all("partitions assigned" in one.said() and "partitions restored" in one.said() for one in workers)
            assert health(door)[1]["twins"] == "ok"
            assert figures(door, "kafka_reached") == [1.0]
            assert abs(health(door)[1]["clock_apart_s"]) < 30.0

            for worker in workers:
                worker.kill()
            until(lambda: health(door)[0] == 503, lambda: health(door))
            assert health(door)[1]["twins"] == "stopped"
            assert health(door)[1]["log"] == "ok"
            ages = figures(door, "estimate_age_seconds")
            assert len(ages) == 2
            assert min(ages) > 8.0
            for worker in workers:
                worker.start()
            until(all_ready, lambda: [health(one) for one in everybody])

            server.stop()
            until(lambda: health(door)[1]["accounts"] != "ok", lambda: health(door))
            assert figures(door, "accounts_reached") == [0.0]
            server.start()
            until(lambda: health(door)[1]["accounts"] == "ok", lambda: health(door))

            cluster.brokers.stop()
            until(lambda: all(health(one)[0] == 503 for one in everybody), lambda: [health(one) for one in everybody])
            assert "Kafka" in health(door)[1]["log"]
            assert all("Kafka" in health(worker)[1]["log"] for worker in workers)
            assert [figures(one, "kafka_reached") for one in everybody] == [[0.0]] * 3
            cluster.brokers.start()
            until(all_ready, lambda: [health(one) for one in everybody])
    finally:
        server.stop()
