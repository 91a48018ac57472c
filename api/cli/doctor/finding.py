"""The result of one check of the doctor."""

from typing import Literal, NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """``good``, ``note`` (works, but worth knowing) or ``wrong``, with details as text."""

    name: str
    state: Literal["good", "note", "wrong"]
    detail: str
