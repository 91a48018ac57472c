"""The filter of the naive peers: filterpy's, two states (value and its velocity), one for each patient and signal.

``naive`` keeps the objects themselves; the peers on Kafka keep numbers in a store and use one object for all series.
"""

from typing import Any

import numpy as np
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter

__all__ = ["begun", "kept_after", "move"]

Kept = dict[str, list[float]]
"""The stored state of a filter, as JSON: mean ``x``, covariance ``p`` by rows, ``at`` in seconds."""


def begun(value: float) -> Any:
    """A filter after its first reading."""
    made = KalmanFilter(dim_x=2, dim_z=1)
    made.x = np.array([[value], [0.0]])
    made.H = np.array([[1.0, 0.0]])
    made.P *= 10.0
    made.R *= 4.0
    return made


def move(known: Any, elapsed: float, value: float) -> None:
    """Predict over ``elapsed`` seconds and update with a reading."""
    known.F = np.array([[1.0, elapsed], [0.0, 1.0]])
    known.Q = Q_discrete_white_noise(2, elapsed, 0.01)
    known.predict()
    known.update(value)


_one = begun(0.0)


def kept_after(kept: Kept | None, at: float, value: float) -> Kept:
    """The stored state after a reading at ``at`` seconds."""
    if kept is None:
        one = begun(value)
    else:
        one = _one
        one.x, one.P = np.array(kept["x"]).reshape(2, 1), np.array(kept["p"]).reshape(2, 2)
        move(one, max(at - kept["at"][0], 0.0), value)
    return {"x": one.x.ravel().tolist(), "p": one.P.ravel().tolist(), "at": [at]}
