"""The faults of ``infra/bench failover``, by name: each breaks something, waits, repairs it, returns the recovery in s."""

import time
from collections.abc import Callable
from typing import Any

from tests.support.cluster import figure, ready, until
from tests.support.fault_scenario import FaultScenario
from tests.support.service import ServiceUnderTest

__all__ = ["FAULTS"]


def _worker_ended(scenario: FaultScenario, end: Callable[[ServiceUnderTest], None]) -> float:
    victim = scenario.cluster.workers[0]
    began = time.monotonic()
    end(victim)
    took = scenario.recovered(began)
    scenario.replace(victim)
    scenario.cluster.workers.reverse()
    return took


def _worker_killed(scenario: FaultScenario) -> float:
    return _worker_ended(scenario, ServiceUnderTest.kill)


def _worker_drained(scenario: FaultScenario) -> float:
    return _worker_ended(scenario, ServiceUnderTest.stop)


def _restarted_under_backlog(scenario: FaultScenario) -> float:
    """All workers stop cleanly, a backlog gathers, and one worker starts alone with it."""
    for worker in scenario.cluster.workers:
        worker.stop()
    time.sleep(2.0)
    began = time.monotonic()
    first, *others = scenario.cluster.workers
    first.begin()
    took = scenario.recovered(began)
    for other in others:
        other.begin()
    until(lambda: all(ready(one) for one in scenario.cluster.workers), 60, "the workers", scenario.cluster.workers)
    return took


def _broker_killed(scenario: FaultScenario) -> float:
    brokers = scenario.cluster.brokers
    node = 1 + int(time.monotonic()) % brokers.count
    began = time.monotonic()
    brokers.kill(node)
    took = scenario.recovered(began, 8.0)
    brokers.start(node)
    scenario.recovered(time.monotonic(), 8.0)
    return took


def _kafka_stopped(scenario: FaultScenario) -> float:
    """Waits 15 s after the last fault: then every sensor has sent again, so each fault is a separate outage."""
    brokers = scenario.cluster.brokers
    time.sleep(5.0 if scenario.quick else 15.0)
    brokers.stop()
    time.sleep(30.0)
    began = time.monotonic()
    brokers.start()
    return scenario.recovered(began)


# -- the history -----------------------------------------------------------------------------------------------------


def _influx_stopped(scenario: FaultScenario) -> float:
    """InfluxDB is away for a minute: estimates and checkpoints go on; recovery ends when the history is complete."""
    began = time.monotonic()
    scenario.influx.stop()
    before = scenario.of_workers("vitaltwin_worker_checkpoints_total")
    time.sleep(5.0 if scenario.quick else 60.0)
    scenario.noted["checkpoints_while_away"].append(scenario.of_workers("vitaltwin_worker_checkpoints_total") - before)
    took = _history_whole(scenario)
    scenario.noted["estimates_paused_s"].append(scenario.watch.longest(began))
    return took


def _killed_without_influx(scenario: FaultScenario) -> float:
    """A worker is killed while InfluxDB is away: its spill is on disk, and it sends it later."""
    scenario.influx.stop()
    time.sleep(5.0 if scenario.quick else 20.0)
    victim = scenario.cluster.workers[0]
    victim.kill()
    scenario.recovered(time.monotonic())
    scenario.replace(victim)
    scenario.cluster.workers.reverse()
    return _history_whole(scenario)


def _history_whole(scenario: FaultScenario) -> float:
    """Start InfluxDB; returns the seconds until nothing waits on disk and the last acknowledged reading can be read."""
    name = "vitaltwin_history_spilled_bytes"
    scenario.noted["spilled_mb"].append(scenario.of_workers(name) / 1e6)
    scenario.influx.start()
    began, last = time.monotonic(), scenario.clients.taken[-1]
    until(lambda: not scenario.of_workers(name), 180, "what waits on disk", scenario.cluster.workers)
    until(lambda: scenario.influx.readable(last), 30, "the last reading in the history", scenario.cluster.workers)
    return time.monotonic() - began


# -- the network -----------------------------------------------------------------------------------------------------


def _partitioned(scenario: FaultScenario) -> float:
    """A live worker is cut off from the broker for 20 s: another takes over, and it comes back without partitions."""
    alone = scenario.cluster.workers[0]
    began = time.monotonic()
    scenario.cluster.proxy.cut()
    took = scenario.recovered(began, 6.0)
    time.sleep(max(0.0, began + (12.0 if scenario.quick else 20.0) - time.monotonic()))
    scenario.cluster.proxy.mend()
    mended = time.monotonic()
    until(lambda: _shared(scenario), 90, "the worker that was cut off to take part again", scenario.cluster.workers)
    scenario.noted["back_s"].append(time.monotonic() - mended)
    scenario.recovered(time.monotonic())
    scenario.noted["paused_when_back_s"].append(scenario.watch.longest(mended))
    scenario.noted["outcomes_repeated"].append(figure(scenario.cluster.door, "vitaltwin_hub_repeated_total"))
    scenario.noted["gaps"].append(figure(alone, "vitaltwin_worker_gaps_total"))
    return took


def _shared(scenario: FaultScenario) -> bool:
    """Whether every worker has partitions, and every partition has one worker."""
    if not all(ready(worker) for worker in scenario.cluster.workers):
        return False
    restored = [figure(worker, "vitaltwin_worker_partitions_restored") for worker in scenario.cluster.workers]
    return min(restored) > 0 and sum(restored) == scenario.cluster.settings.kafka_partitions


def _door_partitioned(scenario: FaultScenario) -> float:
    """The door is cut off from the broker: it answers 503; recovery ends when it answers 200 again."""
    scenario.cluster.proxy.cut()
    time.sleep(12.0 if scenario.quick else 20.0)
    scenario.cluster.proxy.mend()
    mended, taken = time.monotonic(), len(scenario.clients.taken)
    until(lambda: len(scenario.clients.taken) > taken, 60, "an acknowledgement", [scenario.cluster.door])
    took = time.monotonic() - mended
    scenario.recovered(mended)
    return took


FAULTS: dict[str, tuple[Callable[[FaultScenario], float], int, dict[str, Any]]] = {
    "worker_killed": (_worker_killed, 10, {}),
    "worker_drained": (_worker_drained, 10, {}),
    "restarted_under_backlog": (_restarted_under_backlog, 20, {}),
    "broker_killed": (_broker_killed, 5, {"brokers": 3}),
    "kafka_stopped": (_kafka_stopped, 2, {}),
    "influx_stopped": (_influx_stopped, 2, {"influx": True}),
    "killed_without_influx": (_killed_without_influx, 1, {"influx": True}),
    "partitioned": (_partitioned, 5, {"behind": "worker"}),
    "door_partitioned": (_door_partitioned, 2, {"behind": "door"}),
}
"""Name → the fault, how often it runs, and the cluster it needs."""
