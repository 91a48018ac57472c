"""Describe the machine, so that figures of two runs can be compared: cores, model, and its speed now."""

import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["machine"]

_SECONDS = 1.0
_CYCLE = 20_000


def machine() -> dict[str, Any]:
    """Cores, processor and two scores, each measured for a second on one core: higher is faster.

    ``python`` is millions of the interpreter's additions a second, ``memory_gb`` gigabytes of arrays copied a second.
    """
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python_version": platform.python_version(),
        "python": _python(),
        "memory_gb": _memory(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _python() -> float:
    began, cycles, total = time.perf_counter(), 0, 0
    while time.perf_counter() - began < _SECONDS:
        for number in range(_CYCLE):
            total += number
        cycles += 1
    return cycles * _CYCLE / (time.perf_counter() - began) / 1e6


def _memory() -> float:
    source = np.ones(4_000_000)
    target = np.empty_like(source)
    began, copies = time.perf_counter(), 0
    while time.perf_counter() - began < _SECONDS:
        np.copyto(target, source)
        copies += 1
    return copies * source.nbytes / (time.perf_counter() - began) / 1e9
