"""A batch: the readings of one request as columns, and what of them was refused and why."""

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
"""Most refused entries told one by one, in the answer and as dead letters; the rest are counted."""


class RejectedEntries:
    """What was refused, in the order it was found."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shown: list[Fault] = []

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, index: int, reason: str, detail: object) -> None:
        """Refuse one entry; ``detail`` is the sentence, or what turns into it if it is told."""
        self.counts[reason] += 1
        if len(self.shown) < SHOWN:
            self.shown.append(Fault(reason, str(detail), index=index))

    def add_many(self, entries: npt.NDArray[np.intp], reason: str, tell: Callable[[int], str]) -> None:
        """Refuse entries for one reason; ``tell`` gives the sentence for the n-th of them."""
        self.counts[reason] += len(entries)
        room = SHOWN - len(self.shown)
        for number, index in enumerate(entries[:room].tolist()):
            self.shown.append(Fault(reason, tell(number), index=index))

    @property
    def faults(self) -> list[Fault]:
        """The ones told one by one, in the order of the entries."""
        return sorted(self.shown, key=lambda fault: fault.index or 0)


class Batch:
    """Readings of one body: ``places`` gives each reading's entry (``None``: the n-th reading is the n-th entry).

    ``errors`` are those it takes back as entered in error, a batch with the same refusals whose values mean nothing.
    """

    def __init__(
        self,
        columns: Columns,
        bytes_of: Callable[["Batch", int], bytes],
        places: npt.NDArray[np.intp] | None = None,
        refusals: RejectedEntries | None = None,
    ) -> None:
        self.columns = columns
        # An empty one counts for nothing, but may be shared.
        self.refusals = RejectedEntries() if refusals is None else refusals
        self.errors: Batch | None = None
        self._places = places
        self._bytes_of = bytes_of

    def __len__(self) -> int:
        return len(self.columns)

    def entries(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """The entries some readings stand at."""
        return rows if self._places is None else self._places[rows]

    def without(self, refused: npt.NDArray[np.bool_]) -> None:
        """Drop the readings that ``refused`` marks."""
        kept = np.flatnonzero(~refused)
        self._places = self.entries(kept)
        self.columns = select(self.columns, kept)

    def bytes_of(self, entry: int) -> bytes:
        """The entry as it came, for the dead letter."""
        return self._bytes_of(self, entry)


def raw_entry(cut: Callable[[], Cut]) -> Callable[[Batch, int], bytes]:
    """``bytes_of`` for bodies whose entries can be cut out again; done once, and only if something was refused."""
    done: list[Cut] = []

    def find(_: Batch, entry: int) -> bytes:
        if not done:
            done.append(cut())
        return done[0][entry]

    return find
