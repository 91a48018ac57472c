"""The format of what stands in the topics; what a newer version wrote is refused.

``FORMAT`` rises with every change of inputs, outcomes or manifests that an earlier version would misunderstand or pass
over. A member that an earlier version may ignore does not raise it. Records of the first format have no header; every
record of a later format has the number as a header. A manifest also has it, with the version of its checkpoints.

2  an alarm has levels, and there are commands about pauses, policies, rules, escalation and schedules
"""

from collections.abc import Iterable, Mapping

from streams.errors import NewerVersion

__all__ = ["FORMAT", "HEADER", "format_of", "headers", "newer"]

FORMAT = 2
HEADER = "vitaltwin-format"

_BEFORE = 1
"""The format of a record that does not say it."""


def headers() -> list[tuple[str, bytes]]:
    """The headers of a record that this version writes."""
    return [] if FORMAT == _BEFORE else [(HEADER, b"%d" % FORMAT)]


def format_of(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None) -> int:
    """The format of a record with these headers."""
    value = dict(headers or ()).get(HEADER, b"")
    return int(value) if value.isdigit() else _BEFORE


def newer(what: str, kind: str, number: int, known: int) -> NewerVersion:
    """The error for ``what``, which has version ``number`` of ``kind`` where this program knows only ``known``."""
    return NewerVersion(
        f"{what} was written by a newer version of vitaltwin ({kind} {number}; this one knows {known}): start that version"
        " here, too; nothing was written over it. Going back to this version needs topics of its own, under another"
        " VITALTWIN_KAFKA_PREFIX"
    )
