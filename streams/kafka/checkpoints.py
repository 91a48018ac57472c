"""Checkpoints in the compacted topic ``twins``: a record a block, and a manifest that says what they cover together.

A partition's checkpoints stand in the partition of the same number. The manifest comes last: it holds the offset up to
which the log is no longer needed, and the offset each block had when it was written. A block that turns out older than
the manifest says was written later by a worker that had lost the partition and did not know it; the log is then read
again from there.
"""

from collections.abc import Iterable, Mapping

import aiokafka
import msgspec
from aiokafka.structs import TopicPartition

from streams.kafka.connect import MOST_BYTES, options
from streams.settings import Settings
from streams.worker import Blob

__all__ = ["Kept", "Manifest", "read", "write"]

_MANIFEST = "manifest"


class Manifest(msgspec.Struct):
    """The offset a partition is covered up to, the log's time there (µs), and the offset of each block."""

    covered: int = -1
    time: int = 0
    blocks: dict[int, int] = {}


class Kept(msgspec.Struct):
    """A partition's checkpoints as they were found; ``covered`` is what they cover, -1 if nothing."""

    blobs: list[bytes]
    covered: int
    manifest: Manifest


class _Offset(msgspec.Struct):
    """What every blob holds."""

    number: int = -1
    offset: int = -1


_offset = msgspec.msgpack.Decoder(_Offset)
_manifest = msgspec.msgpack.Decoder(Manifest)


async def write(
    producer: aiokafka.AIOKafkaProducer, topic: str, blobs: Iterable[Blob], manifests: Mapping[int, Manifest]
) -> None:
    """Return once the blobs are durable, and after them the manifests; raises ``KafkaError``."""
    waiting = [
        await producer.send(topic, blob, key=b"%d" % number, partition=partition)
        for partition, number, _, blob in blobs
    ]
    for future in waiting:
        await future
    waiting = [
        await producer.send(topic, msgspec.msgpack.encode(manifest), key=_MANIFEST.encode(), partition=partition)
        for partition, manifest in manifests.items()
    ]
    for future in waiting:
        await future


async def read(settings: Settings, topic: str, partitions: Iterable[int]) -> dict[int, Kept]:
    """The newest checkpoints of some partitions, read from the beginning of each to its end; raises ``KafkaError``."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    consumer = aiokafka.AIOKafkaConsumer(
        **options(settings), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=64 << 20,
        max_partition_fetch_bytes=MOST_BYTES, check_crcs=False,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        newest: dict[int, dict[str, bytes]] = {place.partition: {} for place in places}
        left = set(places)
        while left:
            for place in list(left):
                # The position also passes what compaction has taken away, which no record tells.
                if await consumer.position(place) >= ends[place]:
                    left.discard(place)
                    consumer.pause(place)
            if not left:
                break
            for place, records in (await consumer.getmany(*left, timeout_ms=500, max_records=5_000)).items():
                held = newest[place.partition]
                for record in records:
                    if record.key is not None and record.value is not None:
                        held[record.key.decode()] = record.value
        return {partition: _kept(held) for partition, held in newest.items()}
    finally:
        await consumer.stop()


def _kept(held: dict[str, bytes]) -> Kept:
    manifest = _manifest.decode(held.pop(_MANIFEST)) if _MANIFEST in held else Manifest()
    covered = manifest.covered
    for raw in held.values():
        found = _offset.decode(raw)
        if found.offset < manifest.blocks.get(found.number, -1):
            covered = min(covered, found.offset)
    return Kept(list(held.values()), covered, manifest)
