"""One thing the doctor has looked at."""

from typing import Literal, NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """``good``, ``note`` (works, but know it) or ``wrong``, with the details in words."""

    name: str
    state: Literal["good", "note", "wrong"]
    detail: str
