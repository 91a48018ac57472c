"""Feeds the demo ward: admits its patients, charts their facts and sends the readings of their devices."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import numpy as np

from api.cli.demo_ward.cast import WARD, Bed
from api.cli.demo_ward.sources import Source
from streams.errors import LogUnavailable, Overloaded
from twins.records import Admit, Columns, Fact

if TYPE_CHECKING:
    from api.live.state import LiveState
    from api.runtime import Service

__all__ = ["Feeder"]

_BEAT_S = 0.25
_PAUSE_US = 15 * 60_000_000
_CHART_US = 3_600_000_000
_FRAME = 20_000


class Feeder:
    """Sends readings to a service as devices do; ``run`` continues until it is cancelled."""

    def __init__(self, service: "Service", view: "LiveState", beds: list[Bed]) -> None:
        self._service = service
        self._view = view
        self._beds = beds
        self._sources: list[Source] = []
        self._sent: list[int] = []

    async def run(self) -> None:
        """Admit missing patients, then send for ever. While the disk is full, it waits."""
        await self._patiently(self.open)
        while True:
            await self._patiently(self.chart)
            await self._patiently(self.send)
            await asyncio.sleep(_BEAT_S)

    async def open(self) -> None:
        """Find all patients of the last run, or admit them.

        After a short stop a schedule continues; after a long one it starts again.
        """
        self._sources, self._sent = [], []
        now = self._service.clock.now()
        for bed in self._beds:
            profile = self._service.registry.get(bed.patient)
            newest = max((estimate.time for estimate in self._view.state(bed.patient) or ()), default=0)
            if profile is None or not profile.active:
                await self._service.append(
                    Admit(patient=bed.patient, ward=WARD, bed=str(bed.number), label=bed.label, by="demo", received=now)
                )
            resumed = profile is not None and profile.active and 0 <= now - newest < _PAUSE_US
            origin = profile.admitted if profile is not None and resumed else now
            self._sources.append(bed.source(origin))
            self._sent.append(max(newest if newest <= now else 0, now - bed.past_us))

    async def chart(self) -> None:
        """Chart oxygen and consciousness once an hour."""
        now = self._service.clock.now()
        for bed in self._beds:
            profile = self._service.registry.get(bed.patient)
            for kind, value, charted in (
                ("oxygen", bed.oxygen, profile.oxygen_time if profile else 0),
                ("consciousness", bed.consciousness, profile.consciousness_time if profile else 0),
            ):
                if value is not None and now - charted > _CHART_US:
                    await self._service.append(
                        Fact(patient=bed.patient, kind=kind, time=now, value=value, by="demo", received=now)
                    )

    async def send(self) -> None:
        """Send all due readings, in order of time. If the clock was set back, the ward starts again from there."""
        now = self._service.clock.now()
        if now < max(self._sent):
            await self.open()
        parts = [source.between(sent, now) for source, sent in zip(self._sources, self._sent, strict=True)]
        code, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        patient = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part[1]) for part in parts])
        order = np.argsort(time, kind="stable")
        names = [bed.patient for bed in self._beds]
        for first in range(0, len(order), _FRAME):
            rows = order[first : first + _FRAME]
            await self._service.observe(Columns(names, patient[rows], code[rows], time[rows], value[rows]), "demo")
        self._sent = [now] * len(self._beds)

    @staticmethod
    async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_s)
            except LogUnavailable:
                await asyncio.sleep(1.0)
