"""Runs ``vitaltwin`` as on a machine whose wall clock is wrong by OFF_S until the file SET_RIGHT is there."""

import os
import sys
import time

OFF_S, SET_RIGHT = float(os.environ["OFF_S"]), os.environ["SET_RIGHT"]
_right, _right_ns = time.time, time.time_ns  # noqa: TID251 - they are what is set here


def _off() -> float:
    return 0.0 if os.path.exists(SET_RIGHT) else OFF_S  # noqa: PTH110 - asked thousands of times


time.time = lambda: _right() + _off()  # type: ignore[assignment] # noqa: TID251
time.time_ns = lambda: _right_ns() + int(_off() * 1e9)  # type: ignore[assignment] # noqa: TID251

from api.cli import main  # noqa: E402

sys.argv = ["vitaltwin", *sys.argv[1:]]
main()
