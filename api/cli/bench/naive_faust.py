"""A peer of ``bench kafka``: one JSON record a reading, a Faust agent, filterpy's filter in a Faust table.

What one would write in an afternoon from Faust's own guide. It is treated kindly: nothing is forecast, alarmed or sent on.
Prints, as JSON, how many seconds it took from its first record to its last.
"""

import json
import os
import sys
import time

import faust
import numpy as np
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter

__all__ = ["main", "moved"]


def filter_of(known: dict[str, list[float]] | None, value: float) -> KalmanFilter:
    """The constant-velocity filter as the table keeps it."""
    made = KalmanFilter(dim_x=2, dim_z=1)
    made.x = np.array([[known["x"][0]], [known["x"][1]]]) if known else np.array([[value], [0.0]])
    made.P = np.array(known["p"]).reshape(2, 2) if known else np.eye(2) * 10.0
    made.H = np.array([[1.0, 0.0]])
    made.R *= 4.0
    return made


def moved(known: dict[str, list[float]] | None, at: float, value: float) -> dict[str, list[float]]:
    """What the table keeps after one more reading."""
    one = filter_of(known, value)
    if known:
        elapsed = max(at - known["t"][0], 0.0)
        one.F = np.array([[1.0, elapsed], [0.0, 1.0]])
        one.Q = Q_discrete_white_noise(2, elapsed, 0.01)
        one.predict()
        one.update(value)
    return {"x": one.x.ravel().tolist(), "p": one.P.ravel().tolist(), "t": [at]}


def main(servers: str, topic: str, partitions: int, count: int) -> None:
    """Run the worker until ``count`` records are through."""
    app = faust.App(
        f"{topic}-naive", broker=f"kafka://{servers}", store="memory://", topic_partitions=partitions, web_enabled=False,
        consumer_auto_offset_reset="earliest", topic_disable_leader=True,
    )  # fmt: skip
    readings = app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    filters = app.Table("filters", key_type=str, partitions=partitions)

    @app.agent(readings, name="observe")  # type: ignore[untyped-decorator]
    async def observe(stream: "faust.StreamT[bytes]") -> None:
        began, seen = 0.0, 0
        async for raw in stream:
            began = began or time.monotonic()
            one = json.loads(raw)
            key = f"{one['patient']}/{one['signal']}"
            filters[key] = moved(filters.get(key), one["time"], one["value"])
            seen += 1
            if seen == count:
                print(json.dumps({"seconds": time.monotonic() - began}), flush=True)  # noqa: T201 - what it is run for
                os._exit(0)

    sys.argv = [sys.argv[0], "worker", "--without-web", "-l", "error"]
    app.main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
