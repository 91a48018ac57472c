"""Checkpoints on a real broker, also written by a worker that had lost the partition."""

import numpy as np
import pytest

from streams.history.nothing import NoHistory
from streams.kafka import topics
from streams.kafka.connect import producer
from streams.kafka.worker import checkpoints
from streams.kafka.worker.outgoing import Outgoing
from streams.log.frame import as_record
from streams.settings import Settings
from streams.worker.worker import Blob, Worker
from tests.bench.recovery import state_of
from twins.records import Admit, Columns, Record

pytestmark = [pytest.mark.slow, pytest.mark.fault]

SECOND = 1_000_000


def log() -> list[Record]:
    records: list[Record] = [Admit(patient="a", ward="A", received=SECOND)]
    for number in range(1, 10):
        at = (number + 1) * SECOND
        columns = Columns(["a"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([at]), np.array([80.0 + number]))
        records.append(as_record(columns, at))
    return records


def after(offset: int) -> tuple[Worker, list[Blob]]:
    """A worker that has processed the log up to ``offset``, and its checkpoints."""
    worker = Worker(NoHistory())
    worker.assign(0, [])
    for place, record in enumerate(log()[: offset + 1]):
        worker.take(0, place, record)
    return worker, worker.checkpoint().blobs


async def test_a_block_that_has_seen_less_than_the_manifest_says_has_the_log_read_again(settings: Settings) -> None:
    """A cut-off worker wrote it last; the manifest names the older record, which compaction has deleted."""
    await topics.make(settings)
    names = topics.Topics.of(settings)
    whole, newer = after(9)
    _, older = after(3)
    gone = producer(settings)
    await gone.start()
    await gone.send_and_wait(names.twins, None, key=b"0", partition=0)  # in place of what compaction has taken
    await gone.stop()
    writing = Outgoing(settings, names)
    await writing.start()
    written = await checkpoints.write_blobs(writing, names, [blob for blob in newer if blob[1] < 0])
    await checkpoints.write_blobs(writing, names, [blob for blob in older if blob[1] == 0])
    blocks = {number: record for _, number, record in written} | {0: 0}
    await checkpoints.write_manifests(writing, names, {0: checkpoints.Manifest(9, 10 * SECOND, blocks)})
    await writing.stop()
    kept = (await checkpoints.read(settings, [0]))[0]
    restored = Worker(NoHistory())
    begin = restored.assign(0, kept.blobs, kept.manifest.covered)
    assert begin == 4
    restored.banks[0].time = kept.manifest.time
    for place, record in list(enumerate(log()))[begin:]:
        restored.take(0, place, record)
    restored.banks[0].finish_catch_up()
    assert state_of(restored.banks[0], 9) == state_of(whole.banks[0], 9)


@pytest.mark.slow
async def test_a_manifest_that_cannot_be_read_is_as_none(settings: Settings) -> None:
    await topics.make(settings)
    names = topics.Topics.of(settings)
    writing = producer(settings)
    await writing.start()
    await writing.send_and_wait(names.manifests, b"\xc1 nothing", partition=0, key=b"0")
    await writing.stop()
    kept = await checkpoints.read(settings, [0, 1])
    assert [(one.blobs, one.manifest.covered) for one in kept.values()] == [([], -1)] * 2
