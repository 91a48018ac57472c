"""``infra/bench abuse``: how long a real critical alarm takes while a client abuses the service, compared with without.

Each abuse has its own service, comes from one address, and goes on while probes are posted. The quiet figures are from the
same service just before, over the same time. A load of a thousand readings a second goes on throughout. The service has its
default settings: what an abuser can do here, it can do everywhere.
"""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from api.cli.output import Failure, say
from streams.settings import Settings
from tests.bench.abusers import ABUSES, Target, command
from tests.bench.latency import background
from tests.support.probing import Probes
from tests.support.service import ServiceUnderTest

__all__ = ["run"]

_LOAD = 1_000
_WARM_S = 1.0
"""Seconds of an abuse before its figures begin."""


def run(*, quick: bool = False, only: str = "") -> dict[str, Any]:
    """By abuse: p99 of the milliseconds from the POST of a reading to its critical alarm at a WebSocket client, peak memory.

    ``ratio`` is the p99 during the abuse divided by the quiet p99 of the same service; ``quiet`` is the median of the quiet
    ones. If the machine's load differs between the two halves, another program was running, and the ratio means little.
    """
    if only and only not in ABUSES:
        raise Failure(f"there is no abuse {only!r}; known: {', '.join(ABUSES)}")
    seconds = 5.0 if quick else 60.0
    figures: dict[str, Any] = {"seconds": seconds}
    quiet = []
    for name in [only] if only else ABUSES:
        say(f"{name}: {seconds:g} s quiet, {seconds:g} s of it")
        with ServiceUnderTest(default_ward="background", new_patients_per_minute=_quota()) as service:
            service.start()
            before, beside, memory, load = asyncio.run(_beside(service, name, seconds))
        quiet.append(_p99_ms(before))
        figures[name] = {
            "alarm_p99_ms": _p99_ms(beside),
            "alarm_p50_ms": _ms(beside, 50),
            "ratio": _p99_ms(beside) / quiet[-1],
            "quiet_p99_ms": quiet[-1],
            "rss_mb": memory,
            "alarms": len(beside),
            "quiet_alarms": len(before),
            "load_average": os.getloadavg()[0],
            "quiet_load_average": load,
        }
    return figures | {"quiet": {"alarm_p99_ms": median(quiet)}}


def _quota() -> str:
    """The default number of patients a key may admit in a minute; the load here has fewer."""
    return str(Settings.model_fields["new_patients_per_minute"].default)


async def _beside(
    service: ServiceUnderTest, name: str, seconds: float
) -> tuple[list[float], list[float], float, float]:
    """Delays of alarms before and during an abuse (s), the peak memory during it (MB), and the machine's load before it."""
    probes = await asyncio.to_thread(Probes, service)
    with background(service.port, probes.key, _LOAD):
        async with probes:
            await probes.measure(3.0)
            before = await probes.measure(seconds)
            load = os.getloadavg()[0]
            target = Target(service.port, probes.key, probes.cookie, seconds + 10 * _WARM_S)
            _begin_peak(service)
            with subprocess.Popen(command(name, target), env=service.environment) as abuser:  # noqa: ASYNC220 # this program
                await asyncio.sleep(_WARM_S)
                beside = await probes.measure(seconds)
                if abuser.poll() not in {None, 0}:
                    raise Failure(f"the abuser of {name} ended by itself")
                abuser.terminate()
            if not service.running:
                raise Failure(f"the service ended beside {name}:\n{service.said()}")
            return before, beside, _peak_mb(service), load


def _begin_peak(service: ServiceUnderTest) -> None:
    Path(f"/proc/{service.pid}/clear_refs").write_text("5", encoding="ascii")


def _peak_mb(service: ServiceUnderTest) -> float:
    """The peak memory since the peak was reset (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else float("nan")


def _p99_ms(seconds: list[float]) -> float:
    return _ms(seconds, 99)


def _ms(seconds: list[float], rank: float) -> float:
    return float(np.percentile(1000 * np.array(seconds), rank)) if seconds else float("nan")
