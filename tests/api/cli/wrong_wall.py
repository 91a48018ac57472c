"""Runs ``vitaltwin`` as on a machine whose wall clock is wrong by OFF_S until the file SET_RIGHT exists."""

import os
import sys
import time


def set_wrong(off_s: float, set_right: str) -> None:
    """Make the wall clock wrong until it is corrected."""
    right, right_ns = time.time, time.time_ns  # noqa: TID251 - they are what is set here

    def off() -> float:
        return 0.0 if os.path.exists(set_right) else off_s  # noqa: PTH110 - asked thousands of times

    time.time = lambda: right() + off()  # type: ignore[assignment] # noqa: TID251
    time.time_ns = lambda: right_ns() + int(off() * 1e9)  # type: ignore[assignment] # noqa: TID251


if __name__ == "__main__":
    set_wrong(float(os.environ["OFF_S"]), os.environ["SET_RIGHT"])
    from api.cli import main

    sys.argv = ["vitaltwin", *sys.argv[1:]]
    main()
