"""The known patients, in memory: the doors' fast answer to "is this patient's reading accepted, and where does it go?"."""

import asyncio

from msgspec.structs import replace

from twins.records import Admit, Discharge, Move, Outcome, Profile
from twins.step.stays import began

__all__ = ["Registry", "partition_of", "projected"]

_MASK = 0xFFFFFFFF
_PAUSE_S = 0.002


def murmur2(key: bytes) -> int:
    """Kafka's murmur2 hash of ``key``, as its default partitioner computes it (org.apache.kafka.common.utils.Utils).

    >>> murmur2(b"21") == 0xFFFFFFFF & -973932308
    True
    """
    length = len(key)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little")
        k = k * 0x5BD1E995 & _MASK
        k ^= k >> 24
        k = k * 0x5BD1E995 & _MASK
        h = h * 0x5BD1E995 & _MASK
        h ^= k
    rest = key[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = h * 0x5BD1E995 & _MASK
    h ^= h >> 13
    h = h * 0x5BD1E995 & _MASK
    return h ^ h >> 15


def partition_of(patient: str, partitions: int) -> int:
    """The partition a patient's records go to: the same as any Kafka producer's default."""
    return (murmur2(patient.encode()) & 0x7FFFFFFF) % partitions


class Registry:
    """Profiles by patient, with each patient's partition; a projection of the log, rebuilt at start."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.index: dict[str, int] = {}
        """Partition of every patient whose readings are accepted."""
        self._profiles: dict[str, Profile] = {}
        self._seen: dict[int, int] = {}

    def take(self, outcome: Outcome) -> None:
        """Apply an outcome: its profiles, and the offset its partition has reached."""
        for profile in outcome.profiles:
            self.put(profile)
        if outcome.profiles or outcome.complete:  # on Kafka an alarm may come before the profile of the same record
            self._seen[outcome.partition] = max(self._seen.get(outcome.partition, -1), outcome.offset)

    def foresee(self, record: Admit | Move | Discharge, place: tuple[int, int]) -> None:
        """Show the effect of a command in the log at ``place`` at once, before its outcome comes."""
        profile = projected(record, self.get(record.patient))
        if profile is not None and not self.seen(place):
            self.put(profile)

    def seen(self, place: tuple[int, int]) -> bool:
        """Whether the outcome of the record at ``place`` (partition, offset) has come."""
        partition, offset = place
        return self._seen.get(partition, -1) >= offset

    async def decided(self, place: tuple[int, int], seconds: float) -> bool:
        """Wait for the outcome of the record at ``place``, at most ``seconds``; returns whether it has come."""
        for _ in range(int(seconds / _PAUSE_S)):
            if self.seen(place):
                return True
            await asyncio.sleep(_PAUSE_S)
        return self.seen(place)

    def put(self, profile: Profile) -> None:
        """Set a patient's profile to what the log says now."""
        self._profiles[profile.patient] = profile
        if profile.active:
            self.index[profile.patient] = partition_of(profile.patient, self.partitions)
        else:
            self.index.pop(profile.patient, None)

    def known(self, patient: str) -> bool:
        """Whether readings of this patient are accepted now."""
        return patient in self.index

    def get(self, patient: str) -> Profile | None:
        """The profile, also for a discharged patient."""
        return self._profiles.get(patient)

    def profiles(self) -> list[Profile]:
        """Every profile, discharged ones included."""
        return list(self._profiles.values())

    def __len__(self) -> int:
        return len(self.index)


def projected(record: Admit | Move | Discharge, known: Profile | None) -> Profile | None:
    """The profile after a command as ``twins.step.dispatch`` decides it, ``None`` if it changes nothing.

    A copy: other users of the old profile compare it with the outcome later.
    """
    if isinstance(record, Admit):
        if known is not None and (known.active or record.stranger):
            return None
        return began(record, known, record.received)
    if known is None or not known.active or record.stay not in {0, known.admitted}:
        return None
    if isinstance(record, Discharge):
        return replace(known, active=False, discharged=max(record.received, known.admitted))
    given = {name: getattr(record, name) for name in ("ward", "bed", "label")}
    return replace(known, **{name: value for name, value in given.items() if value is not None})
