"""The peer of ``infra/bench ingest``: a simple first design with FastAPI, pydantic and filterpy.

The comparison favours it: it makes nothing durable, and it forecasts, scores, alarms and sends nothing.
"""

import argparse
from datetime import datetime
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.bench.peers.naive_filter import begun, move

__all__ = ["app"]

app = FastAPI()


class Observation(BaseModel):
    """One reading."""

    patient: str
    signal: str
    time: datetime
    value: float
    unit: str = ""


_filters: dict[tuple[str, str], Any] = {}
_last: dict[tuple[str, str], datetime] = {}


@app.get("/health/ready")
async def ready() -> dict[str, bool]:
    """It is there."""
    return {"ready": True}


@app.post("/v1/observations")
async def observe(observations: list[Observation]) -> dict[str, int]:
    """Update a constant-velocity Kalman filter per patient and signal."""
    for one in observations:
        key = one.patient, one.signal
        known = _filters.get(key)
        if known is None:
            _filters[key] = begun(one.value)
        else:
            move(known, max((one.time - _last[key]).total_seconds(), 0.0), one.value)
        _last[key] = one.time
    return {"taken": len(observations)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, port=parser.parse_args().port, http="httptools", access_log=False, log_level="warning")
