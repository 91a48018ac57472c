"""Write the checkpoints of a worker: a share at a time, everything when it leaves; then acknowledge the records."""

import asyncio
import contextlib
import math

from streams.history.base import History
from streams.kafka.topics import Topics
from streams.kafka.worker import checkpoints
from streams.kafka.worker.outgoing import Outgoing
from streams.kafka.worker.partition import Partition
from streams.worker.worker import Worker

__all__ = ["Sweeps"]

_EVERY_S = 0.5
_SOON_S = 0.05
_BUDGET_S = 0.03
_LAST_S = 5.0
_LAST_PARTS = 8


class Sweeps:
    """Writes what changed in ``worker``; ``assigned`` are its partitions."""

    def __init__(
        self, worker: Worker, assigned: dict[int, Partition], history: History, outgoing: Outgoing, topics: Topics
    ) -> None:
        self._worker = worker
        self._assigned = assigned
        self._history = history
        self._outgoing = outgoing
        self._topics = topics
        self._writing = asyncio.Lock()
        self.blocks = 0
        self.bytes = 0

    async def run(self, within_s: float) -> None:
        """Write a share of the changes at each interval, so that every change is written ``within_s``; until cancelled."""
        share = min(1.0, _EVERY_S / within_s)
        loop = asyncio.get_running_loop()
        due = loop.time() + _EVERY_S
        while True:
            await asyncio.sleep(due - loop.time())
            began = loop.time()
            left = await self.write(share, _BUDGET_S)
            # A busy worker sweeps more often, not longer, so that estimates do not wait.
            due = max(due + _EVERY_S, began) if not left else loop.time() + _SOON_S

    async def bring_up_to_date(self) -> None:
        """Bring checkpoints up to date while records are still processed: the next worker then has little to read again."""
        with contextlib.suppress(TimeoutError):  # without Kafka no worker can take over either
            async with asyncio.timeout(_LAST_S):
                for rest in range(_LAST_PARTS, 0, -1):
                    await self.write(1 / rest)

    async def write(self, share: float = 1.0, budget_s: float = math.inf) -> int:
        """Write the oldest ``share`` of what changed, and acknowledge what is covered then; raises ``KafkaError``.

        Returns the number of blocks for which there was no time.
        """
        async with self._writing:
            saved = self._worker.checkpoint(share, budget_s)
            # A partition that is lost and assigned again meanwhile is a new object: nothing here applies to it.
            partitions = dict(self._assigned)
            times = {
                partition: (covered, partitions[partition].time_at(covered))
                for partition, covered in saved.committed.items()
                if partition in partitions and covered > partitions[partition].covered
            }
            await self._outgoing.flush()
            await self._history.settled()
            written = await checkpoints.write_blobs(self._outgoing, self._topics, saved.blobs)
            for partition, number, record in written:
                if partition in partitions:
                    partitions[partition].blocks[number] = record
            manifests = {
                partition: checkpoints.Manifest(covered, time, partitions[partition].blocks)
                for partition, (covered, time) in times.items()
                if self._assigned.get(partition) is partitions[partition]
            }
            await checkpoints.write_manifests(self._outgoing, self._topics, manifests)
            for partition, manifest in manifests.items():
                partitions[partition].acknowledge(manifest.covered, manifest.time)
            self.blocks += len(saved.blobs)
            self.bytes += sum(len(blob[3]) for blob in saved.blobs)
            return saved.left
