"""A peer of ``infra/bench kafka``: Quix Streams as in its guide, filters in its state, one JSON record per reading.

It is treated kindly, as the Faust agent is. Its state is RocksDB's; what changed is written out once a checkpoint, every
five seconds. It goes on until it is ended.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.peers.naive_filter import kept_after

if TYPE_CHECKING:
    from quixstreams import State

__all__ = ["main"]


def main(servers: str, readings: str, estimates: str, *, folder: Path) -> None:
    """Run the application; it creates its changelog itself, with as many partitions as the readings."""
    from quixstreams import Application

    app = Application(
        broker_address=servers, consumer_group="naive-quix", auto_offset_reset="earliest", state_dir=folder / "quix",
        loglevel="WARNING",
    )  # fmt: skip
    source = app.topic(readings, key_deserializer="str", value_deserializer="json")
    sink = app.topic(estimates, key_serializer="str", value_serializer="json")
    app.dataframe(source).apply(_observe, stateful=True).to_topic(sink)
    app.run()


def _observe(one: dict[str, Any], state: "State[Any, Any]") -> dict[str, Any]:
    kept = kept_after(state.get(one["signal"]), one["time"], one["value"])
    state.set(one["signal"], kept)
    return one | {"value": kept["x"][0]}


if __name__ == "__main__":
    main(*sys.argv[1:4], folder=Path(sys.argv[4]))
