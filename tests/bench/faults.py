"""What breaks in ``infra/bench failover``, by name: each breaks something, waits, mends it, and returns the recovery in s."""

import time
from collections.abc import Callable
from typing import Any

from tests.support.cluster import figure, ready, until
from tests.support.house import House
from tests.support.scene import Scene

__all__ = ["FAULTS"]


def _worker_ended(scene: Scene, end: Callable[[House], None]) -> float:
    victim = scene.cluster.workers[0]
    began = time.monotonic()
    end(victim)
    took = scene.recovered(began)
    scene.replace(victim)
    scene.cluster.workers.reverse()
    return took


def _worker_killed(scene: Scene) -> float:
    return _worker_ended(scene, House.kill)


def _worker_drained(scene: Scene) -> float:
    return _worker_ended(scene, House.stop)


def _restarted_under_backlog(scene: Scene) -> float:
    """All workers end in good order, a backlog gathers, and one begins alone with it."""
    for worker in scene.cluster.workers:
        worker.stop()
    time.sleep(2.0)
    began = time.monotonic()
    first, *others = scene.cluster.workers
    first.begin()
    took = scene.recovered(began)
    for other in others:
        other.begin()
    until(lambda: all(ready(one) for one in scene.cluster.workers), 60, "the workers", scene.cluster.workers)
    return took


def _broker_killed(scene: Scene) -> float:
    brokers = scene.cluster.brokers
    node = 1 + int(time.monotonic()) % brokers.count
    began = time.monotonic()
    brokers.kill(node)
    took = scene.recovered(began, 8.0)
    brokers.start(node)
    scene.recovered(time.monotonic(), 8.0)
    return took


def _kafka_stopped(scene: Scene) -> float:
    """A quarter of a minute after the last fault: by then every sensor was heard again, each time an outage of its own."""
    brokers = scene.cluster.brokers
    time.sleep(5.0 if scene.quick else 15.0)
    brokers.stop()
    time.sleep(30.0)
    began = time.monotonic()
    brokers.start()
    return scene.recovered(began)


# -- the history -----------------------------------------------------------------------------------------------------


def _influx_stopped(scene: Scene) -> float:
    """InfluxDB is away for a minute: estimates and checkpoints go on; recovery is until its history is whole again."""
    began = time.monotonic()
    scene.influx.stop()
    before = scene.of_workers("vitaltwin_worker_checkpoints_total")
    time.sleep(5.0 if scene.quick else 60.0)
    scene.noted["checkpoints_while_away"].append(scene.of_workers("vitaltwin_worker_checkpoints_total") - before)
    took = _history_whole(scene)
    scene.noted["estimates_paused_s"].append(scene.watch.longest(began))
    return took


def _killed_without_influx(scene: Scene) -> float:
    """A worker is killed while InfluxDB is away: what it had spilled is on its disk, and it brings that over later."""
    scene.influx.stop()
    time.sleep(5.0 if scene.quick else 20.0)
    victim = scene.cluster.workers[0]
    victim.kill()
    scene.recovered(time.monotonic())
    scene.replace(victim)
    scene.cluster.workers.reverse()
    return _history_whole(scene)


def _history_whole(scene: Scene) -> float:
    """Start InfluxDB; returns the seconds until nothing waits on disk and what was acknowledged last can be read."""
    name = "vitaltwin_history_spilled_bytes"
    scene.noted["spilled_mb"].append(scene.of_workers(name) / 1e6)
    scene.influx.start()
    began, last = time.monotonic(), scene.clients.taken[-1]
    until(lambda: not scene.of_workers(name), 180, "what waits on disk", scene.cluster.workers)
    until(lambda: scene.influx.readable(last), 30, "the last reading in the history", scene.cluster.workers)
    return time.monotonic() - began


# -- the network -----------------------------------------------------------------------------------------------------


def _partitioned(scene: Scene) -> float:
    """A worker that lives on, cut off from the broker for 20 s: another takes over, and it comes back as nobody."""
    alone = scene.cluster.workers[0]
    began = time.monotonic()
    scene.cluster.proxy.cut()
    took = scene.recovered(began, 6.0)
    time.sleep(max(0.0, began + (12.0 if scene.quick else 20.0) - time.monotonic()))
    scene.cluster.proxy.mend()
    mended = time.monotonic()
    until(lambda: _shared(scene), 90, "the worker that was cut off to take part again", scene.cluster.workers)
    scene.noted["back_s"].append(time.monotonic() - mended)
    scene.recovered(time.monotonic())
    scene.noted["paused_when_back_s"].append(scene.watch.longest(mended))
    scene.noted["outcomes_repeated"].append(figure(scene.cluster.house, "vitaltwin_hub_repeated"))
    scene.noted["gaps"].append(figure(alone, "vitaltwin_worker_gaps_total"))
    return took


def _shared(scene: Scene) -> bool:
    """Whether every worker has partitions, and all have them once."""
    if not all(ready(worker) for worker in scene.cluster.workers):
        return False
    held = [figure(worker, "vitaltwin_worker_partitions_restored") for worker in scene.cluster.workers]
    return min(held) > 0 and sum(held) == scene.cluster.settings.kafka_partitions


def _door_partitioned(scene: Scene) -> float:
    """The door is cut off from the broker: it answers 503; recovery is until it says 200 again."""
    scene.cluster.proxy.cut()
    time.sleep(12.0 if scene.quick else 20.0)
    scene.cluster.proxy.mend()
    mended, taken = time.monotonic(), len(scene.clients.taken)
    until(lambda: len(scene.clients.taken) > taken, 60, "an acknowledgement", [scene.cluster.house])
    took = time.monotonic() - mended
    scene.recovered(mended)
    return took


FAULTS: dict[str, tuple[Callable[[Scene], float], int, dict[str, Any]]] = {
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
"""Name → what breaks, how often, and what the cluster is made of."""
