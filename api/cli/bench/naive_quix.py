"""A peer of ``bench kafka``: one JSON record a reading, Quix Streams, filterpy's filter in its state.

Prints, as JSON, how many seconds it took from its first record to its last.
"""

import json
import os
import sys
import tempfile
import time
from typing import Any

from api.cli.bench.naive_faust import moved

__all__ = ["main"]


def main(servers: str, topic: str, count: int) -> None:
    """Move a filter per patient and signal until ``count`` records are through."""
    from quixstreams import Application, State

    app = Application(
        broker_address=servers, consumer_group=f"{topic}-quix", auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(prefix="vitaltwin-quix-"), loglevel="ERROR",
    )  # fmt: skip
    began, seen = 0.0, 0

    def observe(one: dict[str, Any], state: "State[Any, Any]") -> None:
        nonlocal began, seen
        began = began or time.monotonic()
        state.set(one["signal"], moved(state.get(one["signal"]), one["time"], one["value"]))
        seen += 1
        if seen == count:
            print(json.dumps({"seconds": time.monotonic() - began}), flush=True)  # noqa: T201 - what it is run for
            os._exit(0)

    app.dataframe(app.topic(topic, value_deserializer="json")).update(observe, stateful=True)
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[4]))
