"""A door that spools: Kafka stopped, the door killed, and everything acknowledged is in the log once both are back."""

import time
from pathlib import Path

import pytest

from streams.errors import KafkaUnusable, LogUnavailable
from streams.history.nothing import NoHistory
from streams.kafka.door.service import KafkaService
from streams.kafka.door.spool import Spool
from streams.settings import Settings
from tests.conftest import require
from tests.support.cluster import Cluster, figure, until
from tests.support.load import FRAME_TYPE, SimulatedWard, requests
from tests.support.raw_connection import RawConnection
from tests.support.topics import compare
from twins.records import Columns


@pytest.mark.slow
@pytest.mark.fault
def test_what_was_spooled_outlives_the_door_and_comes_into_the_log(tmp_path: Path) -> None:
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")
    spool = tmp_path / "spool"
    taken: list[Columns] = []
    ward = SimulatedWard(200)
    with Cluster(kafka_partitions="4", kafka_spool=str(spool), kafka_answer_seconds="1") as cluster:
        door, (worker,) = cluster.door, cluster.workers
        key = door.key()

        def post(count: int) -> None:
            for batch in ward.batches(count, 500):
                with RawConnection(door.port, timeout_s=30.0) as wire:
                    assert wire.send(requests([batch], FRAME_TYPE, key)[0]) == 200
                taken.append(batch)

        post(2)
        until(lambda: figure(worker, "vitaltwin_patients") == 200, 30, "the patients", [worker])
        cluster.brokers.stop()
        began = time.monotonic()
        post(20)
        assert time.monotonic() - began < 15.0  # only the first waits for Kafka
        assert figure(door, "vitaltwin_spool_readings_total") == 20 * 500
        with RawConnection(door.port) as wire:
            health = wire.json("GET", "/health/ready")
        assert health["parts"]["spooled_bytes"] > 0
        door.kill()
        cluster.brokers.start()
        door.start()
        until(lambda: figure(door, "vitaltwin_spool_waiting_bytes") == 0, 60, "the spool to be sent", [door])
        post(2)
        worker.stop()
        assert not list(spool.glob("*/*.lines"))
        found = compare(cluster.settings, taken)
    assert found["acknowledged"] == sum(map(len, taken))
    assert (found["lost"], found["applied_twice"], found["identical"]) == (0, 0, True)


async def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 12 << 20)  # a file of 8 MB needs 8 MB of free space
    large = [(0, bytes(5 << 20))]
    await spool.keep(large, 1)
    await spool.keep(large, 1)
    with pytest.raises(LogUnavailable, match="cannot take more"):
        await spool.keep(large, 1)
    spool.close()
    again = Spool(tmp_path, 12 << 20)
    waiting = again.waiting_bytes
    again.close()
    assert waiting > 10 << 20


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KafkaUnusable, match="spool"):
        KafkaService(Settings(kafka_spool=tmp_path / "file"), NoHistory())
