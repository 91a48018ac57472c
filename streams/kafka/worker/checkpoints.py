"""Checkpoints in two compacted topics: blocks in ``twins``; ``manifests`` say which blocks make up a partition.

A partition's checkpoints are in the partitions with the same number. The manifest is written last: it names the record of
every block, and the offset up to which the log is no longer needed. So the checkpoints of one worker are used completely or
not at all, even if another worker, which had lost the partition and did not know it yet, has written too. A restore reads
only the blocks that count.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import aiokafka
import msgspec
import structlog
from aiokafka.structs import TopicPartition

from streams.kafka.connect import MOST_BYTES, options
from streams.kafka.format import FORMAT, newer
from streams.kafka.topics import Topics
from streams.kafka.worker.log_reader import reader
from streams.kafka.worker.outgoing import Outgoing
from streams.settings import Settings
from streams.worker.worker import Blob
from twins.bank.checkpoint import VERSION

__all__ = ["Kept", "Manifest", "read", "refuse_newer", "write_blobs", "write_manifests"]

_logger = structlog.get_logger(__name__)

_AT_ONCE = 4
"""The number of partitions read in parallel."""
_NEAR = 3
"""Up to this many unneeded records are read and skipped: a seek costs as much."""


class Manifest(msgspec.Struct):
    """The offset a partition is covered up to, the log's time there (µs), and each block's record in ``twins``.

    ``format`` is that of the topics, ``columns`` the version of the blocks; 0 if a manifest does not say it.
    """

    covered: int = -1
    time: int = 0
    blocks: dict[int, int] = {}
    format: int = 0
    columns: int = 0


class Kept(msgspec.Struct):
    """A partition's checkpoints as found."""

    blobs: list[bytes]
    manifest: Manifest


class _Seen(msgspec.Struct):
    offset: int


_seen = msgspec.msgpack.Decoder(_Seen)
_manifest = msgspec.msgpack.Decoder(Manifest)


class _Versions(msgspec.Struct):
    """The version numbers in a manifest of any version."""

    format: int = 0
    columns: int = 0


_versions = msgspec.msgpack.Decoder(_Versions)


async def write_blobs(outgoing: Outgoing, topics: Topics, blobs: Iterable[Blob]) -> list[tuple[int, int, int]]:
    """Return (partition, block, record) once all are durable; raises ``KafkaError``."""
    waiting = [
        (partition, number, await outgoing.send(topics.twins, blob, partition, b"%d" % number))
        for partition, number, _, blob in blobs
    ]
    return [(partition, number, (await future).offset) for partition, number, future in waiting]


async def write_manifests(outgoing: Outgoing, topics: Topics, manifests: Mapping[int, Manifest]) -> None:
    """Return once all are durable; raises ``KafkaError``."""
    waiting = []
    for partition, manifest in manifests.items():
        manifest.format, manifest.columns = FORMAT, VERSION
        said = msgspec.msgpack.encode(manifest)
        waiting.append(await outgoing.send(topics.manifests, said, partition, b"%d" % partition))
    for future in waiting:
        await future


async def read(settings: Settings, partitions: Iterable[int]) -> dict[int, Kept]:
    """The newest checkpoints of some partitions; raises ``KafkaError``, ``NewerVersion``."""
    numbers = sorted(partitions)
    lots = [numbers[first::_AT_ONCE] for first in range(min(_AT_ONCE, len(numbers)))]
    found = await asyncio.gather(*(_read(settings, lot) for lot in lots))
    return {partition: kept for lot in found for partition, kept in lot.items()}


async def refuse_newer(settings: Settings) -> None:
    """Return if this version can go on from the manifest of every partition.

    A worker asks before it joins the group: if it ended only when it got a partition, it would disturb the others.

    Raises:
        KafkaError: the manifests cannot be read.
        NewerVersion: a newer version wrote one of them.
    """
    topic = Topics.of(settings).manifests
    places = [TopicPartition(topic, partition) for partition in range(settings.kafka_partitions)]
    async with reader(settings) as consumer:
        ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        consumer.assign(list(ends))
        for place, end in ends.items():
            consumer.seek(place, end - 1)
        while ends:
            for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    _refuse_newer(place.partition, record.value or b"")
            ends = {place: end for place, end in ends.items() if await consumer.position(place) < end}


