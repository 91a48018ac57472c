"""A batch: the readings of one request as columns, and its refused entries with reasons."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from api.http.problems import Fault
from api.intake.split import Cut
from streams.log.frame import select
from twins.records import Columns

__all__ = ["SHOWN", "Batch", "RejectedEntries", "raw_entry"]

SHOWN = 1000
"""How many refused entries are listed one by one, in the answer and as dead letters; the rest are counted."""


class RejectedEntries:
    """The refused entries of one request, in the order in which they were found."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shown: list[Fault] = []

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, index: int, reason: str, detail: object) -> None:
        """Refuse one entry; ``detail`` is the sentence, or an object that is converted to it if the entry is listed."""
        self.counts[reason] += 1
        if len(self.shown) < SHOWN:
            self.shown.append(Fault(reason, str(detail), index=index))

    def add_many(self, entries: npt.NDArray[np.intp], reason: str, detail_of: Callable[[int], str]) -> None:
        """Refuse entries for one reason; ``detail_of`` gives the sentence for the n-th of them."""
        self.counts[reason] += len(entries)
        room = SHOWN - len(self.shown)
        for number, index in enumerate(entries[:room].tolist()):
            self.shown.append(Fault(reason, detail_of(number), index=index))

    @property
    def faults(self) -> list[Fault]:
        """The listed refusals, in the order of the entries."""
        return sorted(self.shown, key=lambda fault: fault.index or 0)


class Batch:
    """Readings of one body: ``places`` gives each reading's entry (``None``: the n-th reading is the n-th entry).

    ``errors`` are the readings that it withdraws as entered in error: a batch with the same refusals, whose values are not used.
    """

    def __init__(
        self,
        columns: Columns,
        bytes_of: Callable[["Batch", int], bytes],
        places: npt.NDArray[np.intp] | None = None,
        refusals: RejectedEntries | None = None,
    ) -> None:
        self.columns = columns
        # Not `or`: an empty one is false, but may be shared.
        self.refusals = RejectedEntries() if refusals is None else refusals
        self.errors: Batch | None = None
        self._places = places
        self._bytes_of = bytes_of

    def __len__(self) -> int:
        return len(self.columns)

    def entries(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """The entries of some readings."""
        return rows if self._places is None else self._places[rows]

    def without(self, refused: npt.NDArray[np.bool_]) -> None:
        """Drop the readings that ``refused`` marks."""
        kept = np.flatnonzero(~refused)
        self._places = self.entries(kept)
        self.columns = select(self.columns, kept)

    def bytes_of(self, entry: int) -> bytes:
        """The entry as it was sent, for the dead letter."""
        return self._bytes_of(self, entry)


def raw_entry(cut: Callable[[], Cut]) -> Callable[[Batch, int], bytes]:
    """``bytes_of`` for bodies that can be split into entries again: once, and only if an entry was refused."""
    done: list[Cut] = []

    def find(_: Batch, entry: int) -> bytes:
        if not done:
            done.append(cut())
        return done[0][entry]

    return find
