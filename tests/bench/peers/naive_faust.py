"""A peer of ``infra/bench kafka``: a Faust agent as in its guide, filters in a table, one JSON record per reading.

The comparison favours it: topics exist, records are keyed by patient, so that nothing is repartitioned, and nothing is
forecast, scored or alarmed. It runs until it is stopped.
"""

import sys
from pathlib import Path

import faust

from tests.bench.peers.naive_filter import kept_after

__all__ = ["changelog", "main"]

_APP, _TABLE = "naive-faust", "filters"


class Reading(faust.Record):  # type: ignore[misc]
    """One reading; ``time`` in seconds."""

    patient: str
    signal: str
    time: float
    value: float


class Estimate(faust.Record):  # type: ignore[misc]
    """The filter's estimate after it."""

    patient: str
    signal: str
    time: float
    value: float


def changelog() -> str:
    """The table's changelog topic: created in advance, with as many partitions as the readings."""
    return f"{_APP}-{_TABLE}-changelog"


def main(servers: str, readings: str, estimates: str, *, folder: Path, partitions: int) -> None:
    """Run a worker."""
    app = faust.App(
        _APP, broker=f"kafka://{servers}", store="memory://", topic_partitions=partitions, datadir=folder / "faust",
        consumer_auto_offset_reset="earliest", topic_allow_declare=False, topic_disable_leader=True, web_enabled=False,
    )  # fmt: skip
    source = app.topic(readings, key_type=str, value_type=Reading)
    sink = app.topic(estimates, key_type=str, value_type=Estimate)
    filters = app.Table(_TABLE, key_type=str, partitions=partitions)

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def observe(stream: faust.StreamT[Reading]) -> None:
        async for one in stream:
            key = f"{one.patient}/{one.signal}"
            filters[key] = kept = kept_after(filters.get(key), one.time, one.value)
            await sink.send(key=one.patient, value=Estimate(one.patient, one.signal, one.time, kept["x"][0]))

    sys.argv = [_APP, "worker", "--without-web", "--loglevel", "warn"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:4], folder=Path(sys.argv[4]), partitions=int(sys.argv[5]))
