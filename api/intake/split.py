"""Splits a body into its entries and checks the limits before any entry is decoded."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from api.http.problems import Fault, Problem
from twins.compiled.parsing import MALFORMED, TOO_DEEP, TOO_MANY, cut_array, cut_lines

__all__ = ["DEEPEST", "MOST_ENTRIES", "Cut", "array", "lines"]

MOST_ENTRIES = 50_000
"""Maximum entries of one body; a frame may have more."""
_RUN = 1000
DEEPEST = 64
"""Maximum levels of nesting."""


class Cut:
    """The entries of a body by position, each cut out on access."""

    def __init__(
        self, body: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], deep: npt.NDArray[np.uint8]
    ) -> None:
        self._body = body
        self._starts = starts
        self._ends = ends
        self._deep = deep

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> bytes:
        return self._body[self._starts[place] : self._ends[place]]

    def size(self, place: int) -> int:
        """Bytes of an entry."""
        return int(self._ends[place] - self._starts[place])

    def too_deep(self, place: int) -> bool:
        """Whether an entry is nested too deeply to be read."""
        return bool(self._deep[place])

    def beyond(self, run: slice, size: int) -> bool:
        """Whether some entry of a run is nested too deeply or has more than ``size`` bytes."""
        return bool(self._deep[run].any() or (self._ends[run] - self._starts[run] > size).any())

    def slices(self, size: int) -> list[slice]:
        """The entries in runs of about ``size`` bytes, or of a thousand, so that none delays others for long."""
        if not len(self):
            return []
        marks = np.flatnonzero(np.diff(self._ends // size)) + 1
        edges = np.unique(np.concatenate([marks, np.arange(0, len(self), _RUN), [len(self)]])).tolist()
        return [slice(first, last) for first, last in pairwise(edges)]

    def together(self, run: slice) -> bytes:
        """A run of an array's entries with the separators between them."""
        return self._body[self._starts[run.start] : self._ends[run.stop - 1]]


def array(body: bytes, most: int = MOST_ENTRIES) -> Cut:
    """The entries of a JSON array; raises ``Problem`` if it is not an array or has too many entries."""
    starts, ends, deep = _columns(body, most)
    count, found = cut_array(np.frombuffer(body, np.uint8), DEEPEST, starts, ends, deep)
    if found == TOO_MANY:
        raise _too_many(most)
    if found in {MALFORMED, TOO_DEEP}:
        raise (
            malformed("the array is nested too deeply", "too_deep")
            if found == TOO_DEEP
            else malformed(f"the array is malformed or truncated after entry {count}")
        )
    return Cut(body, starts[:count], ends[:count], deep[:count])


def lines(body: bytes, most: int = MOST_ENTRIES) -> Cut:
    """The non-empty lines of a body; raises ``Problem`` if there are too many."""
    starts, ends, deep = _columns(body, most)
    count, found = cut_lines(np.frombuffer(body, np.uint8), starts, ends)
    if found == TOO_MANY:
        raise _too_many(most)
    return Cut(body, starts[:count], ends[:count], deep[:count])


def malformed(detail: str, reason: str = "malformed_json") -> Problem:
    """The problem for a body that cannot be read at all."""
    return Problem("malformed-body", f"the body is not JSON: {detail}", faults=[Fault(reason, detail, field="body")])


def _columns(body: bytes, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    room = min(most, len(body) // 2 + 1)
    return np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(room, np.uint8)


def _too_many(most: int) -> Problem:
    return Problem("body-too-large", f"more than {most} entries; send fewer at once, or a frame, which may have more")
