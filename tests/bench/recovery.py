"""``infra/bench recovery``: ``kill -9`` at random moments under load; nothing acknowledged is lost, nothing is applied twice."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from api.cli.output import Failure, say
from streams.embedded.restore import OfflineFile, open_offline
from streams.worker.worker import Worker
from tests.support.load import FRAME_TYPE, SimulatedWard, requests
from tests.support.posting import PostingThreads
from tests.support.raw_connection import RawConnection
from tests.support.service import ServiceUnderTest
from twins.bank import layout
from twins.bank.bank import BLOCK, Bank
from twins.bank.checkpoint import block_of
from twins.records import Columns, Frame
from twins.step.dispatch import step

__all__ = ["moved_twice", "readings_of", "run", "state_of"]

_CONNECTIONS = 4
_BATCH = 200
_PATIENTS = 400

Reading = tuple[str, int, int]
"""Patient, signal and time; the load sends each only once."""


def run(*, quick: bool = False) -> dict[str, Any]:
    """Kill the service ``kills`` times while four clients post, restart it each time, and compare.

    ``lost``: acknowledged readings missing in the log or in the history. ``applied_twice``: readings that are in either more
    than once, or that a twin processed more than once. ``identical``: the restored twins, alarms and limits equal those of
    one uninterrupted run over the same log, byte for byte.
    """
    kills = 3 if quick else 25
    chance = random.Random(20)
    with ServiceUnderTest(checkpoint_seconds="1") as service:
        clients = _Clients(service)
        for number in range(kills):
            service.start()
            clients.begin(service.key())
            time.sleep(chance.uniform(0.3, 0.8 if quick else 2.5))
            service.kill()
            clients.end()
            say(f"kill {number + 1} of {kills}: {clients.acknowledged} readings acknowledged so far")
        service.start()
        clients.begin(service.key())
        time.sleep(0.5)
        clients.end()
        service.stop()
        with open_offline(service.database) as file:
            figures = _compare(file, clients.taken)
    return {"kills": kills, "acknowledged": clients.acknowledged} | figures


class _Clients:
    """Connections that post new readings and record what was acknowledged; an unanswered batch is not repeated."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self._port = service.port
        self._key = ""
        self._ward = SimulatedWard(_PATIENTS)
        self._posting = PostingThreads(self._carry, _CONNECTIONS)
        self.taken: list[Columns] = []

    @property
    def acknowledged(self) -> int:
        """Readings answered with 200."""
        return sum(map(len, self.taken))

    def begin(self, key: str) -> None:
        """Post until ``end`` or until the connection breaks."""
        self._key = key
        self._posting.start()

    def end(self) -> None:
        """Wait until posting has ended."""
        self._posting.stop()

    def _carry(self, _: int) -> None:
        with contextlib.suppress(OSError), RawConnection(self._port) as wire:  # the kill
            while not self._posting.ended.is_set():
                with self._posting.making:
                    batch = self._ward.batches(1, _BATCH)
                status = wire.send(requests(batch, FRAME_TYPE, self._key)[0])
                if status != 200:
                    raise Failure(f"a batch was answered {status}")
                self.taken.extend(batch)


def _compare(file: OfflineFile, taken: list[Columns]) -> dict[str, Any]:
    say("one uninterrupted run over the same log")
    restored = file.worker()
    logged: Counter[Reading] = Counter()
    moved: Counter[tuple[str, int]] = Counter()
    identical = True
    records = 0
    for partition in range(file.partitions):
        bank = Bank(partition)
        for expected, entry in enumerate(file.entries(partition)):
            if entry.offset != expected:
                raise Failure(f"partition {partition} has no record {expected}: the log was truncated or is broken")
            step(bank, entry.record, entry.offset)
            records += 1
            if isinstance(entry.record, Frame):
                readings = readings_of(entry.record.columns)
                logged.update(readings)
                moved.update((patient, signal) for patient, signal, _ in readings)
        identical &= state_of(bank, restored.offsets[partition]) == state_of(
            restored.banks[partition], restored.offsets[partition]
        )
    kept = asyncio.run(_history(restored, moved))
    restored.history.close()
    acknowledged = {reading for columns in taken for reading in readings_of(columns)}
    twice = sum(count > 1 for count in logged.values()) + sum(count > 1 for count in kept.values())
    return {
        "lost": len(acknowledged - logged.keys()) + len(acknowledged - kept.keys()),
        "applied_twice": twice + moved_twice(restored, moved),
        "identical": identical,
        "logged": logged.total(),
        "records": records,
    }


def readings_of(columns: Columns) -> list[Reading]:
    """The identity of every reading."""
    rows = zip(columns.patient.tolist(), columns.signal.tolist(), columns.time.tolist(), strict=True)
    return [(columns.patients[patient], signal, moment) for patient, signal, moment in rows]


def state_of(bank: Bank, offset: int) -> bytes:
    """The complete state of a partition's twins, as checkpoints."""
    blocks = [block_of(bank, number, offset) for number in range(-(-bank.patients // BLOCK))]
    return msgspec.msgpack.encode((blocks, bank.time, sorted(bank.ward_limits.items())))


def moved_twice(worker: Worker, moved: Counter[tuple[str, int]]) -> int:
    """Channels with more measurements than the log has readings of them."""
    found = 0
    for bank in worker.banks.values():
        for row in range(bank.rows):
            patient = bank.profile(int(bank.patient_of_row[row])).patient
            found += int(bank.state[row, layout.COUNT]) > moved[patient, int(bank.signal_of_row[row])]
    return found


async def _history(worker: Worker, channels: Iterable[tuple[str, int]]) -> Counter[Reading]:
    """Every reading of some channels in the history."""
    kept: Counter[Reading] = Counter()
    for patient, signal in channels:
        series = await worker.history.observations(patient, signal, 0, 1 << 60)
        kept.update((patient, signal, moment) for moment in series.time.tolist())
    return kept