def _refuse_newer(partition: int, raw: bytes) -> None:
    try:
        said = _versions.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return  # it cannot be read at all: that is no matter of versions
    for kind, number, known in (("format", said.format, FORMAT), ("columns", said.columns, VERSION)):
        if number > known:
            raise newer(f"partition {partition}", kind, number, known)


async def _read(settings: Settings, partitions: Sequence[int]) -> dict[int, Kept]:
    topics = Topics.of(settings)
    consumer = aiokafka.AIOKafkaConsumer(
        **options(settings), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=4 * MOST_BYTES,
        max_partition_fetch_bytes=MOST_BYTES, check_crcs=False,
    )  # fmt: skip
    await consumer.start()
    try:
        return {partition: await _kept(consumer, topics, partition) for partition in partitions}
    finally:
        await consumer.stop()


async def _kept(consumer: aiokafka.AIOKafkaConsumer, topics: Topics, partition: int) -> Kept:
    place = TopicPartition(topics.manifests, partition)
    end = (await consumer.end_offsets([place]))[place]
    # The newest record of a key is never compacted away, and every record here has the same.
    newest = (await _records(consumer, place, [end - 1])).get(end - 1) if end else None
    if newest is None:
        return Kept([], Manifest())
    _refuse_newer(partition, newest)
    try:
        manifest = _manifest.decode(newest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _logger.exception("a manifest cannot be read: its partition comes again from the log", partition=partition)
        return Kept([], Manifest())
    wanted = sorted(manifest.blocks.values())
    place = TopicPartition(topics.twins, partition)
    blobs = await _records(consumer, place, wanted)
    if len(blobs) == len(wanted):
        return Kept(list(blobs.values()), manifest)
    return await _all(consumer, place, manifest)


async def _records(
    consumer: aiokafka.AIOKafkaConsumer, place: TopicPartition, wanted: Sequence[int]
) -> dict[int, bytes]:
    """The records at some offsets in order; deleted ones are missing."""
    found: dict[int, bytes] = {}
    consumer.assign([place])
    at = 0
    for number, offset in enumerate(wanted):
        if number == 0 or offset - at > _NEAR:
            at = offset
            consumer.seek(place, offset)
        while at <= offset:
            got = (await consumer.getmany(place, timeout_ms=1_000, max_records=offset - at + 1)).get(place, [])
            for record in got:
                at = record.offset + 1
                if record.offset == offset and record.value is not None:
                    found[offset] = record.value
    return found


async def _all(consumer: aiokafka.AIOKafkaConsumer, place: TopicPartition, manifest: Manifest) -> Kept:
    """The newest block of every number. Used if compaction has deleted a block that the manifest names, because of a newer one.

    The newer one's worker ended before it wrote a manifest, or had lost the partition and did not know it yet. Each block
    says how far it has seen the log: the log must be read again from the block that has seen least.
    """
    named = set(manifest.blocks.values())
    found: dict[bytes, tuple[bool, int, bytes]] = {}
    consumer.assign([place])
    end = (await consumer.end_offsets([place]))[place]
    await consumer.seek_to_beginning(place)
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=1_000)).get(place, []):
            if record.key is None or record.value is None:
                continue
            try:
                seen = _seen.decode(record.value).offset
            except (msgspec.MsgspecError, UnicodeDecodeError):
                seen = -1  # kept all the same: the worker must notice that it cannot be read
            one = (record.offset in named, seen, record.value)
            found[record.key] = max(found.get(record.key, one), one, key=lambda block: block[:2])
    covered = min([manifest.covered, *(seen for counts, seen, _ in found.values() if not counts)])
    if covered < manifest.covered:
        manifest = Manifest(covered, 0, manifest.blocks)  # the next record gives the log's time
    return Kept([blob for _, _, blob in found.values()], manifest)
