"""``infra/bench failover``: faults under load, one after another; how long until estimates flow, and what is lost.

Every fault has its own brokers, workers and door. 10,000 patients, 10,000 readings a second. Acknowledged readings are
recorded; refused or unanswered ones are sent again, as a device does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from api.cli.output import Failure, say
from tests.bench.faults import FAULTS
from tests.support.cluster import Cluster
from tests.support.fault_scenario import FaultScenario
from tests.support.topics import compare, stale

__all__ = ["run", "under_load"]


def run(*, quick: bool = False, only: str = "", runs: int = 0) -> dict[str, Any]:
    """Each fault ``runs`` times; by fault: recovery in s, readings lost or applied twice, alarms doubled, states identical.

    With InfluxDB also: acknowledged readings and transitions missing in the history at the end, points dropped.
    """
    if only and only not in FAULTS:
        raise Failure(f"there is no fault {only!r}; known: {', '.join(FAULTS)}")
    figures = {}
    for name, (fault, usual, made) in FAULTS.items():
        if only in ("", name):
            with Cluster(**{"workers": 2} | made) as cluster:
                faults = [(name, fault)] * (runs or (1 if quick else usual))
                figures[name] = under_load(FaultScenario(cluster, quick=quick), faults)
    return figures


def under_load(
    scenario: FaultScenario, faults: Sequence[tuple[str, Callable[[FaultScenario], float]]]
) -> dict[str, Any]:
    """Run named faults one after another on one cluster; returns their results together, in the form of ``run``."""
    scenario.start()
    seconds = []
    for number, (name, fault) in enumerate(faults):
        seconds.append(fault(scenario))
        say(f"{name} {number + 1} of {len(faults)}: {seconds[-1]:.1f} s")
    scenario.stop()
    heard = {partition: came[-1][1] for partition, came in scenario.watch.arrivals.items() if came}
    found = compare(scenario.cluster.settings, scenario.clients.taken, heard)
    transitions = found.pop("transitions")
    if scenario.cluster.influx is not None:
        found["history_missing"] = scenario.influx.missing(scenario.clients.taken)
        found["history_missing_transitions"] = scenario.influx.missing_transitions(transitions)
    found |= stale(scenario.cluster.settings)
    return {
        "runs": len(faults),
        "recover_s": {"p50": float(np.median(seconds)), "max": max(seconds)},
        **{what: max(noted) for what, noted in scenario.noted.items()},
        **found,
        "alarms": len(transitions),
        "alarms_doubled": sum(count > 1 for count in scenario.alarms.seen.values()),
        "alarms_missed": len(transitions - scenario.alarms.seen.keys()),
        "subscriber_connections": scenario.alarms.connections,
        "answered_503": scenario.clients.refused,
    }
