"""Who is known, in memory: the doors' fast answer to "may this patient's reading come in, and where does it go?"."""

from msgspec.structs import replace

from twins.records import Admit, Discharge, Move, Profile

__all__ = ["Registry", "partition_of", "projected"]

_MASK = 0xFFFFFFFF


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
    """Profiles by patient, with each one's partition; a projection of the log, renewed at start-up."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.index: dict[str, int] = {}
        """Partition of every patient whose readings are taken."""
        self._profiles: dict[str, Profile] = {}

    def put(self, profile: Profile) -> None:
        """Take over what the log says of a patient now."""
        self._profiles[profile.patient] = profile
        if profile.active:
            self.index[profile.patient] = partition_of(profile.patient, self.partitions)
        else:
            self.index.pop(profile.patient, None)

    def known(self, patient: str) -> bool:
        """Whether readings of this patient are taken now."""
        return patient in self.index

    def get(self, patient: str) -> Profile | None:
        """The profile, also of a discharged patient."""
        return self._profiles.get(patient)

    def profiles(self) -> list[Profile]:
        """Every profile, discharged ones included."""
        return list(self._profiles.values())

    def __len__(self) -> int:
        return len(self.index)


def projected(record: Admit | Move | Discharge, known: Profile | None) -> Profile:
    """The profile after a command. A copy: whoever else holds it sees the change in the outcome, against what was."""
    held = replace(known) if known else Profile(patient=record.patient, admitted=record.received)
    if isinstance(record, Discharge):
        held.active = False
    else:
        for name in ("ward", "bed", "label"):
            given = getattr(record, name)
            if given is not None:
                setattr(held, name, given)
        held.active = held.active or isinstance(record, Admit)
    return held
