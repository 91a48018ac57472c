"""The peer of ``bench ingest``: what one would write in an afternoon with FastAPI, pydantic and filterpy.

It is treated kindly: nothing is made durable, nothing is forecast, scored, alarmed or sent to anyone.
"""

import argparse
from datetime import datetime

import numpy as np
import uvicorn
from fastapi import FastAPI
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter
from pydantic import BaseModel

__all__ = ["app"]

app = FastAPI()


class Observation(BaseModel):
    """One reading."""

    patient: str
    signal: str
    time: datetime
    value: float
    unit: str = ""


_filters: dict[tuple[str, str], KalmanFilter] = {}
_last: dict[tuple[str, str], datetime] = {}


@app.get("/health/ready")
async def ready() -> dict[str, bool]:
    """It is there."""
    return {"ready": True}


@app.post("/v1/observations")
async def observe(observations: list[Observation]) -> dict[str, int]:
    """Move a constant-velocity Kalman filter per patient and signal."""
    for one in observations:
        key = one.patient, one.signal
        known = _filters.get(key)
        if known is None:
            known = _filters[key] = KalmanFilter(dim_x=2, dim_z=1)
            known.x = np.array([[one.value], [0.0]])
            known.H = np.array([[1.0, 0.0]])
            known.P *= 10.0
            known.R *= 4.0
        else:
            elapsed = max((one.time - _last[key]).total_seconds(), 0.0)
            known.F = np.array([[1.0, elapsed], [0.0, 1.0]])
            known.Q = Q_discrete_white_noise(2, elapsed, 0.01)
            known.predict()
            known.update(one.value)
        _last[key] = one.time
    return {"taken": len(observations)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, port=parser.parse_args().port, http="httptools", access_log=False, log_level="warning")
