"""A distributed service under load, with a subscriber: the setting in which faults are tried."""

import time
from collections import defaultdict

from api.cli.output import Failure
from tests.support.clients import AlarmSubscriber, PostingDevices
from tests.support.cluster import Cluster, figure, ready, until
from tests.support.influx import Influx
from tests.support.service import ServiceUnderTest
from tests.support.topics import EstimateWatch

__all__ = ["FaultScenario"]


class FaultScenario:
    """A cluster under load; a fault adds figures other than its recovery to ``noted``, one per run."""

    def __init__(self, cluster: Cluster, *, quick: bool = False) -> None:
        self.cluster = cluster
        self.quick = quick
        self.watch = EstimateWatch(cluster.settings)
        self.clients = PostingDevices(cluster.door)
        self.alarms = AlarmSubscriber(cluster.door)
        self.noted: defaultdict[str, list[float]] = defaultdict(list)

    def start(self) -> None:
        """Begin to follow and to post, and wait until estimates flow."""
        self.watch.start()
        self.alarms.start()
        self.clients.start(self.cluster.door.key())
        self.recovered(time.monotonic())

    def stop(self) -> None:
        """Stop the load, then the workers cleanly, then the followers.

        An alarm comes every 20 s. A shorter run goes on until one has come; otherwise there is nothing to compare.
        """
        time.sleep(2.0)
        until(lambda: bool(self.alarms.seen), 60, "an alarm", self.cluster.workers)
        self.clients.stop()
        time.sleep(2.0)
        if self.cluster.influx is not None:
            self.noted["history_dropped"] = [self.of_workers("vitaltwin_history_dropped_total")]
        for worker in self.cluster.workers:
            if worker.running:
                worker.stop()
        time.sleep(1.0)
        self.alarms.stop()
        self.watch.stop()

    @property
    def influx(self) -> Influx:
        """The cluster's InfluxDB; raises ``Failure`` if it has none."""
        if self.cluster.influx is None:
            raise Failure("this cluster has no InfluxDB")
        return self.cluster.influx

    def of_workers(self, name: str) -> float:
        """The sum of a figure over all workers."""
        return sum(figure(worker, name) for worker in self.cluster.workers if worker.running)

    def recovered(self, since: float, least_s: float = 3.0) -> float:
        """Wait until estimates of every partition flow again; returns the seconds from ``since`` until they did."""
        partitions = range(self.cluster.settings.kafka_partitions)

        def flowing() -> bool:
            return time.monotonic() - since > least_s and all(self.watch.quiet(one) < 1.0 for one in partitions)

        until(flowing, 90, "estimates of every partition", self.cluster.workers)
        return max(self.watch.gap(one, since) for one in partitions)

    def replace(self, worker: ServiceUnderTest) -> None:
        """Start a worker again and wait until all are ready."""
        worker.begin()
        until(
            lambda: all(ready(one) for one in self.cluster.workers), 60, "the workers to be ready", self.cluster.workers
        )
        self.recovered(time.monotonic())
