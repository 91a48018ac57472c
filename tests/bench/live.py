"""``infra/bench live``: the cost of a live ward in the distributed service, by program and by topic.

2,000 patients with five vital signs, each measured once a second and posted by gateways of a hundred patients, on one
broker, worker and door, with history in InfluxDB. Multiply it for other sizes: docs/scale.md does.
"""

import time
from pathlib import Path
from typing import Any

from api.cli.output import Failure, say
from tests.support.cluster import Cluster, figure, until
from tests.support.load import FRAME_TYPE, SimulatedWard, requests
from tests.support.posting import PostingThreads
from tests.support.raw_connection import RawConnection
from tests.support.service import cpu_s

__all__ = ["run"]

_PATIENTS = 2_000
_BATCH = 500
_PARTITIONS = 4
_CONNECTIONS = 4
_GATHERED_S = (0.01, 0.1)
"""The door's gathering time: the default, and ten times that."""


def run(*, quick: bool = False) -> dict[str, Any]:
    """By gathering time: cores and bytes a second of each part, and the same per thousand patients."""
    gathered = _GATHERED_S[:1] if quick else _GATHERED_S
    return {f"gather_{seconds:g}": _live(seconds, 6.0 if quick else 60.0) for seconds in gathered}


def _live(gathered_s: float, seconds: float) -> dict[str, Any]:
    with Cluster(influx=True, kafka_partitions=str(_PARTITIONS), kafka_gather_seconds=str(gathered_s)) as cluster:
        say(f"{_PATIENTS:,} patients for {seconds:g} s, gathered for {gathered_s:g} s")
        load = _Gateways(cluster.door.port, cluster.door.key())
        load.posting.start()
        try:
            (worker,) = cluster.workers
            until(lambda: figure(worker, "vitaltwin_patients") >= _PATIENTS, 60, "the patients", [worker])
            time.sleep(8.0)  # all patients are in checkpoints, and every start is done
            before, began, sent = _counts(cluster), time.monotonic(), load.sent
            time.sleep(seconds)
            after, took, sent = _counts(cluster), time.monotonic() - began, load.sent - sent
        finally:
            load.posting.stop()
        spent = {name: (after[name] - before[name]) / took for name in before}
        return {
            "readings_per_s": sent / took,
            "readings_per_record": sent / max(1.0, after["records"] - before["records"]),
            **{name: value for name, value in spent.items() if name != "records"},
            "per_thousand_patients": {
                name: value * 1_000 / _PATIENTS for name, value in spent.items() if name != "records"
            },
        }


class _Gateways:
    """Each has a hundred patients and posts their readings once a second, independently."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._ward = SimulatedWard(_PATIENTS)
        self.posting = PostingThreads(self._carry, _CONNECTIONS)
        self.sent = 0

    def _carry(self, number: int) -> None:
        apart = _BATCH * _CONNECTIONS / self._ward.channels
        due = time.monotonic() + number * apart / _CONNECTIONS
        with RawConnection(self._port, timeout_s=60.0) as wire:
            while not self.posting.ended.wait(max(0.0, due - time.monotonic())):
                with self.posting.making:
                    batch = self._ward.batches(1, _BATCH)
                status = wire.send(requests(batch, FRAME_TYPE, self._key)[0])
                if status != 200:
                    raise Failure(f"a gateway's readings were answered {status}")
                with self.posting.making:
                    self.sent += _BATCH
                due += apart


def _counts(cluster: Cluster) -> dict[str, float]:
    """CPU seconds of each program so far, bytes of each topic, and records the worker has processed."""
    (worker,) = cluster.workers
    influx, folder = cluster.influx, cluster.brokers.folder / "1" / "data"
    if influx is None:
        raise Failure("there is no InfluxDB here")
    topics = {name: sum(map(_bytes, folder.glob(f"{name}-[0-9]*"))) for name in ("inputs", "estimates", "twins")}
    return {
        "door_cores": cluster.door.cpu_s(),
        "worker_cores": worker.cpu_s(),
        "kafka_cores": cpu_s(cluster.brokers.pid()),
        "influx_cores": cpu_s(influx.pid),
        **{f"{name}_bytes_per_s": size for name, size in topics.items()},
        "records": figure(worker, "vitaltwin_worker_records_total"),
    }


def _bytes(folder: Path) -> int:
    """Bytes of a partition's records, without index files, which are allocated large in advance."""
    return sum(file.stat().st_size for file in folder.glob("*.log"))
